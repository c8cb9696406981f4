# SPDX-License-Identifier: GPL-3.0-or-later
"""Starting poses in closed form: palm by Kabsch, fingers one joint after the other, place by least squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from . import spatial
from .hinges import angles_from_rotations, euler_matrix, pack
from .kinematics import PALM_POINTS, POINT_ORDER, Chain, HandState
from .observations import Seen
from .settings import FitSettings
from .spatial import Array

PoseReader = Callable[[Array, Array, Array], Array]
"""As `see.iknet.IKNet`: points (B, 21, 3), their errors (B, 21), rest (1, 21, 3) -> rotations (B, 16, 4)"""

_RIGID = np.array([0, 1, 2, 3, 4])
"""points of the chain's order that fix the palm: wrist and the four knuckles, not the thumb's root"""


def closed_form(chain: Chain, seen: Seen, settings: FitSettings, angles: Array | None = None) -> HandState:
    """The palm turned onto the observed one; fingers along the observed bones, or at `angles` (A,)."""
    count = seen.count
    root = palm_rotation(chain, seen.points, seen.point_weight)
    found = finger_angles(chain, root, seen.points) if angles is None else np.repeat(angles[:, None], count, 1)
    nuisance = np.repeat(np.eye(3)[..., None], count, -1)
    state = HandState(root, np.zeros((3, count)), found, nuisance)
    return placed(chain, state, seen, settings)


def learned(chain: Chain, seen: Seen, settings: FitSettings, reader: PoseReader) -> HandState:
    """The pose that `reader` makes of the observed points, within the limits."""
    still = HandState(np.eye(3)[..., None], np.zeros((3, 1)), np.zeros((chain.angle_count, 1)), np.eye(3)[..., None])
    rest, points, error = np.empty((1, 21, 3)), np.empty((seen.count, 21, 3)), np.empty((seen.count, 21))
    rest[:, POINT_ORDER] = chain.pose(still, moving=False).points.T
    points[:, POINT_ORDER] = np.where(seen.point_weight > 0.0, seen.points, np.nan).T
    error[:, POINT_ORDER] = seen.point_sigma.T
    found = reader(points, error, rest)
    angles = pack(angles_from_rotations(found, chain.hinges, within_limits=True), chain.hinges)
    root = spatial.from_batch_first(rotations.matrix_from_quaternion(found[:, 0]))
    nuisance = np.repeat(np.eye(3)[..., None], seen.count, -1)
    return placed(chain, HandState(root, np.zeros((3, seen.count)), angles.T.copy(), nuisance), seen, settings)


def flipped(seen: Seen) -> Seen:
    """The other reading of the same picture: the form mirrored in depth."""
    return Seen(
        seen.rays,
        seen.ray_sigma,
        seen.ray_weight,
        seen.points * np.array([1.0, 1.0, -1.0])[:, None, None],
        seen.point_sigma,
        seen.point_weight,
    )


def palm_rotation(chain: Chain, points: Array, weight: Array) -> Array:
    """Kabsch (3, 3, B) of the palm's rest onto points (3, 21, B); hands without a palm face the camera."""
    rest = chain.palm_points[:, _RIGID]
    rest = rest - rest.mean(1, keepdims=True)
    observed = points[:, _RIGID] - points[:, _RIGID].mean(1, keepdims=True)
    moment = np.einsum("ikb,jk->bij", observed, rest)
    known = (weight[_RIGID] > 0.0).all(0)
    moment[~known] = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    u, _, vt = np.linalg.svd(moment)
    u[:, :, 2] *= np.where(np.linalg.det(u @ vt) < 0.0, -1.0, 1.0)[:, None]
    return spatial.from_batch_first(u @ vt)


def finger_angles(chain: Chain, root: Array, points: Array) -> Array:
    """Angles (A, B) that point each bone along the observed one, within the limits."""
    orientation = spatial.to_batch_first(root)[:, None]
    count = root.shape[-1]
    full = np.zeros((count, 5, 3, 3))
    free, lower, upper = chain.finger_limits
    before = points[:, 1:PALM_POINTS]
    ends = points[:, PALM_POINTS:].reshape(3, 5, 3, -1)
    for level in range(3):
        frame = orientation @ chain.connections[:, level]
        bone = ends[:, :, level] - before
        before = ends[:, :, level]
        along = np.einsum("bfij,ifb->bfj", frame, bone)
        length = np.maximum(np.linalg.norm(along, axis=-1), 1e-9)
        # The bone is the twist axis: Rx Ry takes it to (sin abduction, -sin flexion cos a, cos f cos a).
        abduction = np.arcsin(np.clip(along[..., 0] / length, -0.99, 0.99))
        flexion = np.arctan2(-along[..., 1], along[..., 2])
        full[:, :, level, 0], full[:, :, level, 1] = flexion, abduction
        full[:, :, level] = np.clip(full[:, :, level], lower[:, level], upper[:, level]) * free[:, level]
        orientation = frame @ euler_matrix(full[:, :, level])
    return spatial.from_batch_first(full.reshape(count, -1)[:, chain.finger_index])


def placed(chain: Chain, state: HandState, seen: Seen, settings: FitSettings) -> HandState:
    """The state at the translation that fits the rays best, never behind the camera.

    (X + t_x) = u (Z + t_z) is linear in t; where that lands too near or too far, the hand is put
    by its apparent size instead.
    """
    points = chain.pose(state).points
    # Points of the hand nearest to the truth count: single wrong pixels must not throw it.
    weight = seen.ray_weight / seen.ray_sigma**2
    known = weight.sum(0) > 0.0
    u, v = seen.rays
    right = np.stack([u * points[2] - points[0], v * points[2] - points[1]])
    total = np.where(known, weight.sum(0), 1.0)
    normal = np.zeros((seen.count, 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = total
    normal[:, 0, 2] = normal[:, 2, 0] = -(weight * u).sum(0)
    normal[:, 1, 2] = normal[:, 2, 1] = -(weight * v).sum(0)
    normal[:, 2, 2] = (weight * (u * u + v * v)).sum(0)
    pull = -(weight * (u * right[0] + v * right[1])).sum(0)
    side = np.stack([(weight * right[0]).sum(0), (weight * right[1]).sum(0), pull])
    normal += 1e-9 * total[:, None, None] * np.eye(3)
    translation = np.linalg.solve(normal, side.T[..., None])[..., 0].T
    depth = translation[2]
    wrong = ~((depth > settings.near) & (depth < settings.far)) | ~known
    if wrong.any():
        translation = np.where(wrong, _by_size(points, seen, settings, known), translation)
    return HandState(state.root, translation, state.angles, state.nuisance)


def _by_size(points: Array, seen: Seen, settings: FitSettings, known: NDArray[np.bool_]) -> Array:
    """(3, B): as far as the spread of the rays says, at their middle."""
    weight = (seen.ray_weight > 0.0) / np.maximum((seen.ray_weight > 0.0).sum(0), 1)

    def spread(flat: Array) -> tuple[Array, Array]:
        middle = (flat * weight).sum(1)
        return np.sqrt((((flat - middle[:, None]) ** 2) * weight).sum((0, 1))), middle

    apparent, ray = spread(seen.rays)
    real, middle = spread(points[:2])
    depth = np.clip(real / np.maximum(apparent, 1e-6), settings.near, settings.far)
    depth = np.where(known, depth, 0.5)
    return np.stack([ray[0] * depth - middle[0], ray[1] * depth - middle[1], depth])
