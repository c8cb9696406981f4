# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded hands fitted to our own: hinge angles, wrist rotations and wrist paths.

Three public sources of 21 joint positions are read (Leap recordings, Quest poses, WebXR
poses); a batched Levenberg-Marquardt fits the directions of their bones within the limits of
our hinges. The result is small enough to commit (`data/mocap.npz`), so nothing downstream
needs the recordings. `python -m training.footage.mocap --data DIR` makes it again.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import euler_matrix, free_index, pack, rotations_from_angles, unpack
from blender_handmocap.engine.hand.free import Hinges, free_hand, free_hinges
from blender_handmocap.engine.hand.model import HandModel, PosedHand, RestHand
from blender_handmocap.engine.hand.names import (
    FINGER_JOINTS,
    FINGERS,
    JOINT_PARENTS,
    KEYPOINT_NAMES,
    KEYPOINT_PARENTS,
    PALM_KEYPOINTS,
    SIDES,
    Side,
)

from . import split

Array = NDArray[np.float64]
Source = Literal["recording", "quest", "webxr"]

log = logging.getLogger(__name__)

MOCAP_FILE: Final = Path(__file__).with_name("data") / "mocap.npz"

ANGLE_UNIT: Final = 1e-4
"""radians a step of the stored int16 angles"""
QUATERNION_UNIT: Final = 1.0 / 32767
POSITION_UNIT: Final = 1e-4
"""metres a step of the stored int16 wrist positions"""

_PARENT_POINTS: Final = np.array(KEYPOINT_PARENTS[1:])
_PALM: Final = np.array([point for point in PALM_KEYPOINTS if point != KEYPOINT_NAMES.index("thumb1")])
_ROUNDS: Final = 25
_DIRECTION_SIGMA: Final = np.radians(4.0)
_PALM_BONE_WEIGHT: Final = 0.4
"""Palms differ in proportions between hands, so their bones say less about the pose."""
_THUMB_ROOT_WEIGHT: Final = 0.05
"""The Leap's wrist is an estimate: its bone from wrist to thumb lies 40 degrees off ours."""
_ANGLE_SIGMA: Final = np.radians([[70.0, 14.0, 8.0], [70.0, 10.0, 8.0], [70.0, 10.0, 8.0]])
"""(level, axis) how far a finger's angles are from rest, a weak pull against unnatural twist"""
_THUMB_SIGMA: Final = np.radians([[30.0, 30.0, 15.0], [40.0, 12.0, 8.0], [50.0, 10.0, 8.0]])
_LIMIT_SIGMA: Final = np.radians(1.5)
_WORST_BONE: Final = np.radians(25.0)
_WORST_MEAN: Final = np.radians(9.0)

# The Leap sees the hand from the desk (y up, z towards the user); our camera faces the user.
_LEAP_TO_CAMERA: Final = np.array([-1.0, -1.0, 1.0])


@dataclass(frozen=True)
class Mocap:
    """Fitted recorded hands; N hands of all sources, in the order of time within a recording."""

    angles: Array
    """(N, 16, 3) hinge angles, radians"""
    root: Array
    """(N, 4) wrist rotation, w,x,y,z, canonical axes of that side to a camera facing the user"""
    wrist: Array
    """(N, 3) metres, camera axes, scaled to our hand; zero for single poses"""
    source: NDArray[np.uint8]
    """(N,) index into `names`"""
    names: tuple[str, ...]
    """what each hand comes from: `recording:wave`, `quest:asl a`, `webxr:iwer_pinch`"""
    frame: NDArray[np.int32]
    """(N,) frame in its recording"""
    time: Array
    """(N,) seconds in its recording"""
    side: NDArray[np.uint8]
    """(N,) index into SIDES"""
    error: Array
    """(N,) mean bone direction error, radians; the bone from wrist to thumb root does not count"""

    def kind(self, source: int) -> Source:
        """Which of the three sources a name belongs to."""
        kind = self.names[source].partition(":")[0]
        assert kind in ("recording", "quest", "webxr")
        return kind  # type: ignore[return-value]

    def test_sources(self) -> NDArray[np.bool_]:
        """(len(names),) which names are test only."""
        parts = (name.partition(":") for name in self.names)
        return np.array([split.is_test(kind, key) for kind, _, key in parts])  # type: ignore[arg-type]

    def chosen(self, *, test: bool) -> NDArray[np.intp]:
        """Indices of the hands on one side of the split."""
        return np.flatnonzero(self.test_sources()[self.source] == test)


@lru_cache(maxsize=1)
def load(path: Path = MOCAP_FILE) -> Mocap:
    """The committed recordings."""
    with np.load(path, allow_pickle=False) as file:
        return Mocap(
            angles=unpack(file["angles"] * ANGLE_UNIT, free_hinges("right")),
            root=rotations.normalized(file["root"] * QUATERNION_UNIT),
            wrist=file["wrist"] * POSITION_UNIT,
            source=file["source"],
            names=tuple(str(name) for name in file["names"]),
            frame=file["frame"],
            time=file["time"].astype(np.float64),
            side=file["side"],
            error=file["error"].astype(np.float64),
        )


def save(mocap: Mocap, path: Path = MOCAP_FILE) -> None:
    """Write the compact form."""
    np.savez_compressed(
        path,
        angles=np.round(pack(mocap.angles, free_hinges("right")) / ANGLE_UNIT).astype(np.int16),
        root=np.round(mocap.root / QUATERNION_UNIT).astype(np.int16),
        wrist=np.round(mocap.wrist / POSITION_UNIT).astype(np.int16),
        source=mocap.source,
        names=np.array(mocap.names),
        frame=mocap.frame.astype(np.int16),
        time=mocap.time.astype(np.float32),
        side=mocap.side,
        error=mocap.error.astype(np.float16),
        hand=np.array(free_hand("right").sha256),
    )


def fit(points: ArrayLike) -> tuple[Array, Array, Array]:
    """Right hands (N, 21, 3), any unit -> angles (N, 16, 3), roots (N, 4), bone errors (N, 20) in radians.

    Only directions of bones are compared, so the size and the proportions of the recorded hand
    do not matter.
    """
    target = np.asarray(points, dtype=np.float64)
    model, hinges = free_hand("right"), free_hinges("right")
    rest = model.rest()
    wanted = _directions(target)
    flat = model.pose(rotations_from_angles(np.zeros((1, 16, 3)), hinges), np.zeros((1, 3)), rest).keypoints
    root = rotations.aligning_rotation(np.broadcast_to(flat[:, _PALM], (len(target), len(_PALM), 3)), target[:, _PALM])
    angles = np.zeros((len(target), 16, 3))
    angles[:, 1:, 0] = np.radians(20.0)
    angles = np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free
    problem = _Problem(model, hinges, rest, wanted)
    damping = np.full(len(target), 1e-2)
    cost, normal, gradient = problem.build(root, angles)
    diagonal = np.arange(normal.shape[-1])
    for _ in range(_ROUNDS):
        damped = normal.copy()
        damped[:, diagonal, diagonal] *= 1.0 + damping[:, None]
        step = -np.linalg.solve(damped, gradient[..., None])[..., 0]
        new_root = rotations.matrix_from_vector(step[:, :3]) @ root
        new_angles = angles + unpack(step[:, 3:], hinges)
        trial = problem.build(new_root, new_angles)
        better = trial[0] < cost
        damping = np.where(better, damping * 0.2, damping * 8.0)
        root = np.where(better[:, None, None], new_root, root)
        angles = np.where(better[:, None, None], new_angles, angles)
        cost = np.where(better, trial[0], cost)
        normal = np.where(better[:, None, None], trial[1], normal)
        gradient = np.where(better[:, None], trial[2], gradient)
    angles = np.clip(angles, hinges.limits[..., 0], hinges.limits[..., 1]) * hinges.free
    reached = _directions(problem.pose(root, angles).keypoints)
    return angles, rotations.quaternion_from_matrix(root), _angles_between(reached, wanted)


class _Problem:
    """Residuals and Jacobian of bone directions, a weak rest pose and the limits."""

    def __init__(self, model: HandModel, hinges: Hinges, rest: RestHand, wanted: Array) -> None:
        self.model, self.hinges, self.rest, self.wanted = model, hinges, rest, wanted
        self.weight = np.full(20, 1.0 / _DIRECTION_SIGMA)
        self.weight[::4] *= _PALM_BONE_WEIGHT
        self.weight[0] = _THUMB_ROOT_WEIGHT / _DIRECTION_SIGMA
        sigma = np.ones((16, 3))
        for finger in FINGERS:
            sigma[list(FINGER_JOINTS[finger])] = _THUMB_SIGMA if finger == "thumb" else _ANGLE_SIGMA
        self.sigma = pack(sigma, hinges)
        self.low, self.high = (pack(hinges.limits[..., end], hinges) for end in (0, 1))
        # column i of the packed angles turns the bones that `moves` marks
        self.joint_of_column, self.axis_of_column = np.divmod(free_index(hinges), 3)
        self.moves = np.zeros((20, len(self.joint_of_column)))
        for number, finger in enumerate(FINGERS):
            for level, joint in enumerate(FINGER_JOINTS[finger]):
                self.moves[4 * number + 1 + level : 4 * number + 4, self.joint_of_column == joint] = 1.0

    def pose(self, root: Array, angles: Array) -> PosedHand:
        quaternions = rotations_from_angles(angles, self.hinges, rotations.quaternion_from_matrix(root))
        return self.model.pose(quaternions, np.zeros((len(root), 3)), self.rest)

    def build(self, root: Array, angles: Array) -> tuple[Array, Array, Array]:
        """Cost (N,), normal matrix (N, P, P) and gradient (N, P); root increment first."""
        posed = self.pose(root, angles)
        reached = _directions(posed.keypoints)
        columns = len(self.joint_of_column)
        jacobian = np.zeros((len(root), 20, 3, 3 + columns))
        jacobian[..., :3] = -rotations.skew(reached)
        axes = self._axes(posed, angles)
        jacobian[..., 3:] = np.moveaxis(np.cross(axes[:, None], reached[:, :, None]) * self.moves[:, :, None], 2, 3)
        jacobian *= self.weight[:, None, None]
        residual = ((reached - self.wanted) * self.weight[:, None]).reshape(len(root), -1)
        flat = jacobian.reshape(len(root), 60, -1)
        packed = pack(angles, self.hinges)
        rest = packed / self.sigma
        beyond = (np.maximum(packed - self.high, 0.0) + np.minimum(packed - self.low, 0.0)) / _LIMIT_SIGMA
        normal = np.swapaxes(flat, 1, 2) @ flat
        index = 3 + np.arange(columns)
        normal[:, index, index] += self.sigma**-2 + (beyond != 0.0) * _LIMIT_SIGMA**-2
        gradient = (np.swapaxes(flat, 1, 2) @ residual[..., None])[..., 0]
        gradient[:, 3:] += rest / self.sigma + beyond / _LIMIT_SIGMA
        return (residual**2).sum(-1) + (rest**2).sum(-1) + (beyond**2).sum(-1), normal, gradient

    def _axes(self, posed: PosedHand, angles: Array) -> Array:
        """(N, columns, 3) the axis each free angle turns about, camera axes."""
        out = np.empty((len(angles), len(self.joint_of_column), 3))
        for column, (joint, axis) in enumerate(zip(self.joint_of_column, self.axis_of_column, strict=True)):
            before = angles[:, joint].copy()
            before[:, axis:] = 0.0
            frame = self.hinges.frame[joint] @ euler_matrix(before)
            out[:, column] = (posed.orientation[:, JOINT_PARENTS[joint]] @ frame)[..., axis]
        return out


def _directions(points: Array) -> Array:
    """(N, 21, 3) -> unit bone directions (N, 20, 3)."""
    bones = points[:, 1:] - points[:, _PARENT_POINTS]
    return bones / np.maximum(np.linalg.norm(bones, axis=-1, keepdims=True), 1e-12)


def _angles_between(first: Array, second: Array) -> Array:
    return np.arctan2(np.linalg.norm(np.cross(first, second), axis=-1), (first * second).sum(-1))


def read_sources(data: Path) -> Mocap:
    """Read and fit everything under the data folder; hands that do not fit are dropped and counted."""
    model = free_hand("right")
    rest = model.rest()
    names: list[str] = []
    parts: list[dict[str, NDArray[np.generic]]] = []
    dropped = 0

    def add(name: str, side: Side, points: Array, frame: NDArray[np.int_], time: Array, *, moving: bool) -> None:
        nonlocal dropped
        if name not in names:
            names.append(name)
        mirrored = points * np.array([-1.0, 1.0, 1.0]) if side == "left" else points
        angles, root, error = fit(mirrored)
        error = error[:, 1:]
        good = (error.mean(-1) < _WORST_MEAN) & (error.max(-1) < _WORST_BONE)
        dropped += int((~good).sum())
        if side == "left":
            root = rotations.mirrored(root)
        wrist = np.zeros((len(points), 3))
        if moving:
            hand = model if side == "right" else free_hand("left")
            quaternions = rotations_from_angles(angles, free_hinges(side), root)
            ours = hand.pose(
                quaternions, np.zeros((len(points), 3)), rest if side == "right" else hand.rest()
            ).keypoints
            spread = [np.linalg.norm(x - x.mean(1, keepdims=True), axis=(1, 2)) for x in (ours, points)]
            wrist = points.mean(1) * np.median(spread[0] / spread[1]) - ours.mean(1)
        count = len(points)
        parts.append(
            {
                "angles": angles[good],
                "root": root[good],
                "wrist": wrist[good],
                "source": np.full(count, names.index(name), np.uint8)[good],
                "frame": frame[good],
                "time": time[good],
                "side": np.full(count, SIDES.index(side), np.uint8)[good],
                "error": error.mean(-1)[good],
            }
        )

    for path in sorted((data / "mocap_leap").glob("*.npz")):
        with np.load(path) as file:
            joints, time = file["joints"].astype(np.float64) * 1e-3, file["time"].astype(np.float64)
        for number, side in enumerate(SIDES):
            seen = np.flatnonzero(np.isfinite(joints[:, number]).all((1, 2)))
            if len(seen):
                points = joints[seen, number] * _LEAP_TO_CAMERA
                add(f"recording:{path.stem}", side, points, seen, time[seen] - time[0], moving=True)
    for kind in ("quest", "webxr"):
        with np.load(data / f"mocap_{kind}" / "poses.npz") as file:
            for points, label, side in zip(file["joints"], file["names"], file["side"], strict=True):
                name = f"{kind}:{str(label).split('|')[0].strip()}"
                add(name, str(side), points[None].astype(np.float64), np.zeros(1, int), np.zeros(1), moving=False)  # type: ignore[arg-type]
    log.info("%d hands fitted, %d dropped", sum(len(p["frame"]) for p in parts), dropped)
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Mocap(names=tuple(names), **joined)  # type: ignore[arg-type]


def main() -> None:
    """Command line: fit the recordings and write data/mocap.npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds mocap_leap, mocap_quest, mocap_webxr"
    )
    parser.add_argument("--out", type=Path, default=MOCAP_FILE)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    mocap = read_sources(arguments.data)
    save(mocap, arguments.out)
    degrees = np.degrees(mocap.error)
    log.info("bone direction error: median %.1f, p90 %.1f degrees", np.median(degrees), np.quantile(degrees, 0.9))


if __name__ == "__main__":
    main()
