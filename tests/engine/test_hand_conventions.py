# SPDX-License-Identifier: GPL-3.0-or-later
"""Each convention of the hand, pinned by numbers worked out by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import (
    FINGER_JOINTS,
    FINGERS,
    JOINT_NAMES,
    JOINT_PARENTS,
    KEYPOINT_NAMES,
    KEYPOINT_OF_JOINT,
    PALM_LENGTH_JOINT,
    SIDES,
    TIP_JOINTS,
    TIP_KEYPOINTS,
    Side,
)

Array = NDArray[np.float64]
MIRROR = np.array([-1.0, 1.0, 1.0])


def _identity(frames: int = 1) -> Array:
    return np.tile(rotations.IDENTITY, (frames, 16, 1))


def _random(frames: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return rotations.quaternion_from_vector(rng.normal(size=(frames, 16, 3)) * 0.5), rng.normal(size=(frames, 3)) * 0.3


def test_joints_are_in_manos_order_and_tree() -> None:
    fingers = ("index", "middle", "pinky", "ring", "thumb")
    assert ("wrist", *(f"{finger}{level}" for finger in fingers for level in (1, 2, 3))) == JOINT_NAMES
    assert JOINT_PARENTS == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 0, 10, 11, 0, 13, 14)


def test_keypoints_go_from_thumb_to_pinky_and_from_palm_to_tip() -> None:
    fingers = ("thumb", "index", "middle", "ring", "pinky")
    assert ("wrist", *(f"{finger}{level}" for finger in fingers for level in (1, 2, 3, 4))) == KEYPOINT_NAMES
    assert [KEYPOINT_NAMES[k] for k in KEYPOINT_OF_JOINT] == list(JOINT_NAMES)
    assert TIP_KEYPOINTS == (4, 8, 12, 16, 20)
    assert [JOINT_NAMES[j] for j in TIP_JOINTS] == [f"{finger}3" for finger in fingers]


def test_the_canonical_right_hand_points_its_fingers_along_minus_x_back_up_thumb_to_plus_z() -> None:
    hand = free_hand("right")
    np.testing.assert_allclose(hand.joints[0], 0.0, atol=1e-9)
    middle = hand.joints[PALM_LENGTH_JOINT]
    np.testing.assert_allclose(middle / np.linalg.norm(middle), [-1.0, 0.0, 0.0], atol=5e-3)
    index, pinky = (hand.joints[JOINT_NAMES.index(name)] for name in ("index1", "pinky1"))
    assert index[2] > 0.015 > -0.015 > pinky[2]
    assert hand.tips[FINGERS.index("thumb"), 2] > 0.05
    # The skin of the back lies nearer the knuckles than that of the palm.
    near = np.linalg.norm((hand.template - middle)[:, [0, 2]], axis=1) < 0.006
    assert hand.template[near, 1].max() < -hand.template[near, 1].min()
    assert 0.15 < -hand.template[:, 0].min() < 0.21


@pytest.mark.parametrize("betas", [np.zeros(10), np.linspace(-2.0, 2.0, 10)], ids=["mean", "another"])
def test_identity_is_the_flat_hand_in_every_shape(betas: Array) -> None:
    hand = free_hand("right")
    rest = hand.rest(betas)
    posed = hand.pose(_identity(), np.zeros((1, 3)), rest)
    np.testing.assert_allclose(posed.joints[0], rest.joints, atol=1e-12)
    np.testing.assert_allclose(hand.skin(posed, rest, _identity())[0], hand.rest_vertices(rest), atol=1e-12)
    for number, finger in enumerate(FINGERS):
        points = np.concatenate([rest.joints[list(FINGER_JOINTS[finger])], rest.tips[number : number + 1]])
        bones = np.diff(points, axis=0)
        bones /= np.linalg.norm(bones, axis=1, keepdims=True)
        # Straight: neighbouring bones agree; level: no finger rises or sinks. The thumb hangs below the palm.
        assert np.degrees(np.arccos(np.clip((bones[1:] * bones[:-1]).sum(1), -1, 1))).max() < 6.0, finger
        assert np.degrees(np.arcsin(np.abs(bones[:, 1]))).max() < (25.0 if finger == "thumb" else 5.0), finger


def test_the_left_hand_is_the_exact_mirror_of_the_right() -> None:
    right, left = free_hand("right"), free_hand("left")
    rotation, place = _random(4)
    betas = np.linspace(1.5, -1.5, 10)
    np.testing.assert_array_equal(left.template, right.template * MIRROR)
    np.testing.assert_array_equal(left.joint_dirs, right.joint_dirs * MIRROR)
    mine = right.vertices(rotation, place, right.rest(betas, 0.08))
    theirs = left.vertices(rotations.mirrored(rotation), place * MIRROR, left.rest(betas, 0.08))
    np.testing.assert_allclose(theirs, mine * MIRROR, atol=1e-12)
    np.testing.assert_array_equal(left.triangles, right.triangles[:, ::-1])


def test_the_left_rotation_is_w_x_minus_y_minus_z() -> None:
    np.testing.assert_array_equal(rotations.mirrored([0.5, 0.1, 0.2, 0.3]), [0.5, 0.1, -0.2, -0.3])
    reflect = np.diag(MIRROR)
    quaternion = _random(1)[0][0, 0]
    expected = reflect @ rotations.matrix_from_quaternion(quaternion) @ reflect
    np.testing.assert_allclose(rotations.matrix_from_quaternion(rotations.mirrored(quaternion)), expected, atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_size_is_the_palm_length_and_a_factor_on_the_shape(side: Side) -> None:
    hand = free_hand(side)
    betas = np.linspace(-1.0, 1.0, 10)
    plain, sized = hand.rest(betas), hand.rest(betas, 0.095)
    assert np.linalg.norm(sized.joints[PALM_LENGTH_JOINT]) == pytest.approx(0.095)
    assert sized.palm_length == pytest.approx(0.095) and sized.sized and not plain.sized
    np.testing.assert_allclose(sized.joints, plain.joints * sized.scale, atol=1e-12)
    np.testing.assert_allclose(hand.rest_vertices(sized), hand.rest_vertices(plain) * sized.scale, atol=1e-12)
    assert 0.075 < hand.palm_length < 0.095


def test_translation_is_the_posed_wrist_joint() -> None:
    hand = free_hand("left")
    rotation, place = _random(3)
    posed = hand.pose(rotation, place, hand.rest(np.ones(10), 0.09))
    np.testing.assert_array_equal(posed.joints[:, 0], place)
    np.testing.assert_array_equal(posed.keypoints[:, 0], place)


def test_rotations_are_relative_to_the_parent_in_canonical_axes_and_the_root_takes_them_to_the_camera() -> None:
    """A quarter turn about z of the index knuckle points it down; the root then turns the whole."""
    hand = free_hand("right")
    rest = hand.rest()
    quarter = rotations.quaternion_from_vector([0.0, 0.0, np.pi / 2])
    rotation = _identity()
    knuckle, middle, end = FINGER_JOINTS["index"]
    rotation[0, knuckle] = quarter
    posed = hand.pose(rotation, np.zeros((1, 3)), rest)
    bone = rest.joints[middle] - rest.joints[knuckle]
    np.testing.assert_allclose(
        posed.joints[0, middle] - posed.joints[0, knuckle], [-bone[1], bone[0], bone[2]], atol=1e-12
    )
    # The child's own turn is told in the axes it had at rest: about z again adds up to half a turn.
    rotation[0, middle] = quarter
    bone = rest.joints[end] - rest.joints[middle]
    posed = hand.pose(rotation, np.zeros((1, 3)), rest)
    np.testing.assert_allclose(posed.joints[0, end] - posed.joints[0, middle], bone * [-1, -1, 1], atol=1e-12)
    # About the camera's x: what pointed up now points ahead.
    rotation[0, 0] = rotations.quaternion_from_vector([np.pi / 2, 0.0, 0.0])
    turned = hand.pose(rotation, np.zeros((1, 3)), rest).keypoints[0]
    before = posed.keypoints[0]
    np.testing.assert_allclose(turned, np.stack([before[:, 0], -before[:, 2], before[:, 1]], axis=1), atol=1e-12)


@pytest.mark.parametrize("side", SIDES)
def test_positive_flexion_closes_the_hand_and_positive_abduction_goes_to_the_thumb(side: Side) -> None:
    hand, hinges = free_hand(side), free_hinges(side)
    np.testing.assert_allclose(np.linalg.det(hinges.frame), 1.0, atol=1e-9)
    for finger in FINGERS[1:]:
        knuckle, middle, _ = FINGER_JOINTS[finger]
        bone = hand.joints[middle] - hand.joints[knuckle]
        flexion, abduction, twist = hinges.frame[knuckle].T
        assert np.cross(flexion, bone)[1] < 0.0
        # A pseudo-vector in the mirror: equal angles are mirror images, so both abduct towards their own thumb.
        towards = np.cross(abduction, bone)[2]
        assert towards > 0.0
        outwards = 1.0 if side == "right" else -1.0
        assert twist @ bone / np.linalg.norm(bone) == pytest.approx(outwards, abs=2e-3)


def test_hinge_limits_hold_the_flat_hand_and_the_wrist_has_none() -> None:
    hinges = free_hinges("right")
    assert (hinges.limits[..., 0] <= 0.0).all() and (hinges.limits[..., 1] >= 0.0).all()
    assert not hinges.free[0].any() and hinges.free[1:, 0].all()
    assert hinges.free.sum() == 4 * 4 + 3 + 2 + 1
    np.testing.assert_array_equal(hinges.free, hinges.limits[..., 1] > hinges.limits[..., 0])


def test_many_frames_at_once_are_those_frames_one_by_one() -> None:
    hand = free_hand("right")
    rest = hand.rest(np.ones(10) * 0.5)
    rotation, place = _random(5)
    together = hand.vertices(rotation, place, rest)
    for frame in range(5):
        alone = hand.vertices(rotation[frame : frame + 1], place[frame : frame + 1], rest)[0]
        np.testing.assert_allclose(alone, together[frame], atol=1e-12)


def test_skinning_is_the_weighted_mean_of_where_each_joint_takes_a_vertex() -> None:
    hand = free_hand("right")
    rest = hand.rest(np.ones(10))
    rotation, place = _random(1)
    posed = hand.pose(rotation, place, rest)
    base = hand.rest_vertices(rest)
    for vertex in (0, 400, 900, 1500):
        parts = [
            hand.weights[vertex, j] * (posed.orientation[0, j] @ (base[vertex] - rest.joints[j]) + posed.joints[0, j])
            for j in range(16)
        ]
        np.testing.assert_allclose(hand.skin(posed, rest, rotation)[0, vertex], np.sum(parts, axis=0), atol=1e-12)


@pytest.mark.parametrize("frames", [1, 64])
def test_keypoints_cost_less_than_a_fifth_of_the_mesh(frames: int) -> None:
    hand = free_hand("right")
    rest = hand.rest(np.ones(10), 0.08)
    rotation, place = _random(frames)

    # Processor time of every thread, the two by turns: neither more cores for the mesh's one large product nor
    # a busy moment on the machine changes which is the dearer.
    keypoints, mesh = [], []
    for _ in range(40):
        for times, work in ((keypoints, hand.pose), (mesh, hand.vertices)):
            began = time.process_time()
            work(rotation, place, rest)
            times.append(time.process_time() - began)
    assert min(keypoints) < 0.2 * min(mesh)
