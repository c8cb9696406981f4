# SPDX-License-Identifier: GPL-3.0-or-later
"""An arm gets its wrist where it should be, bends its elbow to its own side, and is found on rigs of all kinds."""

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.rigs.arm import Reached, anchor_bones, arm_of, reach, swings_between, twist_about
from blender_handmocap.engine.rigs.preset import BoneMap
from blender_handmocap.engine.rigs.skeleton import RestSkeleton


def points(*rows: tuple[float, float, float], count: int = 1) -> np.ndarray:
    return np.tile(np.array(rows, dtype=np.float64), (count, 1))


def moved(turn: np.ndarray, pivot: np.ndarray, point: np.ndarray) -> np.ndarray:
    return pivot + (turn @ (point - pivot)[..., None])[..., 0]


def reached(
    shoulder: np.ndarray, elbow: np.ndarray, wrist: np.ndarray, target: np.ndarray, bend: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Reached]:
    """(elbow, wrist) after the turns were applied the way a rig applies them."""
    turn = reach(shoulder, elbow, wrist, target, bend)
    new_elbow = moved(turn.upper, shoulder, elbow)
    new_wrist = new_elbow + (turn.lower @ (wrist - elbow)[..., None])[..., 0]
    return new_elbow, new_wrist, turn


def test_the_wrist_arrives_and_bones_keep_their_lengths() -> None:
    random = np.random.default_rng(2)
    count = 200
    shoulder = random.normal(size=(count, 3))
    elbow = shoulder + random.normal(size=(count, 3))
    wrist = elbow + random.normal(size=(count, 3))
    a, b = np.linalg.norm(elbow - shoulder, axis=-1), np.linalg.norm(wrist - elbow, axis=-1)
    away = random.normal(size=(count, 3))
    away /= np.linalg.norm(away, axis=-1, keepdims=True)
    target = shoulder + away * (np.abs(a - b) + (a + b - np.abs(a - b)) * random.uniform(0.1, 0.9, count))[:, None]
    bend = random.normal(size=(count, 3))
    new_elbow, new_wrist, turn = reached(shoulder, elbow, wrist, target, bend)
    np.testing.assert_allclose(new_wrist, target, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(new_elbow - shoulder, axis=-1), a, atol=1e-9)
    np.testing.assert_allclose(turn.short, 0.0, atol=1e-9)


def test_a_target_out_of_reach_is_pointed_at_and_told() -> None:
    shoulder, elbow, wrist = points((0, 0, 0)), points((1, 0, 0.1)), points((2, 0, 0))
    _, new_wrist, turn = reached(shoulder, elbow, wrist, points((0, 5, 0)), points((0, 0, -1)))
    assert turn.short[0] == pytest.approx(3.0, abs=0.05)
    np.testing.assert_allclose(new_wrist[0] / np.linalg.norm(new_wrist[0]), [0, 1, 0], atol=1e-6)


def test_the_elbow_stays_on_its_side_and_a_straight_arm_follows_the_hint() -> None:
    shoulder, wrist, target = points((0, 0, 0)), points((2, 0, 0)), points((1.2, 0, 0))
    for side in (1.0, -1.0):
        elbow = points((1, 0.5 * side, 0))
        new_elbow, _, _ = reached(shoulder, elbow, wrist, target, points((0, -side, 0)))
        assert new_elbow[0, 1] * side > 0.3
    new_elbow, _, _ = reached(shoulder, points((1, 0, 0)), wrist, target, points((0, 0, -1)))
    assert new_elbow[0, 2] < -0.5


def test_a_wrist_that_goes_round_in_front_moves_the_elbow_without_jumps() -> None:
    angle = np.linspace(-2.2, 2.2, 240)
    target = np.stack([1.1 * np.cos(angle), 1.1 * np.sin(angle), 0.3 + 0 * angle], axis=-1)
    shoulder, elbow, wrist = (points(row, count=240) for row in ((0, 0, 0), (0.9, 0.3, 0), (1.7, 0, 0)))
    new_elbow, _, _ = reached(shoulder, elbow, wrist, target, points((0, 0, -1), count=240))
    assert np.linalg.norm(np.diff(new_elbow, axis=0), axis=-1).max() < 0.05


def test_twist_is_told_apart_from_swing_and_unwound() -> None:
    axis = np.array([0.0, 1.0, 0.0])
    angle = np.linspace(0, 3 * np.pi, 50)
    twist = rotations.matrix_from_vector(angle[:, None] * axis)
    swing = rotations.matrix_from_vector(np.array([0.4, 0.0, 0.3]))
    np.testing.assert_allclose(twist_about(swing @ twist, axis) - twist_about(swing @ twist, axis)[0], angle, atol=1e-6)


def test_opposite_directions_are_half_a_turn() -> None:
    turn = swings_between(points((1, 0, 0)), points((-2, 0, 0)))
    np.testing.assert_allclose(turn[0] @ [1, 0, 0], [-1, 0, 0], atol=1e-9)
    assert np.linalg.det(turn[0]) == pytest.approx(1.0)


def chain(*names: str, parents: tuple[int, ...]) -> RestSkeleton:
    count = len(names)
    heads = np.stack([np.arange(count, dtype=np.float64), np.zeros(count), np.zeros(count)], axis=-1)
    return RestSkeleton(tuple(names), parents, heads, heads + np.array([1.0, 0, 0]), np.tile(np.eye(3), (count, 1, 1)))


def test_arms_are_found_by_name_and_past_twist_bones() -> None:
    skeleton = chain(
        "hips", "chest", "Clavicle_L", "UpArm_L", "UpArmTwist_L", "LoArm_L", "LoArmTwist_L", "Hand_L", "Hand_R", "head",
        parents=(-1, 0, 1, 2, 3, 4, 5, 6, 1, 1),
    )  # fmt: skip
    left = BoneMap(side="left", bones={"wrist": "Hand_L"})
    arm = arm_of(skeleton, left)
    assert arm is not None
    assert [skeleton.names[bone] for bone in (arm.upper, arm.lower, arm.wrist)] == ["UpArm_L", "LoArm_L", "Hand_L"]
    named = arm_of(skeleton, BoneMap("left", {"wrist": "Hand_L", "forearm": "UpArm_L", "upper_arm": "Clavicle_L"}))
    assert named is not None
    assert (named.upper, named.lower) == (2, 3)
    anchors = anchor_bones(skeleton, {"left": left, "right": BoneMap("right", {"wrist": "Hand_R"})})
    assert anchors == {"chest": "chest", "head": "head"}


def test_a_hand_without_an_arm_has_none() -> None:
    skeleton = chain("Hand_L", "finger", parents=(-1, 0))
    assert arm_of(skeleton, BoneMap("left", {"wrist": "Hand_L"})) is None
    assert arm_of(skeleton, BoneMap("left", {})) is None
    assert anchor_bones(skeleton, {}) == {}
