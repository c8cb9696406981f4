# SPDX-License-Identifier: GPL-3.0-or-later
"""How sure HandMocap is, over time: a coloured strip a hand along the bottom of the timeline and the dope sheet."""

from __future__ import annotations

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


def bars(edges: Array, bottom: float, height: float) -> Array:
    """(6 n, 2) corners of two triangles a frame between neighbouring edges (n + 1,), pixels."""
    left, right = edges[:-1], edges[1:]
    low, high = np.full(len(left), bottom), np.full(len(left), bottom + height)
    corners = [(left, low), (right, low), (right, high), (left, low), (right, high), (left, high)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)


def _draw() -> None:
    context = bpy.context
    if not context.scene.handmocap.review.show_confidence:
        return
    scale = context.preferences.system.ui_scale
    view = context.region.view2d
    shader = gpu.shader.from_builtin("FLAT_COLOR")
    for row, rig in enumerate(hand_rig.find_hands(context.scene).values()):
        frames, confidence = confidence_of(rig.armature)
        if not len(frames):
            continue
        origin, ahead = (view.view_to_region(x, 0.0, clip=False)[0] for x in (0.0, 1000.0))
        middle = 0.5 * (frames[1:] + frames[:-1])
        edges = np.concatenate([[frames[0] - 0.5], middle, [frames[-1] + 0.5]])
        bottom = (_BOTTOM + row * (_HEIGHT + _GAP)) * scale
        corners = bars(origin + edges * (ahead - origin) / 1000.0, bottom, _HEIGHT * scale)
        painted = np.repeat(colours(confidence), 6, axis=0)
        batch_for_shader(shader, "TRIS", {"pos": corners.astype(np.float32), "color": painted.astype(np.float32)}).draw(
            shader
        )
