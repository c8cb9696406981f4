# SPDX-License-Identifier: GPL-3.0-or-later
"""Rings, watches, bracelets and sleeves: built round the posed skin, so that they fit every hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numba as nb
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
_ANGLE: Final = np.arange(_AROUND) / _AROUND * 2 * np.pi
_COSINE: Final = np.cos(_ANGLE)
_SINE: Final = np.sin(_ANGLE)
_BEFORE: Final = np.arange(_AROUND) - 1
_AFTER: Final = (np.arange(_AROUND) + 1) % _AROUND
_METALS: Final = ((0.85, 0.62, 0.25), (0.75, 0.75, 0.78), (0.8, 0.5, 0.4), (0.06, 0.06, 0.07))


def worn(wear: Wear, hand: HandPose, rest: RestHand, skin: Body) -> list[Body]:
    """The bodies of something worn by a hand whose posed skin is `skin`."""
    random = np.random.default_rng([wear.seed, 37])
    if wear.kind == "ring":
        return [_ring(wear, hand, rest, skin, random)]
    if wear.kind == "sleeve":
        return [_sleeve(wear, hand, skin, random)]
    return _band(wear, hand, skin, random)


def _cross(a: Array, b: Array) -> Array:
    """Cross product of two vectors (3,); numpy's own spends most of its time on shapes."""
    return np.array([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def _outlines(points: Array, origin: Array, axis: Array, up: Array, steps: Array, reach: float) -> Array:
    """How far points stick out about the axis (S, A), at each of `steps` metres along it from the origin.

    Looks at points within `reach` of each step's plane; smoothed, so that nothing follows single vertices.
    """
    along, height, across = ((points - origin) @ np.stack([axis, up, _cross(axis, up)], axis=1)).T
    radius = np.hypot(height, across)
    sector = np.rint(np.arctan2(across, height) * (_AROUND / (2 * np.pi))).astype(np.intp) % _AROUND
    out = np.zeros((len(steps), _AROUND))
    _widest(along, sector, radius, steps, reach, out)
    known = out > 0
    mean = out.sum(1, keepdims=True) / np.maximum(known.sum(1, keepdims=True), 1)
    out = np.where(known, out, np.where(mean > 0, mean, 0.01))
    out = np.maximum(out, np.maximum(out[:, _BEFORE], out[:, _AFTER]))
    for _ in range(3):
        out = 0.25 * out[:, _BEFORE] + 0.5 * out + 0.25 * out[:, _AFTER]
    return out


@nb.njit(cache=True)
def _widest(along, sector, radius, steps, reach, out):  # type: ignore[no-untyped-def]
    """The largest radius near each step (S,) in each sector, into out (S, A)."""
    for i in range(len(along)):
        for s in range(len(steps)):
            if abs(along[i] - steps[s]) < reach:
                out[s, sector[i]] = max(out[s, sector[i]], radius[i])


def _loops(origin: Array, axis: Array, up: Array, steps: Array, radius: Array) -> Array:
    """(S, A, 3) points about the axis at radii (S, A), at `steps` metres along it."""
    ring = _COSINE[:, None] * up + _SINE[:, None] * _cross(axis, up)
    return origin + steps[:, None, None] * axis + radius[:, :, None] * ring


def _tube(loops: Array) -> Mesh:
    """A closed ring-shaped mesh from cross-section loops (S, A, 3), the last joined to the first."""
    rings, around = loops.shape[:2]
    flat, faces, face_uv = grid_mesh(np.concatenate([loops, loops[:1]]))
    # grid_mesh repeats the first loop at the end: let both be one, so that the surface has no border.
    faces = np.where(faces >= rings * around, faces - rings * around, faces).astype(np.int32)
    return flat[: rings * around], faces, face_uv


def _body(mesh: Mesh, material: Material, wear: Wear) -> Body:
    points, faces, face_uv = mesh
    return Body(points=points.astype(np.float32), faces=faces, face_uv=face_uv, material=material, owner=wear.hand)


def _on_hand(body: Body, skin: Body, vertices: NDArray[np.intp]) -> Body:
    """The body counted as part of the hand: each point takes part and surface place of the nearest skin vertex."""
    assert skin.part is not None and skin.canonical is not None
    near = skin.points[vertices]
    # Squared distances by the binomial formula, relative to the middle, to stay exact in float32.
    middle = near.mean(0)
    a, b = body.points - middle, near - middle
    nearest = vertices[((b * b).sum(1) - 2.0 * (a @ b.T)).argmin(1)]
    return replace(body, side=skin.side, part=skin.part[nearest], canonical=skin.canonical[nearest])


def _metal(random: np.random.Generator) -> Material:
    colour = np.array(_METALS[int(random.integers(len(_METALS)))]) * 0.55
    return Material(
        texture=pattern(0, "wall"), colour=tuple(colour), roughness=float(random.uniform(0.18, 0.4)), reflectance=0.35
    )


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
    own = np.flatnonzero(render_hand(hand.side).weights[:, joint] > 0.45)
    radius = _outlines(skin.points[own].astype(np.float64), origin, axis, up, np.zeros(1), 0.0045)
    width, height = random.uniform(0.001, 0.0035), random.uniform(0.0006, 0.0016)
    profile = np.array(
        [[-width, -0.0004], [-width, height * 0.6], [0.0, height], [width, height * 0.6], [width, -0.0004]]
    )
    mesh = _tube(_loops(origin, axis, up, profile[:, 0], radius + profile[:, 1:]))
    return _on_hand(_body(mesh, _metal(random), wear), skin, own)


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
    radius = _outlines(_lower(hand, skin), origin, axis, up, np.zeros(1), 0.012) + 0.001 + wear.place[1]
    watch = wear.kind == "watch"
    half, thick = (
        (random.uniform(0.008, 0.012), 0.003)
        if watch
        else (random.uniform(0.002, 0.012), random.uniform(0.0015, 0.004))
    )
    profile = np.array([[-half, -0.001], [-half, thick * 0.8], [0, thick], [half, thick * 0.8], [half, -0.001]])
    mesh = _tube(_loops(origin, axis, up, profile[:, 0], radius + profile[:, 1:]))
    strap = (
        _metal(random)
        if random.random() < 0.4
        else Material(texture=pattern(wear.seed, "wall"), colour=tuple(random.uniform(0.02, 0.8, 3)), roughness=0.6)
    )
    out = [_body(mesh, strap, wear)]
    if watch:
        case = lathe(np.array([[1e-4, -1], [0.95, -1], [1, -0.8], [1, 0.6], [0.9, 1], [1e-4, 1]]))
        size, depth = random.uniform(0.014, 0.021), random.uniform(0.004, 0.006)
        frame = np.stack([axis, up, _cross(axis, up)], axis=1)
        points = (case[0] * [size, depth, size]) @ frame.T + origin + up * (radius[0, 0] + 0.4 * depth)
        face = Material(
            texture=pattern(wear.seed, "screen"),
            colour=tuple(random.uniform(0.05, 0.9) * np.ones(3)),
            roughness=0.18,
            reflectance=0.06,
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
    tight = _outlines(lower, wrist, axis, up, steps, 0.014)
    folds = np.zeros_like(tight)
    for _ in range(4):
        rate, count, phase = random.uniform(60, 260), int(random.integers(0, 4)), random.uniform(0, 7)
        folds += random.uniform(0.1, 0.35) * np.sin(rate * steps[:, None] + count * _ANGLE + phase)
    # Cloth hangs rounder than the arm is.
    loose = 0.5 * tight + 0.5 * tight.max(1, keepdims=True) + slack * (1.2 + folds)
    inside = min(start + 0.03, end)
    places = np.array([inside, inside, start, *steps, end])
    radii = np.concatenate([0 * tight[:1], 0.6 * tight[:1], tight[:1] + 0.6 * slack, loose, 0 * tight[:1]])
    rings = _loops(wrist, axis, up, places, radii)
    roughness = float(random.uniform(0.7, 1.0))
    colour = tuple(random.uniform(0.4, 1.3) * np.ones(3))
    return _body(
        grid_mesh(rings),
        Material(texture=pattern(wear.seed, "cloth"), colour=colour, roughness=roughness, reflectance=0.02),
        wear,
    )
