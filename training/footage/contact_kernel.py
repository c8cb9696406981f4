# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled part of contact.py: forward kinematics, residuals with their derivatives, one pattern's solve.

Derivatives by the 6 + 2n unknowns (left turn, left shift, right and left free angles) are written
as short rows of the entries that are not zero, and added to the normal equations one by one.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np

from blender_handmocap.engine.hand.names import JOINT_COUNT, JOINT_PARENTS

_PARENTS: Final = np.array(JOINT_PARENTS)
_ROUNDS: Final = 16
_DEPTH_SIGMA: Final = 0.0006
_PULL_SIGMA: Final = 0.002
_SELF_SIGMA: Final = 0.0015
_LIMIT_SIGMA: Final = np.radians(1.0)
_PRESS: Final = 0.0002
"""metres that pulled spheres are pressed together, so that they end in contact"""
_SKIN_MARGIN: Final = 0.0003
"""metres by which spheres are swollen when skin is kept out of them"""
_HOPELESS: Final = 0.004
"""Spheres still this deep in one another after the first stage will not come free"""


@numba.njit(cache=True, fastmath=True)
def _multiplied(a, b, out):
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@numba.njit(cache=True, fastmath=True)
def forward(angles, angle_joint, angle_axis, root, origin, rest, frame, orientation, joints, axes):
    """Posed joints, their orientation, and the axis each free angle turns about."""
    full = np.zeros((JOINT_COUNT, 3))
    for k in range(len(angles)):
        full[angle_joint[k], angle_axis[k]] = angles[k]
    orientation[0] = root
    joints[0] = origin
    before, turned = np.empty((3, 3)), np.empty((3, 3))
    euler = np.empty((3, 3))
    world_axes = np.empty((JOINT_COUNT, 3, 3))
    for j in range(1, JOINT_COUNT):
        parent = _PARENTS[j]
        for i in range(3):
            joints[j, i] = joints[parent, i]
            for m in range(3):
                joints[j, i] += orientation[parent, i, m] * (rest[j, m] - rest[parent, m])
        c0, c1, c2 = np.cos(full[j, 0]), np.cos(full[j, 1]), np.cos(full[j, 2])
        s0, s1, s2 = np.sin(full[j, 0]), np.sin(full[j, 1]), np.sin(full[j, 2])
        euler[0, 0], euler[0, 1], euler[0, 2] = c1 * c2, -c1 * s2, s1
        euler[1, 0], euler[1, 1], euler[1, 2] = c0 * s2 + s0 * s1 * c2, c0 * c2 - s0 * s1 * s2, -s0 * c1
        euler[2, 0], euler[2, 1], euler[2, 2] = s0 * s2 - c0 * s1 * c2, s0 * c2 + c0 * s1 * s2, c0 * c1
        _multiplied(orientation[parent], frame[j], before)
        _multiplied(before, euler, turned)
        _multiplied(turned, frame[j].T, orientation[j])
        for i in range(3):
            world_axes[j, 0, i] = before[i, 0]
            world_axes[j, 1, i] = before[i, 1] * c0 + before[i, 2] * s0
            world_axes[j, 2, i] = turned[i, 2]
    for k in range(len(angles)):
        axes[k] = world_axes[angle_joint[k], angle_axis[k]]


@numba.njit(cache=True, fastmath=True)
def place(offset, joint, orientation, joints, centre):
    for s in range(len(joint)):
        j = joint[s]
        for i in range(3):
            centre[s, i] = joints[j, i]
            for m in range(3):
                centre[s, i] += orientation[j, i, m] * offset[s, m]


@numba.njit(cache=True, fastmath=True)
def _chain(row, index, filled, sign, hand, sphere_joint, centre, normal, angle_joint, joints, axes, reach):
    """Append the derivatives of normal . centre by the angles that move it; returns the new length."""
    count = len(angle_joint)
    for k in range(count):
        if reach[sphere_joint, angle_joint[k]]:
            j = angle_joint[k]
            x, y, z = centre[0] - joints[j, 0], centre[1] - joints[j, 1], centre[2] - joints[j, 2]
            a = axes[k]
            value = (
                normal[0] * (a[1] * z - a[2] * y)
                + normal[1] * (a[2] * x - a[0] * z)
                + normal[2] * (a[0] * y - a[1] * x)
            )
            index[filled] = 6 + hand * count + k
            row[filled] = sign * value
            filled += 1
    return filled


@numba.njit(cache=True, fastmath=True)
def _place_rows(row, index, filled, sign, centre, shift, normal):
    """Append the derivatives by the left hand's turn (about its wrist) and shift."""
    x, y, z = centre[0] - shift[0], centre[1] - shift[1], centre[2] - shift[2]
    row[filled] = sign * (y * normal[2] - z * normal[1])
    row[filled + 1] = sign * (z * normal[0] - x * normal[2])
    row[filled + 2] = sign * (x * normal[1] - y * normal[0])
    for i in range(3):
        row[filled + 3 + i] = sign * normal[i]
        index[filled + i] = i
        index[filled + 3 + i] = 3 + i
    return filled + 6


@numba.njit(cache=True, fastmath=True)
def _add(normal_matrix, gradient, row, index, filled, residual):
    for a in range(filled):
        gradient[index[a]] += row[a] * residual
        for b in range(filled):
            normal_matrix[index[a], index[b]] += row[a] * row[b]


@numba.njit(cache=True, fastmath=True)
def _solved(matrix, right):
    """Cholesky of a positive definite system; matrix and right side are overwritten."""
    n = len(right)
    for j in range(n):
        for k in range(j):
            matrix[j, j] -= matrix[j, k] * matrix[j, k]
        matrix[j, j] = np.sqrt(max(matrix[j, j], 1e-12))
        for i in range(j + 1, n):
            total = matrix[i, j]
            for k in range(j):
                total -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = total / matrix[j, j]
    for i in range(n):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@numba.njit(cache=True, fastmath=True)
def _rotation(vector):
    angle = np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    out = np.eye(3)
    if angle < 1e-12:
        return out
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    c, s = np.cos(angle), np.sin(angle)
    d = 1.0 - c
    out[0, 0], out[0, 1], out[0, 2] = c + x * x * d, x * y * d - z * s, x * z * d + y * s
    out[1, 0], out[1, 1], out[1, 2] = y * x * d + z * s, c + y * y * d, y * z * d - x * s
    out[2, 0], out[2, 1], out[2, 2] = z * x * d - y * s, z * y * d + x * s, c + z * z * d
    return out


@numba.njit(cache=True, fastmath=True)
def _turn_vector(matrix):
    """Rotation vector of a matrix; the start is never half a turn away."""
    sine = np.array([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]) * 0.5
    length = np.sqrt((sine * sine).sum())
    cosine = (matrix[0, 0] + matrix[1, 1] + matrix[2, 2] - 1.0) * 0.5
    if length < 1e-9:
        return sine
    return sine * (np.arctan2(length, cosine) / length)


@numba.njit(cache=True, fastmath=True)
def _nearest_on(thing, point, out):
    """The point of a capsule's axis nearest to a point."""
    along, length = 0.0, 0.0
    for i in range(3):
        step = thing[3 + i] - thing[i]
        along += step * (point[i] - thing[i])
        length += step * step
    share = min(max(along / length, 0.0), 1.0) if length > 1e-12 else 0.0
    for i in range(3):
        out[i] = thing[i] + share * (thing[3 + i] - thing[i])


@numba.njit(cache=True, fastmath=True)
def _between(first, second, normal):
    """The unit vector (3,) from the second point to the first."""
    x, y, z = first[0] - second[0], first[1] - second[1], first[2] - second[2]
    length = np.sqrt(x * x + y * y + z * z) + 1e-12
    normal[0], normal[1], normal[2] = x / length, y / length, z / length


@numba.njit(cache=True, fastmath=True)
def _boxes(centre, radius, start, first_arm, boxes):
    """The boxes (17, 2, 3) around the spheres of each joint and, last, of the forearm."""
    for group in range(JOINT_COUNT + 1):
        boxes[group, 0] = 1e9
        boxes[group, 1] = -1e9
        begin = first_arm if group == JOINT_COUNT else start[group]
        end = len(radius) if group == JOINT_COUNT else start[group + 1]
        for s in range(begin, end):
            for i in range(3):
                boxes[group, 0, i] = min(boxes[group, 0, i], centre[s, i] - radius[s])
                boxes[group, 1, i] = max(boxes[group, 1, i], centre[s, i] + radius[s])


@numba.njit(cache=True, fastmath=True)
def _outside(point, corner, margin):
    """Whether a point lies further than a margin from a box (2, 3)."""
    outside = False
    for i in range(3):
        outside = outside or point[i] < corner[0, i] - margin or point[i] > corner[1, i] + margin
    return outside


@numba.njit(cache=True, fastmath=True)
def _skin(vertices, vertex_joint, vertex_weight, rest, orientation, joints, skin):
    """Linear blend skinning with four joints a vertex."""
    for v in range(len(vertices)):
        for i in range(3):
            skin[v, i] = 0.0
        for k in range(4):
            weight = vertex_weight[v, k]
            if weight <= 0.0:
                continue
            j = vertex_joint[v, k]
            x, y, z = vertices[v, 0] - rest[j, 0], vertices[v, 1] - rest[j, 1], vertices[v, 2] - rest[j, 2]
            for i in range(3):
                skin[v, i] += weight * (
                    joints[j, i] + orientation[j, i, 0] * x + orientation[j, i, 1] * y + orientation[j, i, 2] * z
                )


@numba.njit(cache=True, fastmath=True)
def _build(
    state, turn, shift, goal, goal_turn, goal_shift, sigma, turn_sigma, shift_sigma, pulls, thing, rest, frame, joint,
    start, offset, radius, first_arm, angle_joint, angle_axis, low, high, own_least, own_meet, reach,
    vertices, vertex_joint, vertex_weight, skin, fine, centre, orientation, joints, axes, matrix, gradient,
):  # fmt: skip
    """Cost, normal matrix and gradient; also the deepest overlap and the deepest own overlap."""
    free = len(low)
    spheres = len(joint)
    identity, zero = np.eye(3), np.zeros(3)
    forward(
        state[:free], angle_joint, angle_axis, identity, zero, rest[0], frame[0], orientation[0], joints[0], axes[0]
    )
    forward(state[free:], angle_joint, angle_axis, turn, shift, rest[1], frame[1], orientation[1], joints[1], axes[1])
    for hand in range(2):
        place(offset[hand], joint, orientation[hand], joints[hand], centre[hand])
    matrix[:] = 0.0
    gradient[:] = 0.0
    cost, deepest, own_deepest = 0.0, 0.0, 0.0
    row, index = np.empty(6 + 2 * free), np.empty(6 + 2 * free, np.int64)
    normal = np.empty(3)
    boxes = np.empty((2, JOINT_COUNT + 1, 2, 3))
    for hand in range(2):
        _boxes(centre[hand], radius, start, first_arm, boxes[hand])
    # Spheres against spheres; in fine rounds only where a forearm takes part, skin does the rest.
    for s in range(spheres):
        for group in range(JOINT_COUNT + 1):
            both_hands = s < first_arm and group < JOINT_COUNT
            if (fine and both_hands) or _outside(centre[0, s], boxes[1, group], radius[s]):
                continue
            begin = first_arm if group == JOINT_COUNT else start[group]
            end = spheres if group == JOINT_COUNT else start[group + 1]
            scale = 1.0 / _DEPTH_SIGMA if both_hands else 0.3 / _DEPTH_SIGMA
            for t in range(begin, end):
                x = centre[0, s, 0] - centre[1, t, 0]
                y = centre[0, s, 1] - centre[1, t, 1]
                z = centre[0, s, 2] - centre[1, t, 2]
                touching = radius[s] + radius[t]
                squared = x * x + y * y + z * z
                if squared >= touching * touching:
                    continue
                depth = touching - np.sqrt(squared)
                deepest = max(deepest, depth)
                _between(centre[0, s], centre[1, t], normal)
                filled = _chain(
                    row, index, 0, -scale, 0, joint[s], centre[0, s], normal, angle_joint, joints[0], axes[0], reach
                )
                filled = _chain(
                    row, index, filled, scale, 1, joint[t], centre[1, t], normal, angle_joint, joints[1], axes[1], reach
                )
                filled = _place_rows(row, index, filled, scale, centre[1, t], shift, normal)
                _add(matrix, gradient, row, index, filled, depth * scale)
                cost += (depth * scale) ** 2
    if fine:
        scale = 1.0 / _DEPTH_SIGMA
        for hand in range(2):
            other = 1 - hand
            _skin(vertices[hand], vertex_joint, vertex_weight, rest[hand], orientation[hand], joints[hand], skin)
            for v in range(len(skin)):
                # Of all the spheres that a point of skin lies in, the deepest counts.
                depth, other_one = 0.0, -1
                for group in range(JOINT_COUNT):
                    if _outside(skin[v], boxes[other, group], _SKIN_MARGIN):
                        continue
                    for t in range(start[group], start[group + 1]):
                        x = skin[v, 0] - centre[other, t, 0]
                        y = skin[v, 1] - centre[other, t, 1]
                        z = skin[v, 2] - centre[other, t, 2]
                        touching = radius[t] + _SKIN_MARGIN - depth
                        squared = x * x + y * y + z * z
                        if touching > 0.0 and squared < touching * touching:
                            depth, other_one = radius[t] + _SKIN_MARGIN - np.sqrt(squared), t
                if other_one < 0:
                    continue
                t = other_one
                deepest = max(deepest, depth)
                _between(skin[v], centre[other, t], normal)
                filled = _chain(
                    row, index, 0, -scale, hand, vertex_joint[v, 0], skin[v], normal, angle_joint, joints[hand],
                    axes[hand], reach,
                )  # fmt: skip
                filled = _chain(
                    row, index, filled, scale, other, joint[t], centre[other, t], normal, angle_joint, joints[other],
                    axes[other], reach,
                )  # fmt: skip
                if hand == 0:
                    filled = _place_rows(row, index, filled, scale, centre[1, t], shift, normal)
                else:
                    filled = _place_rows(row, index, filled, -scale, skin[v], shift, normal)
                _add(matrix, gradient, row, index, filled, depth * scale)
                cost += (depth * scale) ** 2
    for hand in range(2):
        for s in range(first_arm):
            for group in range(joint[s] + 1, JOINT_COUNT):
                if not own_meet[joint[s], group] or _outside(centre[hand, s], boxes[hand, group], radius[s]):
                    continue
                for t in range(start[group], start[group + 1]):
                    x = centre[hand, s, 0] - centre[hand, t, 0]
                    y = centre[hand, s, 1] - centre[hand, t, 1]
                    z = centre[hand, s, 2] - centre[hand, t, 2]
                    squared = x * x + y * y + z * z
                    if squared >= own_least[s, t] * own_least[s, t]:
                        continue
                    depth = own_least[s, t] - np.sqrt(squared)
                    own_deepest = max(own_deepest, depth)
                    _between(centre[hand, s], centre[hand, t], normal)
                    scale = 1.0 / _SELF_SIGMA
                    filled = _chain(
                        row, index, 0, -scale, hand, joint[s], centre[hand, s], normal, angle_joint, joints[hand],
                        axes[hand], reach,
                    )  # fmt: skip
                    filled = _chain(
                        row, index, filled, scale, hand, joint[t], centre[hand, t], normal, angle_joint, joints[hand],
                        axes[hand], reach,
                    )  # fmt: skip
                    _add(matrix, gradient, row, index, filled, depth * scale)
                    cost += (depth * scale) ** 2
    near = np.empty(3)
    if thing[6] > 0.0:
        for hand in range(2):
            for s in range(spheres):
                _nearest_on(thing, centre[hand, s], near)
                distance = np.sqrt(((centre[hand, s] - near) ** 2).sum()) + 1e-9
                depth = radius[s] + thing[6] - distance
                if depth <= 0.0:
                    continue
                deepest = max(deepest, depth)
                for i in range(3):
                    normal[i] = (centre[hand, s, i] - near[i]) / distance
                scale = 1.0 / _DEPTH_SIGMA
                filled = _chain(
                    row,
                    index,
                    0,
                    -scale,
                    hand,
                    joint[s],
                    centre[hand, s],
                    normal,
                    angle_joint,
                    joints[hand],
                    axes[hand],
                    reach,
                )
                if hand == 1:
                    filled = _place_rows(row, index, filled, -scale, centre[1, s], shift, normal)
                _add(matrix, gradient, row, index, filled, depth * scale)
                cost += (depth * scale) ** 2
    for p in range(len(pulls)):
        s, t = pulls[p, 0], pulls[p, 1]
        if s == -1 or t == -1:
            continue
        scale = 1.0 / _PULL_SIGMA
        if s >= 0 and t >= 0:
            for i in range(3):
                normal[i] = centre[0, s, i] - centre[1, t, i]
            touching = radius[s] + radius[t]
        else:
            hand = 0 if t == -2 else 1
            sphere = s if t == -2 else t
            _nearest_on(thing, centre[hand, sphere], near)
            for i in range(3):
                normal[i] = centre[hand, sphere, i] - near[i]
            touching = radius[sphere] + thing[6]
        distance = np.sqrt((normal**2).sum()) + 1e-9
        apart = distance - touching + _PRESS
        if apart <= 0.0:
            continue
        normal /= distance
        # Far pairs pull with a force that no longer grows, so that one of many cannot spoil the rest.
        scale = scale if apart < 0.01 else scale * np.sqrt(0.01 / apart)
        filled = 0
        if s >= 0:
            filled = _chain(
                row, index, filled, scale, 0, joint[s], centre[0, s], normal, angle_joint, joints[0], axes[0], reach
            )
        if t >= 0:
            sign = -scale if s >= 0 else scale
            filled = _chain(
                row, index, filled, sign, 1, joint[t], centre[1, t], normal, angle_joint, joints[1], axes[1], reach
            )
            filled = _place_rows(row, index, filled, sign, centre[1, t], shift, normal)
        _add(matrix, gradient, row, index, filled, apart * scale)
        cost += (apart * scale) ** 2
    for k in range(2 * free):
        one = 6 + k
        weight = 1.0 / sigma[k]
        leave = (state[k] - goal[k]) * weight
        matrix[one, one] += weight * weight
        gradient[one] += leave * weight
        cost += leave * leave
        beyond = 0.0
        if state[k] > high[k % free]:
            beyond = (state[k] - high[k % free]) / _LIMIT_SIGMA
        elif state[k] < low[k % free]:
            beyond = (state[k] - low[k % free]) / _LIMIT_SIGMA
        if beyond != 0.0:
            matrix[one, one] += 1.0 / _LIMIT_SIGMA**2
            gradient[one] += beyond / _LIMIT_SIGMA
            cost += beyond * beyond
    product = np.empty((3, 3))
    _multiplied(turn, goal_turn.T, product)
    leave_turn = _turn_vector(product)
    for i in range(3):
        matrix[i, i] += 1.0 / turn_sigma**2
        gradient[i] += leave_turn[i] / turn_sigma**2
        cost += (leave_turn[i] / turn_sigma) ** 2
        leave = (shift[i] - goal_shift[i]) / shift_sigma
        matrix[3 + i, 3 + i] += 1.0 / shift_sigma**2
        gradient[3 + i] += leave / shift_sigma
        cost += leave * leave
    return cost, deepest, own_deepest


@numba.njit(cache=True, fastmath=True)
def relax_one(
    state, turn, shift, sigma, turn_sigma, shift_sigma, pulls, thing, rest, frame, joint, start, offset, radius,
    first_arm, angle_joint, angle_axis, low, high, own_least, own_meet, vertices, vertex_joint,
    vertex_weight,
):  # fmt: skip
    """Levenberg-Marquardt on one pattern, in place; returns overlap and own overlap."""
    free = len(low)
    size = 6 + 2 * free
    spheres = len(joint)
    reach = np.zeros((JOINT_COUNT, JOINT_COUNT), np.bool_)
    for j in range(1, JOINT_COUNT):
        k = j
        while k > 0:
            reach[j, k] = True
            k = _PARENTS[k]
    centre, orientation = np.empty((2, spheres, 3)), np.empty((2, JOINT_COUNT, 3, 3))
    joints, axes = np.empty((2, JOINT_COUNT, 3)), np.empty((2, free, 3))
    skin = np.empty((vertices.shape[1], 3))
    matrix, gradient = np.empty((size, size)), np.empty(size)
    new_matrix, new_gradient = np.empty((size, size)), np.empty(size)
    goal, goal_turn, goal_shift = state.copy(), turn.copy(), shift.copy()
    deepest, own_deepest = 0.0, 0.0
    trial, trial_turn, trial_shift = state.copy(), turn.copy(), shift.copy()
    # First whole spheres, which find the way apart; then skin, which fits closely.
    for stage in range(2):
        fine = stage == 1
        cost = np.inf
        damping = 1e-2
        trial[:], trial_turn[:], trial_shift[:] = state, turn, shift
        for _ in range(_ROUNDS):
            new_cost, new_deepest, new_own = _build(
                trial, trial_turn, trial_shift, goal, goal_turn, goal_shift, sigma, turn_sigma, shift_sigma, pulls,
                thing, rest, frame, joint, start, offset, radius, first_arm, angle_joint, angle_axis, low, high,
                own_least, own_meet, reach, vertices, vertex_joint, vertex_weight, skin, fine, centre,
                orientation, joints, axes, new_matrix, new_gradient,
            )  # fmt: skip
            if new_cost < cost:
                small = cost - new_cost < 2e-3 * cost
                state[:], turn[:], shift[:] = trial, trial_turn, trial_shift
                cost, deepest, own_deepest = new_cost, new_deepest, new_own
                matrix[:], gradient[:] = new_matrix, new_gradient
                damping = max(damping * 0.2, 1e-6)
                if small:
                    break
            else:
                damping *= 8.0
                if damping > 1e6:
                    break
            damped, step = matrix.copy(), -gradient
            for i in range(size):
                damped[i, i] *= 1.0 + damping
            _solved(damped, step)
            trial[:] = state + step[6:]
            _multiplied(_rotation(step[:3]), turn, trial_turn)
            trial_shift[:] = shift + step[3:6]
        if not fine and deepest > _HOPELESS:
            break
    for k in range(2 * free):
        state[k] = min(max(state[k], low[k % free]), high[k % free])
    return deepest, own_deepest
