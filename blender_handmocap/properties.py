# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a scene or to a hand: `Scene.handmocap` and, on a hand's armature object, `Object.handmocap`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import bpy

from .bridge import hand_rig
from .character_properties import HANDMOCAP_PG_clean_up, HANDMOCAP_PG_retarget, HANDMOCAP_PG_review
from .engine.settings import BETA_COUNT, Settings
from .property_items import (
    CAMERA_RATES,
    CAMERA_SIZES,
    GAPS,
    HANDS,
    LENSES,
    LIVE_TARGETS,
    REACHES,
    SOURCES,
    TIMINGS,
)

# Blender 4.5 and later warn of "//" in a path that does not say it may begin so.
PATH_OPTIONS: Final = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (4, 5, 0) else set()


def _hands_shaped_together(armature: bpy.types.Object) -> list[bpy.types.Object]:
    """The hand itself, and its partner where the scene says that both are one performer's."""
    hands = [armature]
    for scene in armature.users_scene:
        if scene.handmocap.same_shape:
            hands += [rig.armature for rig in hand_rig.find_hands(scene).values() if rig.armature not in hands]
    return hands


def _get_betas(self: HANDMOCAP_PG_hand) -> Sequence[float]:
    if hand_rig.side_of(self.id_data) is None:
        return [0.0] * BETA_COUNT
    return list(hand_rig.shape_of(self.id_data)[0])


def _set_betas(self: HANDMOCAP_PG_hand, value: Sequence[float]) -> None:
    if hand_rig.side_of(self.id_data) is not None:
        for armature in _hands_shaped_together(self.id_data):
            hand_rig.reshape(armature, betas=list(value))


def _get_palm(self: HANDMOCAP_PG_hand) -> float:
    return 0.0 if hand_rig.side_of(self.id_data) is None else hand_rig.shape_of(self.id_data)[1]


def _set_palm(self: HANDMOCAP_PG_hand, value: float) -> None:
    if hand_rig.side_of(self.id_data) is not None:
        for armature in _hands_shaped_together(self.id_data):
            hand_rig.reshape(armature, size=value)


class HANDMOCAP_PG_hand(bpy.types.PropertyGroup):
    """The shape of a hand. The values live in the armature's own data, so a file keeps them without HandMocap."""

    betas: bpy.props.FloatVectorProperty(
        name="Shape",
        description="Shape components, in standard deviations from the mean hand; joints and skin follow, keys stay",
        size=BETA_COUNT,
        soft_min=-3.0,
        soft_max=3.0,
        step=5,
        precision=2,
        options=set(),
        get=_get_betas,
        set=_set_betas,
    )
    palm_length: bpy.props.FloatProperty(
        name="Palm Length",
        description="From the wrist joint to the middle knuckle; the whole hand scales with it",
        min=0.02,
        max=0.5,
        soft_min=0.07,
        soft_max=0.13,
        step=0.1,
        precision=4,
        unit="LENGTH",
        options=set(),
        get=_get_palm,
        set=_set_palm,
    )


class HANDMOCAP_PG_take(bpy.types.PropertyGroup):
    """A take in the list; the file on disk holds everything else."""

    name: bpy.props.StringProperty(name="Name", description="What the take is called; its action is named after it")
    path: bpy.props.StringProperty(
        name="File", description="Where the take is", subtype="FILE_PATH", options=PATH_OPTIONS
    )
    summary: bpy.props.StringProperty(name="Summary", description="What the take holds")
    notes: bpy.props.StringProperty(name="Notes", description="Damage, doubts and guesses, a line each")


class HANDMOCAP_PG_bone(bpy.types.PropertyGroup):
    """A line of the character's bone list."""

    side: bpy.props.StringProperty()
    role: bpy.props.StringProperty()
    bone: bpy.props.StringProperty(name="Bone", description="The character's bone that plays this part")


def _shape_changed(self: HANDMOCAP_PG_scene, _context: bpy.types.Context) -> None:
    """The scene's hands follow the performer at once."""
    for rig in hand_rig.find_hands(self.id_data).values():
        hand_rig.reshape(rig.armature, betas=list(self.betas), size=self.palm / 1000.0)


def _is_armature(_self: object, obj: bpy.types.Object) -> bool:
    return obj.type == "ARMATURE"


class HANDMOCAP_PG_scene(bpy.types.PropertyGroup):
    """Choices of one scene."""

    source: bpy.props.EnumProperty(
        name="From", description="Where the pictures of the hands come from", items=SOURCES, options=set()
    )
    footage: bpy.props.StringProperty(
        name="Footage",
        description="A movie, a picture, or one picture of a sequence in a folder of its own",
        subtype="FILE_PATH",
        options=PATH_OPTIONS,
    )
    clip: bpy.props.PointerProperty(
        name="Movie Clip",
        description="A clip that is already open in Blender, instead of a file",
        type=bpy.types.MovieClip,
    )
    use_range: bpy.props.BoolProperty(
        name="Part of the Clip", description="Capture only some frames of the clip", options=set()
    )
    range_start: bpy.props.IntProperty(
        name="First", description="First clip frame to capture, counted from 0", min=0, options=set()
    )
    range_end: bpy.props.IntProperty(
        name="Last", description="Last clip frame to capture", default=250, min=0, options=set()
    )
    hands: bpy.props.EnumProperty(name="Hands", description="Which hands to look for", items=HANDS, options=set())
    mirrored: bpy.props.BoolProperty(
        name="Mirror Image",
        description="The picture is a mirror image, as webcams often record it: text in it reads backwards",
        options=set(),
    )
    use_region: bpy.props.BoolProperty(
        name="Performer's Box",
        description="Only hands inside this part of the picture are the performer's",
        options=set(),
    )
    region: bpy.props.FloatVectorProperty(
        name="Box",
        description="Left, top, right and bottom of the box as shares of the picture",
        size=4,
        default=(0.0, 0.0, 1.0, 1.0),
        min=0.0,
        max=1.0,
        options=set(),
    )
    lens: bpy.props.EnumProperty(
        name="Lens", description="Where the focal length comes from", items=LENSES, options=set()
    )
    fov: bpy.props.FloatProperty(
        name="Field of View",
        description="Across the picture",
        default=math.radians(60.0),
        min=math.radians(5.0),
        max=math.radians(170.0),
        subtype="ANGLE",
        options=set(),
    )
    focal: bpy.props.FloatProperty(
        name="Focal Length",
        description="35 mm equivalent: as on a sensor 36 mm wide",
        default=28.0,
        min=5.0,
        max=1000.0,
        unit="CAMERA",
        options=set(),
    )
    performer: bpy.props.StringProperty(
        name="Name", description="Whose hands these are; saved performers are there in every file", options=set()
    )
    use_performer: bpy.props.BoolProperty(
        name="Use for Captures",
        description="Capture with this hand; its size decides how far away the hands are",
        options=set(),
    )
    use_mano: bpy.props.BoolProperty(
        name="MANO Hands",
        description="Solve captures with your own MANO files, as chosen in the preferences, and put them on MANO hands",
        options=set(),
    )
    lock_shape: bpy.props.BoolProperty(
        name="Lock", description="Keep the performer's shape: no slider and no take changes it", options=set()
    )
    palm: bpy.props.FloatProperty(
        name="Palm (mm)",
        description="From the wrist joint to the middle knuckle, in millimetres; the whole hand scales with it",
        default=82.6,
        min=40.0,
        max=150.0,
        precision=1,
        step=10,
        options=set(),
        update=_shape_changed,
    )
    betas: bpy.props.FloatVectorProperty(
        name="Shape",
        description="Shape components, in standard deviations from the mean hand; the scene's hands follow at once",
        size=BETA_COUNT,
        min=-10.0,
        max=10.0,
        soft_min=-3.0,
        soft_max=3.0,
        step=5,
        precision=2,
        options=set(),
        update=_shape_changed,
    )
    calibrate: bpy.props.BoolProperty(
        name="Proportions from Footage",
        description="Estimate bone proportions from the clip; kept only when frames that were held out agree better",
        options=set(),
    )
    smoothing: bpy.props.FloatProperty(
        name="Smoothing",
        description="0 leaves the solved motion as it is; can be changed later without capturing again",
        default=1.0,
        min=0.0,
        max=10.0,
        soft_max=3.0,
        options=set(),
    )
    gaps: bpy.props.EnumProperty(
        name="Gaps", description="What happens while a hand is not seen", items=GAPS, options=set()
    )
    longest_gap: bpy.props.FloatProperty(
        name="Longest Gap",
        description="A hand that is not seen for longer is away",
        default=1.0,
        min=0.0,
        soft_max=5.0,
        unit="TIME_ABSOLUTE",
        options=set(),
    )
    timing: bpy.props.EnumProperty(
        name="Timing", description="How clip frames become scene frames", items=TIMINGS, options=set()
    )
    push_down: bpy.props.BoolProperty(
        name="Push Down Present Action",
        description="Keep what the hands do now as an NLA strip under the take",
        options=set(),
    )
    apply_when_done: bpy.props.BoolProperty(
        name="Apply When Done",
        description="Put the take on the hands as soon as it is captured",
        default=True,
        options=set(),
    )
    show_part: bpy.props.BoolProperty(
        name="Show First Seconds",
        description="Put the first seconds on the hands while the rest is still being captured",
        default=True,
        options=set(),
    )
    look_through: bpy.props.BoolProperty(
        name="Look Through Camera",
        description="Turn the 3D View to the take's camera when it is applied, so that the hands lie on the footage",
        default=True,
        options=set(),
    )
    takes: bpy.props.CollectionProperty(type=HANDMOCAP_PG_take)
    take_index: bpy.props.IntProperty(name="Take", description="The selected take", options=set())
    other_take: bpy.props.StringProperty(
        name="Other Take", description="Another take of the same clip, to compare with or to use frames of"
    )
    live_source: bpy.props.StringProperty(
        name="Camera",
        description="The camera's number, 0 for the first, or a movie to play as one",
        default="0",
        options=set(),
    )
    camera_name: bpy.props.StringProperty(name="Camera Name", description="What the chosen camera calls itself")
    camera_size: bpy.props.EnumProperty(
        name="Resolution", description="Size of the camera's pictures", items=CAMERA_SIZES, options=set()
    )
    camera_rate: bpy.props.EnumProperty(name="Rate", description="Pictures a second", items=CAMERA_RATES, options=set())
    live_target: bpy.props.EnumProperty(
        name="Move", description="What the camera moves", items=LIVE_TARGETS, options=set()
    )
    live_mirror: bpy.props.BoolProperty(
        name="Mirrored Preview",
        description="Show the picture as a mirror does; what is captured is never mirrored",
        default=True,
        options=set(),
    )
    live_countdown: bpy.props.IntProperty(
        name="Countdown", description="Seconds before the recording begins", default=3, min=0, max=30, options=set()
    )
    character: bpy.props.PointerProperty(
        name="Character",
        description="The armature that takes over the hands",
        type=bpy.types.Object,
        poll=_is_armature,
    )
    character_reach: bpy.props.EnumProperty(
        name="Take Over", description="How much of the hands the character takes over", items=REACHES, options=set()
    )
    character_offset: bpy.props.IntProperty(
        name="Offset", description="Frames after the scene's first at which the take begins", options=set()
    )
    review: bpy.props.PointerProperty(type=HANDMOCAP_PG_review)
    clean_up: bpy.props.PointerProperty(type=HANDMOCAP_PG_clean_up)
    retarget: bpy.props.PointerProperty(type=HANDMOCAP_PG_retarget)
    preset: bpy.props.StringProperty(name="Kind", description="The kind of rig that was recognised")
    bones: bpy.props.CollectionProperty(type=HANDMOCAP_PG_bone)
    bone_index: bpy.props.IntProperty(name="Bone", description="The selected part of the hand", options=set())
    same_shape: bpy.props.BoolProperty(
        name="Both Hands Alike",
        description="Shape the left and the right hand together, as one performer's hands are",
        default=True,
        options=set(),
    )


def to_settings(scene: bpy.types.Scene, preferences: Any, *, own_hands: bool = False) -> Settings:
    """The frozen settings of a capture from the scene's choices and the machine's preferences.

    `own_hands`: also whether to solve with the user's MANO files; the shape of the free hand says nothing about them.
    """
    chosen = scene.handmocap
    mano = own_hands and chosen.use_mano
    return Settings(
        hands=chosen.hands,
        start=str(chosen.range_start) if chosen.use_range else "",
        end=str(chosen.range_end) if chosen.use_range else "",
        mirrored=chosen.mirrored,
        region=tuple(chosen.region) if chosen.use_region else None,
        fov=_field_of_view(scene),
        palm_mm=chosen.palm if chosen.use_performer else None,
        betas=tuple(chosen.betas) if chosen.use_performer and any(chosen.betas) and not mano else (),
        mano_right=bpy.path.abspath(preferences.mano_right) if mano and preferences.mano_right else "",
        mano_left=bpy.path.abspath(preferences.mano_left) if mano and preferences.mano_left else "",
        calibrate=chosen.calibrate,
        smoothing=chosen.smoothing,
        device=preferences.device,
        threads=preferences.threads,
    )


def _field_of_view(scene: bpy.types.Scene) -> float | None:
    """Horizontal, degrees; None: from the clip."""
    chosen = scene.handmocap
    if chosen.lens == "FOV":
        return math.degrees(chosen.fov)
    if chosen.lens == "FOCAL":
        return math.degrees(2.0 * math.atan(18.0 / chosen.focal))
    if chosen.lens == "CAMERA" and scene.camera is not None:
        return math.degrees(scene.camera.data.angle_x)
    return None


def camera_of(scene: bpy.types.Scene) -> str:
    """The chosen camera as the engine reads it, `0@1280x720/30`; or the movie that stands in for one."""
    chosen = scene.handmocap
    named = chosen.live_source.strip() or "0"
    if not named.isdigit():
        return bpy.path.abspath(named)
    size = "" if chosen.camera_size == "AUTO" else f"@{chosen.camera_size}"
    return f"{named}{size}" + ("" if chosen.camera_rate == "AUTO" else f"/{chosen.camera_rate}")


def footage_of(scene: bpy.types.Scene) -> str:
    """The path of the chosen footage as the engine reads it; empty when none is chosen.

    One picture of a sequence stands for its whole folder.
    """
    chosen = scene.handmocap
    if chosen.source == "CAMERA":
        return ""
    if chosen.source == "CLIP":
        if chosen.clip is None:
            return ""
        path = bpy.path.abspath(chosen.clip.filepath)
        return path.rpartition("/")[0] if chosen.clip.source == "SEQUENCE" else path
    return bpy.path.abspath(chosen.footage) if chosen.footage else ""
