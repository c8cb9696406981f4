# SPDX-License-Identifier: GPL-3.0-or-later
"""The scene's own camera, tracked or still, as the engine reads it; and its takes put into the world it stands in.

The engine solves in camera space. What a camera of the scene saw is brought into the world by that camera's place in
each frame, written in a take's axes (x right, y down, z forward) so that `frames` alone turns them into Blender's.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine import rotations
from ..engine.errors import BadInputError
from ..engine.hand.names import SIDES
from ..engine.take import HandTrack, Take
from . import camera as take_camera
from .frames import WORLD_FROM_CAMERA

Array = NDArray[np.float64]

META: Final = "camera_path"
_BLENDER_CAMERA: Final = np.diag([1.0, -1.0, -1.0])
"""A Blender camera looks along its -Z with +Y up."""


def write(scene: bpy.types.Scene, source: Path, target: Path) -> Path:
    """Write where the scene's camera is in each frame of the footage at `source`, and its lens; the file's path."""
    camera = scene.camera
    if camera is None:
        raise BadInputError("The scene has no camera; add one and track it, or choose another lens.")
    if camera.data.type != "PERSP":
        raise BadInputError(f"{camera.name} is no perspective camera; change its type, or choose another lens.")
    try:
        clip = take_camera.load_clip(source)
    except RuntimeError as error:
        raise BadInputError(f"Blender cannot open {source.name} to count its frames; choose another lens.") from error
    size = (int(clip.size[0]), int(clip.size[1]))
    K, rotation, translation = _read(scene, camera, first_frame(scene), max(1, clip.frame_duration), size)
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, K=K, rotation=rotation, translation=translation, frame=np.arange(len(K)))
    return target


def first_frame(scene: bpy.types.Scene) -> int:
    """The scene frame that shows the first picture of the chosen footage."""
    clip = scene.handmocap.clip if scene.handmocap.source == "CLIP" else None
    return scene.frame_start if clip is None else clip.frame_start - clip.frame_offset


def _read(
    scene: bpy.types.Scene, camera: bpy.types.Object, first: int, count: int, size: tuple[int, int]
) -> tuple[Array, Array, Array]:
    """K (N, 3, 3), rotation (N, 3, 3) and translation (N, 3) world to camera, for N = `count` frames from `first`."""
    current = scene.frame_current, scene.frame_subframe
    lenses, turns, places = [], [], []
    for number in range(first, first + count):
        scene.frame_set(number)
        seen = camera.evaluated_get(bpy.context.evaluated_depsgraph_get())
        matrix = np.array(seen.matrix_world, dtype=np.float64)
        # Scale has no meaning for a camera.
        axes = rotations.nearest_rotation(matrix[:3, :3])
        turn = _BLENDER_CAMERA @ axes.T @ WORLD_FROM_CAMERA
        turns.append(turn)
        places.append(-turn @ WORLD_FROM_CAMERA.T @ matrix[:3, 3])
        lenses.append(take_camera.matrix_of(seen.data, scene, size))
    scene.frame_set(current[0], subframe=current[1])
    return np.array(lenses), np.array(turns), np.array(places)


def was_used(take: Take) -> bool:
    """Whether a take was seen by a camera whose path is known."""
    return META in take.meta


def in_world(take: Take) -> Take:
    """The take with its hands where they are in the world, in a take's axes; as it is when no path is known."""
    if not was_used(take):
        return take
    rotation = np.array(take.meta[META]["rotation"], dtype=np.float64)
    translation = np.array(take.meta[META]["translation"], dtype=np.float64)
    return take.with_tracks(**{side: _placed(take.track(side), rotation, translation) for side in SIDES})


def seen_by_camera(take: Take, rotation: Array, translation: Array, *, index: int | None = None) -> tuple[Array, Array]:
    """Poses of a hand in the world, as `in_world` gives them, back in the camera of each frame.

    rotation (T, 16, 4) and translation (T, 3) of all frames, or of frame `index` alone (T = 1).
    """
    if not was_used(take):
        return rotation, translation
    turn = np.array(take.meta[META]["rotation"], dtype=np.float64)
    place = np.array(take.meta[META]["translation"], dtype=np.float64)
    if index is not None:
        turn, place = turn[index : index + 1], place[index : index + 1]
    turned = rotation.copy()
    turned[:, 0] = rotations.multiply(rotations.quaternion_from_matrix(turn), rotation[:, 0])
    return turned, np.einsum("tij,tj->ti", turn, translation) + place


def _placed(track: HandTrack, rotation: Array, translation: Array) -> HandTrack:
    """x_camera = rotation @ x_world + translation, taken back; rotation (T, 3, 3), translation (T, 3)."""
    turned = track.rotation.copy()
    back = rotations.quaternion_from_matrix(np.swapaxes(rotation, -1, -2))
    turned[:, 0] = rotations.continuous(rotations.multiply(back, track.rotation[:, 0]))
    return replace(
        track,
        rotation=turned,
        translation=np.einsum("tji,tj->ti", rotation, track.translation - translation),
        points=np.einsum("tji,tkj->tki", rotation, track.points - translation[:, None]),
    )
