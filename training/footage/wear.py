# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings, watches, bracelets and sleeves: built round the posed skin, so that they fit every hand."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.model import RestHand
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, FOREARM_PART

from .bodies import Body, Material
from .scene import HandPose, Wear
from .surface import hand_model, render_hand
from .things import Mesh, grid_mesh, lathe, pattern

Array = NDArray[np.float64]

_AROUND: Final = 28
_METALS: Final = ((0.85, 0.62, 0.25), (0.75, 0.75, 0.78), (0.8, 0.5, 0.4), (0.06, 0.06, 0.07))


def worn(wear: Wear, hand: HandPose, rest: RestHand, skin: Body) -> list[Body]:
    """The bodies of something worn by a hand whose posed skin is `skin`."""
    random = np.random.default_rng([wear.seed, 37])
    if wear.kind == "ring":
        return [_ring(wear, hand, rest, skin, random)]
    if wear.kind == "sleeve":
        return [_sleeve(wear, hand, skin, random)]
    return _band(wear, hand, skin, random)


def _outline(points: Array, origin: Array, axis: Array, up: Array, reach: float) -> Array:
    """How far (A,) the points within `reach` of the plane through origin stick out about the axis, smoothed."""
    relative = points - origin
    along = relative @ axis
    near = relative[np.abs(along) < reach]
    side = np.cross(axis, up)
    radius = np.hypot(near @ up, near @ side)
    sector = (np.arctan2(near @ side, near @ up) / (2 * np.pi) * _AROUND).round().astype(int) % _AROUND
    out = np.zeros(_AROUND)
    np.maximum.at(out, sector, radius)
    empty = out == 0
    if empty.all():
        return np.full(_AROUND, 0.01)
    out[empty] = np.median(out[~empty])
    # Fill the dents between vertices, then even out: nothing worn follows single vertices.
    out = np.maximum(out, np.maximum(np.roll(out, 1), np.roll(out, -1)))
    for _ in range(3):
        out = 0.25 * np.roll(out, 1) + 0.5 * out + 0.25 * np.roll(out, -1)
    return out


def _loop(origin: Array, axis: Array, up: Array, radius: Array) -> Array:
    """(A, 3) points about the axis at the given radii."""
    angle = np.arange(_AROUND) / _AROUND * 2 * np.pi
    side = np.cross(axis, up)
    return origin + radius[:, None] * (np.cos(angle)[:, None] * up + np.sin(angle)[:, None] * side)


def _tube(loops: list[Array]) -> Mesh:
    """A closed ring-shaped mesh: cross-section loops joined end to start."""
    stacked = np.stack(loops)
    rings, around = stacked.shape[:2]
    points = np.concatenate([stacked, stacked[:1]])
    flat, faces, face_uv = grid_mesh(points)
    # grid_mesh repeats the first loop at the end: let both be one, so that the surface has no border.
    faces = np.where(faces >= rings * around, faces - rings * around, faces).astype(np.int32)
    return flat[: rings * around], faces, face_uv


def _body(mesh: Mesh, material: Material, wear: Wear, *, skin: Body | None = None, nearest: int = 0) -> Body:
    points, faces, face_uv = mesh
    if skin is None or skin.part is None or skin.canonical is None:
        return Body(points=points.astype(np.float32), faces=faces, face_uv=face_uv, material=material, owner=wear.hand)
    close = ((points[:, None, :] - skin.points[None, nearest:]) ** 2).sum(2).argmin(1) + nearest
    return Body(
        points=points.astype(np.float32), faces=faces, face_uv=face_uv, material=material, owner=wear.hand,
        side=skin.side, part=skin.part[close], canonical=skin.canonical[close],
    )  # fmt: skip


def _metal(random: np.random.Generator) -> Material:
    colour = np.array(_METALS[int(random.integers(len(_METALS)))]) * 0.55
    return Material(texture=pattern(0, "wall"), colour=tuple(colour), roughness=float(random.uniform(0.18, 0.4)), reflectance=0.35)


def _ring(wear: Wear, hand: HandPose, rest: RestHand, skin: Body, random: np.random.Generator) -> Body:
    """A band, perhaps with a stone, about a finger's first bone."""
    finger = FINGERS[int(wear.place[0]) % len(FINGERS)]
    joint = FINGER_JOINTS[finger][1 if finger == "thumb" else 0]
    posed = hand_model(hand.side).pose(hand.rotation[None], hand.translation[None], rest)
    start, stop = posed.joints[0, joint], posed.joints[0, joint + 1]
    axis = (stop - start) / np.linalg.norm(stop - start)
    origin = start + (stop - start) * wear.place[1]
    up = posed.orientation[0, joint] @ np.array([0.0, 1.0, 0.0])
    up = up - axis * (up @ axis)
    up /= np.linalg.norm(up)
    own = skin.points[render_hand(hand.side).weights[:, joint] > 0.45].astype(np.float64)
    radius = _outline(own, origin, axis, up, 0.0045)
    width, height = random.uniform(0.001, 0.0035), random.uniform(0.0006, 0.0016)
    profile = [(-width, -0.0004), (-width, height * 0.6), (0.0, height), (width, height * 0.6), (width, -0.0004)]
    mesh = _tube([_loop(origin + axis * a, axis, up, radius + r) for a, r in profile])
    return _body(mesh, _metal(random), wear, skin=skin)


def _forearm(hand: HandPose) -> tuple[Array, Array, Array]:
    """The wrist (3,), the way down the forearm (3,) and its back (3,), camera axes."""
    turn = rotations.matrix_from_quaternion(rotations.multiply(hand.rotation[0], hand.forearm))
    away = 1.0 if hand.side == "right" else -1.0
    return hand.translation, turn @ np.array([away, 0.0, 0.0]), turn @ np.array([0.0, 1.0, 0.0])


def _lower(hand: HandPose, skin: Body) -> Array:
    """The skin about the wrist and below."""
    weights = render_hand(hand.side).weights
    return skin.points[weights[:, 0] + weights[:, FOREARM_PART] > 0.6].astype(np.float64)


def _band(wear: Wear, hand: HandPose, skin: Body, random: np.random.Generator) -> list[Body]:
    """A strap about the wrist; a watch has a case on the back of the arm."""
    wrist, axis, up = _forearm(hand)
    origin = wrist + axis * wear.place[0]
    radius = _outline(_lower(hand, skin), origin, axis, up, 0.012) + 0.001 + wear.place[1]
    watch = wear.kind == "watch"
    half, thick = (random.uniform(0.008, 0.012), 0.003) if watch else (random.uniform(0.002, 0.012), random.uniform(0.0015, 0.004))
    profile = [(-half, -0.001), (-half, thick * 0.8), (0, thick), (half, thick * 0.8), (half, -0.001)]
    mesh = _tube([_loop(origin + axis * a, axis, up, radius + r) for a, r in profile])
    strap = (
        _metal(random)
        if random.random() < 0.4
        else Material(texture=pattern(wear.seed, "wall"), colour=tuple(random.uniform(0.02, 0.8, 3)), roughness=0.6)
    )
    out = [_body(mesh, strap, wear)]
    if watch:
        case = lathe(np.array([[1e-4, -1], [0.95, -1], [1, -0.8], [1, 0.6], [0.9, 1], [1e-4, 1]]))
        size, depth = random.uniform(0.014, 0.021), random.uniform(0.004, 0.006)
        frame = np.stack([axis, up, np.cross(axis, up)], axis=1)
        points = (case[0] * [size, depth, size]) @ frame.T + origin + up * (radius[0] + 0.4 * depth)
        face = Material(
            texture=pattern(wear.seed, "screen"), colour=tuple(random.uniform(0.05, 0.9) * np.ones(3)), roughness=0.18, reflectance=0.06
        )
        out.append(_body((points, case[1], case[2]), face, wear))
    return out


def _sleeve(wear: Wear, hand: HandPose, skin: Body, random: np.random.Generator) -> Body:
    """A tube of cloth from a cuff at `place[0]` metres down the arm to beyond the arm's end."""
    wrist, axis, up = _forearm(hand)
    lower = _lower(hand, skin)
    end = float(((lower - wrist) @ axis).max()) + 0.012
    start = min(wear.place[0], end - 0.03)
    slack = 0.003 + max(wear.place[1], 0.0)
    steps = np.linspace(start, end, 12)
    angle = np.arange(_AROUND) / _AROUND * 2 * np.pi
    waves = [(random.uniform(60, 260), random.integers(0, 4), random.uniform(0, 7), random.uniform(0.1, 0.35)) for _ in range(4)]
    loops = []
    for step in steps:
        origin = wrist + axis * step
        radius = _outline(lower, origin, axis, up, 0.014)
        folds = sum(amount * np.sin(rate * step + count * angle + phase) for rate, count, phase, amount in waves)
        # Cloth hangs rounder than the arm is.
        loops.append(_loop(origin, axis, up, 0.5 * radius + 0.5 * radius.max() + slack * (1.2 + folds)))
    mouth = _loop(wrist + axis * start, axis, up, _outline(lower, wrist + axis * start, axis, up, 0.014) + 0.6 * slack)
    inner = _loop(wrist + axis * min(start + 0.03, end), axis, up, 0.6 * _outline(lower, wrist + axis * start, axis, up, 0.02))
    tip = np.broadcast_to(wrist + axis * end, (_AROUND, 3))
    rings = np.stack([np.broadcast_to(inner.mean(0), (_AROUND, 3)), inner, mouth, *loops, tip])
    roughness = float(random.uniform(0.7, 1.0))
    colour = tuple(random.uniform(0.4, 1.3) * np.ones(3))
    return _body(grid_mesh(rings), Material(texture=pattern(wear.seed, "cloth"), colour=colour, roughness=roughness, reflectance=0.02), wear)
