# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand model laid flat on a plane of known size until its outline is the photo's: shape and size in millimetres.

Plane axes: x and y in the sheet as its corners run, z away from the camera, so heights above the sheet are -z; metres.
The back of the hand looks at the camera.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..camera import Camera
from ..fit.hinges import rotations_from_angles
from ..hand.free import free_hand, free_hinges
from ..hand.model import HandModel
from ..hand.names import JOINT_COUNT, KEYPOINT_PARENTS, SIDES, Side
from ..see.definitions import MEDIAPIPE, OFFSET_JOINTS, rest_offsets
from ..settings import BETA_COUNT
from .outline import Outline

Array = NDArray[np.float64]

_OUTLINE: Final = 0.0008
"""metres: how well the photo's edge is known"""
_KEYPOINT: Final = 0.006
"""metres: how well a detector places a joint"""
_EDGE_WEIGHT: Final = 80.0
"""independent places that the whole edge counts for"""
_FLOOR: Final = 0.002
"""metres: how closely the palm lies on the sheet"""
_RESTING: Final = 8
"""vertices of the underside that touch the sheet; their mean height is none"""
_TILT: Final = 0.06
"""radians: how flat the hand lies"""
_SIZE: Final = 0.12
"""spread of palm lengths, as a share"""
_SPREAD: Final = 0.3
_FLEXION: Final = 0.08
_THUMB: Final = 0.3
"""radians: what the joints of a hand that lies flat still do"""
_LYING: Final = 0.013
"""metres the joints of a hand that lies flat are above the sheet"""
_ROUNDS: Final = 20
_BY_POINTS: Final = 4
"""rounds in which the keypoints alone bring each finger to its place: only then the nearest edge is the right one"""
_NEAR: Final = 0.0035
"""metres from the model's own edge within which a vertex speaks for it"""
_WRIST: Final = 0.035
"""metres beyond the wrist joint from which the model's edge counts: before that sleeves, shadows and the arm begin"""
_FLEXION_AXIS, _SPREAD_AXIS, _TWIST_AXIS = range(3)
_STEP: Final = 1e-4

_PLANE_FROM_CANONICAL: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
"""The back of the hand (+y) towards the camera (-z); seen from there the canonical x and z are the sheet's x and y."""


@dataclass(frozen=True)
class Plane:
    """Where the sheet is: x_camera = rotation @ x_plane + translation."""

    camera: Camera
    rotation: Array
    """(3, 3)"""
    translation: Array
    """(3,) metres"""

    def project(self, points: Array) -> Array:
        """Points (..., 3) of the plane's axes to pixels (..., 2)."""
        return self.camera.project(points @ self.rotation.T + self.translation)

    def at_height(self, pixels: Array, height: float) -> Array:
        """Where pixels (..., 2) are if they lie `height` metres above the sheet: (..., 2) of its x and y."""
        rays = self.camera.rays(pixels) @ self.rotation
        eye = -self.rotation.T @ self.translation
        return eye[:2] + rays[..., :2] * ((-height - eye[2]) / rays[..., 2])[..., None]

    @property
    def pixels_a_metre(self) -> float:
        """At the sheet's middle."""
        return (
            float(np.linalg.norm(self.project(np.array([0.01, 0, 0])) - self.project(np.array([-0.01, 0, 0])))) / 0.02
        )


@dataclass(frozen=True)
class FlatHand:
    """A fitted hand."""

    side: Side
    betas: Array
    """(10,)"""
    size: float
    """palm length, metres"""
    bones: Array
    """(20,) metres: from each keypoint but the wrist to its parent"""
    error: float
    """root mean square distance between the outlines, metres"""
    vertices: Array
    """(V, 2) the model as it lies in the photo, pixels"""
    keypoints: Array
    """(21, 2) pixels"""


class _Unknowns:
    """What is solved for, as one vector: place (3), turn (3), log size (1), betas (10), free angles."""

    def __init__(self, side: Side) -> None:
        self.model = free_hand(side)
        self.hinges = free_hinges(side)
        self.joints, self.axes = np.nonzero(self.hinges.free[1:])
        self.joints = self.joints + 1
        thumb = self.joints >= JOINT_COUNT - 3
        across = np.where(self.axes == _FLEXION_AXIS, _FLEXION, _SPREAD)
        angle_sigma = np.where(thumb, _THUMB, across)
        self.sigma = np.concatenate(
            [[np.inf, np.inf, np.inf, _TILT, _TILT, np.inf, _SIZE], np.ones(BETA_COUNT), angle_sigma]
        )
        self.count = len(self.sigma)
        sign = 1.0 if side == "right" else -1.0
        under = (self.model.template[:, 1] < 0.0) & (-sign * self.model.template[:, 0] > 0.0)
        self.underside = np.flatnonzero(under)[::5]
        self.shift = rest_offsets(MEDIAPIPE, self.hinges, side)

    def posed(self, values: Array, yaw: float, chosen: NDArray[np.intp] | None = None) -> tuple[Array, Array]:
        """Keypoints (21, 3) as the detector sees them and vertices (N, 3), plane axes, metres."""
        rest = self.model.rest(values[7:17], self.model.palm_length * np.exp(values[6]))
        angles = np.zeros((JOINT_COUNT, 3))
        angles[self.joints, self.axes] = values[17:]
        turn = rotations.matrix_from_vector(values[3:6]) @ _about_z(yaw) @ _PLANE_FROM_CANONICAL
        rotation = rotations_from_angles(angles, self.hinges, rotations.quaternion_from_matrix(turn))
        posed = self.model.pose(rotation[None], values[None, :3], rest)
        orientation = posed.orientation[0][list(OFFSET_JOINTS)]
        points = posed.keypoints[0] + np.einsum("kab,kb->ka", orientation, self.shift * rest.scale)
        vertices = self.model.skin(posed, rest, rotation[None], chosen)[0]
        return points, vertices


def lay_flat(plane: Plane, outline: Outline, seen: Array) -> FlatHand:
    """Fit the hand to keypoints `seen` (21, 2), pixels, and to the outline; its side is the one that fits."""
    starts = {side: _start(side, plane, seen) for side in SIDES}
    side = min(SIDES, key=lambda name: starts[name][2])
    unknowns, yaw = _Unknowns(side), starts[side][1]
    values = starts[side][0]
    scale = plane.pixels_a_metre
    damping = 1e-2
    for count in range(_ROUNDS):
        trust = float(count >= _BY_POINTS)
        edge, own = _edge(unknowns.model, plane, unknowns.posed(values, yaw)[1], scale)

        def residuals(x: Array, edge: NDArray[np.intp] = edge, own: Array = own, trust: float = trust) -> Array:
            return _residuals(x, unknowns, yaw, plane, outline, seen, edge, own, scale, trust)

        values, damping = _improved(values, residuals, damping)
    return _result(side, unknowns, values, yaw, plane, outline, scale)


def _start(side: Side, plane: Plane, seen: Array) -> tuple[Array, float, float]:
    """Values, yaw and misfit of the mean hand laid over the seen points, turned, moved and scaled."""
    unknowns = _Unknowns(side)
    target = plane.at_height(seen, _LYING)
    source = unknowns.posed(np.zeros(unknowns.count), 0.0)[0][:, :2]
    a, b = source - source.mean(0), target - target.mean(0)
    cross, dot = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()), float((a * b).sum())
    yaw = float(np.arctan2(cross, dot))
    size = float(np.hypot(cross, dot) / (a * a).sum())
    values = np.zeros(unknowns.count)
    values[6] = np.log(np.clip(size, 0.7, 1.4))
    turned = a * np.exp(values[6]) @ _about_z(yaw)[:2, :2].T
    values[:2] = target.mean(0) - source.mean(0) * np.exp(values[6]) @ _about_z(yaw)[:2, :2].T
    values[2] = -_LYING
    return values, yaw, float(np.linalg.norm(turned - b, axis=1).mean())


def _residuals(
    values: Array,
    unknowns: _Unknowns,
    yaw: float,
    plane: Plane,
    outline: Outline,
    seen: Array,
    edge: NDArray[np.intp],
    own: Array,
    scale: float,
    trust: float,
) -> Array:
    """Everything in its own spread: the edge first (as far as it is trusted), keypoints, floor and what is usual."""
    points, vertices = unknowns.posed(values, yaw, np.concatenate([edge, unknowns.underside]))
    off_edge = (outline.at(plane.project(vertices[: len(edge)])) + own) / scale / _OUTLINE
    off_points = (plane.project(points) - seen) / scale / _KEYPOINT
    floor = np.array([np.sort(-vertices[len(edge) :, 2])[:_RESTING].mean() / _FLOOR])
    usual = (values / unknowns.sigma)[np.isfinite(unknowns.sigma)]
    weight = trust * np.sqrt(_EDGE_WEIGHT / len(off_edge))
    return np.concatenate([_soft(off_edge, 4.0) * weight, _soft(off_points.ravel(), 2.0), floor, usual])


def _soft(residuals: Array, limit: float) -> Array:
    """Residuals whose square grows only linearly beyond a limit, as Huber has it."""
    size = np.abs(residuals)
    beyond = np.maximum(size, limit)
    return np.sign(residuals) * np.where(size <= limit, size, np.sqrt(2.0 * limit * beyond - limit * limit))


def _improved(values: Array, residuals: Callable[[Array], Array], damping: float) -> tuple[Array, float]:
    """One damped step of Gauss and Newton with differences for derivatives."""
    now = residuals(values)
    slopes = np.empty((len(now), len(values)))
    for index in range(len(values)):
        moved = values.copy()
        moved[index] += _STEP
        slopes[:, index] = (residuals(moved) - now) / _STEP
    normal, pull = slopes.T @ slopes, slopes.T @ now
    for _ in range(6):
        step = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-9), -pull)
        tried = residuals(values + step)
        if tried @ tried < now @ now:
            return values + step, max(damping * 0.3, 1e-6)
        damping *= 5.0
    return values, damping


def _edge(model: HandModel, plane: Plane, vertices: Array, scale: float) -> tuple[NDArray[np.intp], Array]:
    """Vertices near the model's own outline, and how far inside it they are, photo pixels."""
    pixels = plane.project(vertices)
    low = pixels.min(0) - 4.0
    step = max(1.0, float(np.ptp(pixels, axis=0).max()) / 500.0)
    local = np.round((pixels - low) / step * 16).astype(np.int32)
    size = np.ceil((np.ptp(pixels, axis=0) + 8.0) / step).astype(int)
    mask = np.zeros((size[1], size[0]), np.uint8)
    for triangle in local[model.triangles]:
        cv2.fillConvexPoly(mask, triangle, (1,), cv2.LINE_8, 4)
    inwards = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * step
    at = np.round(local / 16.0).astype(int)
    depth = inwards[at[:, 1].clip(0, size[1] - 1), at[:, 0].clip(0, size[0] - 1)].astype(np.float64)
    sign = 1.0 if model.side == "right" else -1.0
    beyond_wrist = -sign * model.template[:, 0] > _WRIST
    edge = np.flatnonzero((depth < _NEAR * scale) & beyond_wrist)
    return edge, np.maximum(depth[edge] - 0.5 * step, 0.0)


def _result(
    side: Side, unknowns: _Unknowns, values: Array, yaw: float, plane: Plane, outline: Outline, scale: float
) -> FlatHand:
    vertices = unknowns.posed(values, yaw)[1]
    edge, own = _edge(unknowns.model, plane, vertices, scale)
    off = (outline.at(plane.project(vertices[edge])) + own) / scale
    size = float(unknowns.model.palm_length * np.exp(values[6]))
    rest = unknowns.model.rest(values[7:17], size)
    still = np.tile(rotations.IDENTITY, (1, JOINT_COUNT, 1))
    joints = unknowns.model.pose(still, np.zeros((1, 3)), rest).keypoints[0]
    parents = np.array(KEYPOINT_PARENTS[1:])
    return FlatHand(
        side=side,
        betas=values[7:17].copy(),
        size=size,
        bones=np.linalg.norm(joints[1:] - joints[parents], axis=1),
        error=float(np.sqrt(np.mean(_soft(off / _OUTLINE, 4.0) ** 2))) * _OUTLINE,
        vertices=plane.project(vertices),
        keypoints=plane.project(unknowns.posed(values, yaw)[0]),
    )


def _about_z(angle: float) -> Array:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
