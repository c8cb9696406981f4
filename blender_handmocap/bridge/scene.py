# SPDX-License-Identifier: GPL-3.0-or-later
"""A take into a scene: rigs, keys, camera and clip in one call, for operators and scripts alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy as np
from mathutils import Vector

from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES, Side
from ..engine.take import Take
from . import camera as take_camera, camera_path, edit_layer, hand_rig, take_on_rig, timing
from .channels import Written
from .hand_rig import HandRig
from .timing import Timing


@dataclass
class AppliedTake:
    """What `apply_take` made or changed; do not keep it across undo or file load."""

    rigs: dict[Side, HandRig]
    camera: bpy.types.Object | None
    clip: bpy.types.MovieClip | None
    first_frame: int
    last_frame: int
    timing: Timing
    written: dict[Side, Written]
    notes: list[str] = field(default_factory=list)
    """sentences for the user: what was set, what could not be"""


def apply_take(
    scene: bpy.types.Scene,
    take: Take,
    clip_path: str | Path | None = None,
    *,
    name: str = "Hands",
    how: Timing | None = None,
    start: int | None = None,
    with_camera: bool = True,
    set_range: bool | None = None,
    push_down: bool = False,
    keep_shape: bool = False,
    passing: bool = False,
    keep_layer: bool = False,
) -> AppliedTake:
    """Put a take on the hands of a scene, which are made when missing.

    `how` None: a scene without animation takes the clip's rate and picture size; another keeps its own and gets keys
    at true times. `start` None: the scene's first frame. `set_range` None: only a scene without animation gets the
    take's range. `clip_path` None: where the take says its footage is; a missing clip is a note, not an error.
    `keep_shape` leaves the hands' shape as it is. A `passing` take is taken away again by the next one.
    `keep_layer` leaves the layer of changes on; it belongs to the take before, so otherwise it is muted.
    """
    if not len(take):
        raise BadInputError("The take holds no frames; capture the clip again.")
    notes: list[str] = []
    fresh = is_fresh(scene)
    tracked = camera_path.was_used(take)
    chosen = how or (Timing.MATCH_SCENE if fresh else Timing.ONE_A_FRAME if tracked else Timing.TRUE_TIME)
    clip = _clip(take, clip_path, notes) if with_camera else None
    clip_rate = timing.played_rate(take, clip)
    if chosen is Timing.MATCH_SCENE:
        _match_rate(scene, clip_rate, notes)
    first = start
    if first is None:
        # A tracked camera moves with the clip's own frames, whatever the scene's rate is.
        first = camera_path.first_frame(scene) + int(take.frame[0]) if tracked else scene.frame_start
    frames = timing.key_frames(take, chosen, first, timing.scene_rate(scene), clip_rate)
    last = int(np.ceil(frames[-1] - 1e-6))
    if set_range or (set_range is None and fresh):
        scene.frame_start, scene.frame_end = first, last
    rigs = _rigs(scene, take)
    # Keys of a passing take are nobody's work, and must not go into the NLA.
    was_passing = take_on_rig.drop_passing(rigs.values())
    if not keep_layer:
        for rig in rigs.values():
            edit_layer.put_away(rig.armature)
    world = camera_path.in_world(take)
    written = take_on_rig.apply(
        world, rigs, frames, name=name, push_down=push_down and not was_passing, keep_shape=keep_shape, passing=passing
    )
    applied = AppliedTake(rigs, None, clip, first, last, chosen, written, notes)
    if with_camera:
        _add_camera(scene, take, applied, frames, fresh)
    return applied


def is_fresh(scene: bpy.types.Scene) -> bool:
    """Whether nothing in the scene is animated yet, so that its frame rate is nobody's choice."""
    return scene.animation_data is None and not any(
        obj.animation_data is not None
        and (obj.animation_data.nla_tracks or not take_on_rig.is_nobodys_work(obj.animation_data.action))
        for obj in scene.objects
    )


def clip_of(take: Take) -> Path | None:
    """Where the take says its footage is; None for a camera."""
    source = str(take.meta.get("source", ""))
    return None if not source or source.startswith("camera:") or source.isdigit() else Path(source)


def _rigs(scene: bpy.types.Scene, take: Take) -> dict[Side, HandRig]:
    sides = [side for side in SIDES if take.track(side).present.any()]
    if not sides:
        raise BadInputError("The take holds no hand in any frame; capture the clip again with other settings.")
    # Only here: enabling the extension must not load the pipeline.
    from ..engine.pipeline import hand_models

    # A take's rotations are about the joints of its own model; on another hand they would be another pose.
    models = hand_models(take)
    found = hand_rig.find_hands(scene, model=models["right"].id)
    made = hand_rig.add_hands_of(scene, models, [side for side in sides if side not in found])
    return {side: (found | made)[side] for side in sides}


def _match_rate(scene: bpy.types.Scene, rate: float, notes: list[str]) -> None:
    if not timing.same_rate(timing.scene_rate(scene), rate):
        timing.set_scene_rate(scene, rate)
        notes.append(f"The scene now runs at the clip's {rate:.5g} frames a second.")


def _clip(take: Take, clip_path: str | Path | None, notes: list[str]) -> bpy.types.MovieClip | None:
    told = clip_of(take) if clip_path is None else Path(clip_path)
    if told is None:
        return None
    path = _found_clip(told)
    if path is None:
        notes.append(
            f"The clip {told.name} is not at {told.parent}, so no footage stands behind the camera; put it beside the "
            ".blend and apply the take again."
        )
        return None
    try:
        return take_camera.load_clip(path)
    except RuntimeError:
        notes.append(f"Blender cannot show {path.name}, so no footage stands behind the camera.")
        return None


def _found_clip(path: Path) -> Path | None:
    """Where a clip is: where it was, or by its name beside the .blend or where Blender has it open."""
    candidates = [path]
    if bpy.data.filepath:
        candidates.append(Path(bpy.data.filepath).parent / path.name)
    opened = (Path(bpy.path.abspath(clip.filepath)) for clip in bpy.data.movieclips)
    candidates += [one for one in opened if one.name == path.name]
    return next((one for one in candidates if one.exists()), None)


def _add_camera(scene: bpy.types.Scene, take: Take, applied: AppliedTake, frames: Iterable[float], fresh: bool) -> None:
    if fresh:
        scene.render.resolution_x, scene.render.resolution_y = take_camera.picture_size(take)
        scene.render.resolution_percentage = 100
    own = camera_path.was_used(take) and scene.camera is not None
    applied.camera = scene.camera if own else take_camera.place_camera(scene, take, frames)
    if not own and fresh:
        _clear_the_view(scene, applied)
    if applied.clip is not None:
        take_camera.show_clip(
            scene,
            applied.camera,
            take,
            applied.clip,
            how=applied.timing,
            start=applied.first_frame,
            end=applied.last_frame,
            tell_lens=not own,
        )


def _clear_the_view(scene: bpy.types.Scene, applied: AppliedTake) -> None:
    """Hide what encloses the new camera, such as the cube of Blender's first file: nothing would be seen."""
    place = applied.camera.matrix_world.translation
    for obj in scene.objects:
        if obj.type != "MESH" or obj.parent is not None or obj.hide_get():
            continue
        corners = np.array([obj.matrix_world @ Vector(corner) for corner in obj.bound_box])
        if (corners.min(0) < place).all() and (corners.max(0) > place).all():
            obj.hide_set(True)
            applied.notes.append(f"{obj.name} was hidden: the camera stands inside it.")
