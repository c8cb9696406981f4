# SPDX-License-Identifier: GPL-3.0-or-later
"""The floor: how closely our hand can follow hands that others have measured, in millimetres.

`python -m training.hand.floor --data DIR` fits the model to 3D truth itself, so what is left is
skeleton, hinges, shape and the definition of the points, none of it seeing. Per hand: hinge angles
within their limits, rotation, place and scale; the mean shape, or one set of betas a source.
The error is the mean distance of the 21 points after that similarity fit.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import euler_matrix, free_index, pack, rotations_from_angles, unpack
from blender_handmocap.engine.hand.free import HAND_FILE, Hinges, free_hand, free_hinges
from blender_handmocap.engine.hand.jacobians import PointJacobian, keypoint_jacobian
from blender_handmocap.engine.hand.model import HandModel, PosedHand, RestHand
from blender_handmocap.engine.hand.names import PALM_KEYPOINTS
from training.footage import split

Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

_ROUNDS: Final = 25
_SHAPE_ROUNDS: Final = 5
_POINT_SIGMA: Final = 0.005
_REST_SIGMA: Final = np.radians(90.0)
_LIMIT_SIGMA: Final = np.radians(1.0)
_EVERY_LEAP_FRAME: Final = 12


@dataclass(frozen=True)
class Floor:
    """One source, fitted: mean point distances in millimetres."""

    name: str
    hands: int
    mean_shape: float
    own_shape: float
    betas: Array
    """(10,)"""
    by_point: Array
    """(21,) mean shape"""


def fit(points: Array, model: HandModel, hinges: Hinges, betas: Array | None = None) -> tuple[Array, Array, Array]:
    """Hands (N, 21, 3) in metres, right -> what the model reaches (N, 21, 3), quaternions (N, 16, 4), scale (N,)."""
    reached, (root, _, scale, angles) = _fit(points, model, hinges, betas)
    return reached, rotations_from_angles(angles, hinges, rotations.quaternion_from_matrix(root)), scale


def _fit(
    points: Array, model: HandModel, hinges: Hinges, betas: Array | None
) -> tuple[Array, tuple[Array, Array, Array, Array]]:
    """What is reached, and root (N, 3, 3), place (N, 3), scale (N,), angles (N, 16, 3)."""
    rest = model.rest(betas)
    palm = list(PALM_KEYPOINTS)
    angles = np.zeros((len(points), 16, 3))
    angles[..., 0] = np.radians(20.0)
    angles = np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free
    flat = model.pose(rotations_from_angles(np.zeros((1, 16, 3)), hinges), np.zeros((1, 3)), rest).keypoints
    root = rotations.aligning_rotation(np.broadcast_to(flat[:, palm], (len(points), len(palm), 3)), points[:, palm])
    spread = np.linalg.norm(points[:, palm] - points[:, palm].mean(1, keepdims=True), axis=(1, 2))
    scale = spread / np.linalg.norm(flat[0, palm] - flat[0, palm].mean(0))
    place = points[:, 0].copy()
    damping = np.full(len(points), 1e-2)
    state = (root, place, scale, angles)
    cost, normal, gradient = _build(points, model, hinges, rest, state)
    diagonal = np.arange(normal.shape[-1])
    for _ in range(_ROUNDS):
        damped = normal.copy()
        damped[:, diagonal, diagonal] *= 1.0 + damping[:, None]
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        root, place, scale, angles = state
        trial_state = (
            rotations.matrix_from_vector(step[:, :3]) @ root,
            place + step[:, 3:6],
            scale * np.exp(np.clip(step[:, 6], -0.3, 0.3)),
            angles + unpack(step[:, 7:], hinges),
        )
        trial = _build(points, model, hinges, rest, trial_state)
        better = trial[0] < cost
        damping = np.where(better, damping * 0.2, damping * 8.0).clip(1e-9, 1e9)
        state = tuple(_where(better, new, old) for new, old in zip(trial_state, state, strict=True))
        cost, normal, gradient = (_where(better, n, o) for n, o in zip(trial, (cost, normal, gradient), strict=True))
    root, place, scale, angles = state
    angles = np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free
    state = (root, place, scale, angles)
    return _reached(_pose(model, hinges, rest, state), place, scale), state


def _where(better: NDArray[np.bool_], new: Array, old: Array) -> Array:
    return np.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)


def _pose(model: HandModel, hinges: Hinges, rest: RestHand, state: tuple[Array, ...]) -> PosedHand:
    root, _, _, angles = state
    quaternions = rotations_from_angles(angles, hinges, rotations.quaternion_from_matrix(root))
    return model.pose(quaternions, np.zeros((len(root), 3)), rest)


def _reached(posed: PosedHand, place: Array, scale: Array) -> Array:
    return posed.keypoints * scale[:, None, None] + place[:, None]


def _columns(jacobian: PointJacobian, posed: PosedHand, hinges: Hinges, scale: Array, angles: Array) -> Array:
    """(N, 63, P) by root 3, place 3, log scale, free angles, in spreads of a point."""
    count = len(scale)
    columns = np.concatenate(
        [
            jacobian.root * scale[:, None, None, None],
            np.broadcast_to(np.eye(3), (count, 21, 3, 3)),
            (posed.keypoints * scale[:, None, None])[..., None],
            _by_angles(jacobian, hinges, angles) * scale[:, None, None, None],
        ],
        axis=-1,
    )
    return columns.reshape(count, 63, -1) / _POINT_SIGMA


def _build(
    points: Array, model: HandModel, hinges: Hinges, rest: RestHand, state: tuple[Array, ...]
) -> tuple[Array, Array, Array]:
    """Cost (N,), normal matrix (N, P, P) and gradient (N, P)."""
    _, place, scale, angles = state
    posed = _pose(model, hinges, rest, state)
    columns = _columns(keypoint_jacobian(model, rest, posed), posed, hinges, scale, angles)
    residual = (_reached(posed, place, scale) - points).reshape(len(points), 63) / _POINT_SIGMA
    packed = pack(angles, hinges)
    low, high = (pack(hinges.limits[..., end], hinges) for end in (0, 1))
    beyond = (np.maximum(packed - high, 0.0) + np.minimum(packed - low, 0.0)) / _LIMIT_SIGMA
    turned = np.swapaxes(columns, 1, 2)
    normal = turned @ columns
    index = 7 + np.arange(packed.shape[1])
    normal[:, index, index] += _REST_SIGMA**-2 + (beyond != 0.0) * _LIMIT_SIGMA**-2
    gradient = (turned @ residual[..., None])[..., 0]
    gradient[:, 7:] += packed / _REST_SIGMA**2 + beyond / _LIMIT_SIGMA
    cost = (residual**2).sum(1) + (packed**2).sum(1) / _REST_SIGMA**2 + (beyond**2).sum(1)
    return cost, normal, gradient


def _by_angles(jacobian: PointJacobian, hinges: Hinges, angles: Array) -> Array:
    """(N, 21, 3, free): an angle turns its joint about an axis in the canonical axes of the parent."""
    joints, axes = np.divmod(free_index(hinges), 3)
    out = np.empty((*jacobian.joints.shape[:3], len(joints)))
    for column, (joint, axis) in enumerate(zip(joints, axes, strict=True)):
        before = angles[:, joint].copy()
        before[:, axis:] = 0.0
        about = (hinges.frame[joint] @ euler_matrix(before))[..., axis]
        out[..., column] = np.einsum("nkcw,nw->nkc", jacobian.joints[..., joint - 1, :], about)
    return out


def _fit_betas(points: Array, model: HandModel, hinges: Hinges) -> tuple[Array, Array]:
    """One shape for all hands (N, 21, 3): betas (10,), a prior of one spread counted once, and what is reached."""
    betas = np.zeros(10)
    for _ in range(_SHAPE_ROUNDS):
        reached, state = _fit(points, model, hinges, betas)
        rest = model.rest(betas)
        posed = _pose(model, hinges, rest, state)
        jacobian = keypoint_jacobian(model, rest, posed)
        _, _, scale, angles = state
        own = _columns(jacobian, posed, hinges, scale, angles)
        shape = (jacobian.betas * scale[:, None, None, None]).reshape(len(points), 63, -1) / _POINT_SIGMA
        residual = (reached - points).reshape(len(points), 63, 1) / _POINT_SIGMA
        # What a hand's own pose can take up is taken out (Schur complement): the shape explains the rest.
        pose_normal = np.swapaxes(own, 1, 2) @ own + 1e-2 * np.eye(own.shape[2])
        rest_of_shape = shape - own @ np.linalg.solve(pose_normal, np.swapaxes(own, 1, 2) @ shape)
        normal = (np.swapaxes(rest_of_shape, 1, 2) @ shape).sum(0) + np.eye(10)
        gradient = (np.swapaxes(rest_of_shape, 1, 2) @ residual).sum(0)[:, 0] + betas
        betas = betas - np.linalg.solve(normal, gradient)
    return betas, fit(points, model, hinges, betas)[0]


def measure(name: str, points: Array, path: Path = HAND_FILE) -> Floor:
    """The floor on right hands (N, 21, 3), metres."""
    model, hinges = free_hand("right", path), free_hinges("right", path)
    distance = np.linalg.norm(fit(points, model, hinges)[0] - points, axis=-1) * 1e3
    betas, reached = _fit_betas(points, model, hinges)
    own = np.linalg.norm(reached - points, axis=-1) * 1e3
    return Floor(name, len(points), float(distance.mean()), float(own.mean()), betas, distance.mean(0))


def sources(data: Path, *, test: bool | None) -> Iterator[tuple[str, Array]]:
    """Named right hands (N, 21, 3) in metres; of the mocap one side of the split, or both when None."""
    entries = json.loads((data / "two_views" / "index.json").read_text())
    if test is not False:
        points = np.array([e["joints3d"] for e in entries], dtype=np.float64)
        side = np.array([e["hand"].lower().startswith("l") for e in entries])
        yield "two views (pseudo truth)", _right(points, side)
    for path in sorted((data / "mocap_leap").glob("*.npz")):
        if test is not None and split.is_test("recording", path.stem) != test:
            continue
        with np.load(path) as file:
            joints = np.asarray(file["joints"], dtype=np.float64)[::_EVERY_LEAP_FRAME]
        left = np.broadcast_to([True, False], joints.shape[:2]).reshape(-1)
        joints = joints.reshape(-1, 21, 3)
        whole = np.isfinite(joints).all((1, 2))
        if whole.any():
            yield f"Leap, {path.stem}", _right(joints[whole], left[whole])
    for kind in ("quest", "webxr"):
        with np.load(data / f"mocap_{kind}" / "poses.npz") as file:
            joints, names = np.asarray(file["joints"], dtype=np.float64), [str(name) for name in file["names"]]
            left = np.array([str(side).lower().startswith(("l", "0")) for side in file["side"]])
        keep = np.array([test is None or split.is_test(kind, name) == test for name in names])
        if keep.any():
            yield kind, _right(joints[keep], left[keep])


def _right(points: Array, left: NDArray[np.bool_]) -> Array:
    """Millimetres to metres, left hands reflected."""
    return points * np.where(left, -1.0, 1.0)[:, None, None] ** np.array([1.0, 0.0, 0.0]) * 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("HANDMOCAP_DATA"))
    parser.add_argument("--hand", type=Path, default=HAND_FILE)
    parser.add_argument("--training", action="store_true", help="the training side of the recordings, for choosing")
    options = parser.parse_args()
    if options.data is None:
        parser.error("name the folder of real hands with --data or HANDMOCAP_DATA")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logger.info("%-28s %6s %12s %12s", "source", "hands", "mean shape", "own shape")
    for name, points in sources(Path(options.data), test=not options.training):
        floor = measure(name, points, options.hand)
        logger.info("%-28s %6d %9.2f mm %9.2f mm", name, floor.hands, floor.mean_shape, floor.own_shape)


if __name__ == "__main__":
    main()
