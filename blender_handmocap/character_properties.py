# SPDX-License-Identifier: GPL-3.0-or-later
"""Choices of what happens to a take after it is captured: groups of `Scene.handmocap`."""

from __future__ import annotations

import math
from typing import Any, Final

import bpy

from .bridge.character import Anchor, Choices, Edited, Place, Reach, WristMotion
from .bridge.edits import Changes
from .bridge.thin_keys import Thinning

WRISTS: Final = (
    (WristMotion.KEEP.value, "Body's Own", "The wrist stays as the body's animation has it"),
    (WristMotion.ADD.value, "Add the Take's", "How the take's wrist turns is added to the body's animation"),
)

ANCHORS: Final = (
    (Anchor.CHEST.value, "Chest", "The hands go along with the chest"),
    (Anchor.HEAD.value, "Head", "The hands go along with the head, as for hands that touch the face"),
    (Anchor.STILL.value, "Nothing", "The hands stay where the character stands at rest"),
)

CHANGES: Final = (
    (Changes.CORRECT.value, "Become Corrections", "The new take has them exactly; the frames around follow"),
    (Changes.LAYER.value, "A Layer of Their Own", "They lie over every new take as an NLA layer that can be muted"),
    (Changes.ASK.value, "Ask", "Stop and say how many frames were changed since the take was applied"),
)

EDITED: Final = (
    (Edited.ASK.value, "Ask", "Stop and say which keys were changed since the last bake"),
    (Edited.KEEP.value, "Keep", "Keep changed poses exactly; the frames around lead over to them"),
    (Edited.REPLACE.value, "Replace", "Bake over them"),
)


THINNINGS: Final = (
    (Thinning.ERROR.value, "By Error", "Each bone keeps as few keys as its error allows"),
    (Thinning.TOGETHER.value, "By Error, Together", "The same, all fingers of a hand on the same frames"),
    (Thinning.POSES.value, "Pose to Pose", "Holds and extremes, all fingers on the same frames"),
)


def _redraw_timelines(_group: object, context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "DOPESHEET_EDITOR":
                area.tag_redraw()


class HANDMOCAP_PG_review(bpy.types.PropertyGroup):
    """How a take is looked at."""

    show_confidence: bpy.props.BoolProperty(
        name="Confidence in Timeline",
        description="Show how sure HandMocap is as a strip a hand in the timeline, red where it is not",
        default=True,
        options=set(),
        update=_redraw_timelines,
    )
    changes: bpy.props.EnumProperty(
        name="Changed Keys",
        description="What becomes of keys you changed on the hands when their take is fixed or smoothed again",
        items=CHANGES,
        options=set(),
    )


class HANDMOCAP_PG_clean_up(bpy.types.PropertyGroup):
    """How a take is smoothed, and how many keys rigs get of it."""

    place_apart: bpy.props.BoolProperty(
        name="Place Apart", description="Smooth the hands' place by another strength", options=set()
    )
    place_smoothing: bpy.props.FloatProperty(
        name="Place", description="Smoothing of the hands' place", default=1.0, min=0.0, max=10.0, options=set()
    )
    limits: bpy.props.BoolProperty(
        name="Joint Limits", description="Bring fingers back to what fingers can do", options=set()
    )
    thinning: bpy.props.EnumProperty(name="Keys", description="Which frames keep a key", items=THINNINGS, options=set())
    error: bpy.props.FloatProperty(
        name="Error",
        description="How far a joint may be off between the keys that are left",
        default=math.radians(1.0),
        min=math.radians(0.01),
        max=math.radians(45.0),
        subtype="ANGLE",
        options=set(),
    )


class HANDMOCAP_PG_retarget(bpy.types.PropertyGroup):
    """How a take goes onto the character."""

    wrist: bpy.props.EnumProperty(name="Wrist", description="What happens to the wrist", items=WRISTS, options=set())
    twist: bpy.props.FloatProperty(
        name="Forearm Twist",
        description="Share of the wrist's twist that the forearm takes over, so that the skin does not wring",
        default=0.5,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options=set(),
    )
    contact: bpy.props.BoolProperty(
        name="Keep Contact",
        description="What touches in the take touches on the character, whatever the size of its hands",
        default=True,
        options=set(),
    )
    anchor: bpy.props.EnumProperty(
        name="Go Along With", description="What the hands in space are carried by", items=ANCHORS, options=set()
    )
    tilt: bpy.props.FloatProperty(
        name="Tilt",
        description="Lean the hands' space towards the character; above zero for footage filmed from higher up",
        min=math.radians(-90.0),
        max=math.radians(90.0),
        subtype="ANGLE",
        options=set(),
    )
    scale: bpy.props.FloatProperty(
        name="Scale",
        description="Of the hands' paths, beside the character's own size",
        default=1.0,
        min=0.05,
        soft_min=0.5,
        soft_max=2.0,
        options=set(),
    )
    shift: bpy.props.FloatVectorProperty(
        name="Shift",
        description="To the character's left, to its back, and up",
        subtype="TRANSLATION",
        unit="LENGTH",
        options=set(),
    )
    edited: bpy.props.EnumProperty(
        name="Changed Keys",
        description="What becomes of keys that were changed since the last bake",
        items=EDITED,
        options=set(),
    )
    use_range: bpy.props.BoolProperty(
        name="Part", description="Bake only some scene frames; everything else stays", options=set()
    )
    range_start: bpy.props.IntProperty(name="First", description="First scene frame to bake", default=1, options=set())
    range_end: bpy.props.IntProperty(name="Last", description="Last scene frame to bake", default=250, options=set())
    sync_marker: bpy.props.StringProperty(
        name="Marker",
        description="A timeline marker in the body's animation, at a clap or another moment seen in the clip as well",
    )
    sync_frame: bpy.props.IntProperty(
        name="Clip Frame", description="The clip's frame that falls on the marker", min=0, options=set()
    )


def choices_of(scene: bpy.types.Scene) -> Choices:
    """The frozen choices of a bake."""
    chosen: Any = scene.handmocap
    how = chosen.retarget
    return Choices(
        reach=Reach(chosen.character_reach),
        wrist=WristMotion(how.wrist),
        twist=how.twist,
        contact=how.contact,
        place=Place(anchor=Anchor(how.anchor), tilt=how.tilt, scale=how.scale, shift=tuple(how.shift)),
        edited=Edited(how.edited),
    )
