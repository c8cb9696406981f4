# SPDX-License-Identifier: GPL-3.0-or-later
"""How sure HandMocap is, over time: a coloured strip a hand along the bottom of the timeline and the dope sheet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import bpy
import gpu
import numpy as np
from gpu_extras.batch import batch_for_shader
from numpy.typing import NDArray

from ..bridge import actions, hand_rig
from ..bridge.take_on_rig import CONFIDENCE

Array = NDArray[np.float64]

_HEIGHT, _GAP, _BOTTOM = 5.0, 2.0, 24.0
"""pixels at a resolution scale of one: of a strip, between strips, above the region's scroll bar"""
_COLOURS: Final = np.array([[0.80, 0.12, 0.10], [0.90, 0.65, 0.10], [0.25, 0.65, 0.25]])
"""of a confidence of 0, 0.5 and 1"""
_SHADES: Final = 24
"""different colours from doubt to certainty"""
_handle: Any = None


def start() -> None:
    """Draw from now on, where a scene asks for it."""
    global _handle
    if _handle is None:
        _handle = bpy.types.SpaceDopeSheetEditor.draw_handler_add(_draw, (), "WINDOW", "POST_PIXEL")


def stop() -> None:
    """Draw no more."""
    global _handle
    if _handle is not None:
        bpy.types.SpaceDopeSheetEditor.draw_handler_remove(_handle, "WINDOW")
        _handle = None
    _prepared.clear()


def confidence_of(armature: bpy.types.Object) -> tuple[Array, Array]:
    """Scene frames (n,) and confidence (n,) of the take a hand rig shows; empty when it shows none."""
    owner = actions.existing_channels(armature)
    curve = None if owner is None else owner.fcurves.find(f'["{CONFIDENCE}"]')
    if curve is None:
        return np.zeros(0), np.zeros(0)
    flat = np.empty(2 * len(curve.keyframe_points), np.float32)
    curve.keyframe_points.foreach_get("co", flat)
    points = flat.reshape(-1, 2).astype(np.float64)
    return points[:, 0], points[:, 1]


def colours(confidence: Array) -> Array:
    """(n, 4) red to green; where the hand is away nothing is drawn."""
    mixed = np.stack([np.interp(confidence, [0.0, 0.5, 1.0], _COLOURS[:, part]) for part in range(3)], axis=-1)
    return np.concatenate([mixed, np.where(confidence > 0.0, 1.0, 0.0)[:, None]], axis=1)


def bars(frames: Array, confidence: Array) -> tuple[Array, Array]:
    """Corners (6 n, 2) of two triangles a bar, in frames and from 0 to 1, and their colours (6 n, 4).

    Neighbours whose colour nobody could tell apart are one bar, so that a long take has few.
    """
    if not len(frames):
        return np.zeros((0, 2)), np.zeros((0, 4))
    shown = np.where(confidence > 0.0, np.ceil(confidence * _SHADES) / _SHADES, 0.0)
    starts = np.flatnonzero(np.concatenate([[True], np.diff(shown) != 0.0]))
    middle = 0.5 * (frames[1:] + frames[:-1])
    edges = np.concatenate([[frames[0] - 0.5], middle, [frames[-1] + 0.5]])
    left, right = edges[starts], edges[np.concatenate([starts[1:], [len(frames)]])]
    low, high = np.zeros(len(left)), np.ones(len(left))
    corners = [(left, low), (right, low), (right, high), (left, low), (right, high), (left, high)]
    places = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)
    return places, np.repeat(colours(shown[starts]), 6, axis=0)


_prepared: dict[str, tuple[bytes, Any]] = {}
"""By the name of an armature: the keys that were drawn last, and what draws them. Made anew only when keys change."""


def prepared(armature: bpy.types.Object, make: Callable[[Array, Array], Any]) -> Any:
    """What draws the strip of a hand, as `make` has it of its corners and colours; None when there is nothing."""
    frames, confidence = confidence_of(armature)
    if not len(frames):
        return None
    known, keys = _prepared.get(armature.name), frames.tobytes() + confidence.tobytes()
    if known is None or known[0] != keys:
        known = keys, make(*bars(frames, confidence))
        _prepared[armature.name] = known
    return known[1]


def _batch(corners: Array, painted: Array) -> Any:
    attributes = {"pos": corners.astype(np.float32), "color": painted.astype(np.float32)}
    return batch_for_shader(gpu.shader.from_builtin("FLAT_COLOR"), "TRIS", attributes)


def _draw() -> None:
    context = bpy.context
    if not context.scene.handmocap.review.show_confidence:
        return
    scale = context.preferences.system.ui_scale
    view = context.region.view2d
    shader = gpu.shader.from_builtin("FLAT_COLOR")
    # The view tells whole pixels only, so a frame's width is that of a thousandth of many.
    origin, ahead = (view.view_to_region(x, 0.0, clip=False)[0] for x in (0.0, 1000.0))
    for row, rig in enumerate(hand_rig.find_hands(context.scene).values()):
        batch = prepared(rig.armature, _batch)
        if batch is None:
            continue
        with gpu.matrix.push_pop():
            gpu.matrix.translate((origin, (_BOTTOM + row * (_HEIGHT + _GAP)) * scale))
            gpu.matrix.scale(((ahead - origin) / 1000.0, _HEIGHT * scale))
            batch.draw(shader)
