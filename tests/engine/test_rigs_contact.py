# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands of another size touch where the take's hands touch, and nothing pops."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import (
    CONTACT_PARTS,
    FINGER_JOINTS,
    JOINT_NAMES,
    KEYPOINT_NAMES,
    SIDES,
    TIP_JOINTS,
    Side,
)
from blender_handmocap.engine.hand.spheres import fitted_spheres
from blender_handmocap.engine.rigs.contact import Performed, keep_contacts
from blender_handmocap.engine.rigs.easing import eased_curve, ramp
from blender_handmocap.engine.rigs.figure import rest_on_rig
from blender_handmocap.engine.rigs.preset import mapped
from blender_handmocap.engine.rigs.presets import PRESETS
from blender_handmocap.engine.rigs.retarget import finger_rotations, fit_hand
from blender_handmocap.engine.rigs.touches import Spot, touches_of
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack, State, Take
from tests.engine.test_rigs_retarget import make_rig, posed_heads

RATE, FRAMES, SIZE = 30.0, 90, 0.09
MEETING = slice(40, 56)
PINCHING = slice(40, 60)
BEYOND = 0.005
"""metres: what touching tips may be apart at most"""
JERKIER = 2.0
"""how much more the character's tips may be accelerated than the take's, beside their size"""


def tip_gap(rotation: np.ndarray) -> np.ndarray:
    """(T,) metres between the skins of a right hand's thumb and index fingertips."""
    model = free_hand("right")
    rest = model.rest(None, SIZE)
    posed = model.pose(rotation, np.zeros((len(rotation), 3)), rest)
    owner = model.weights.argmax(1)
    clouds = [
        model.skin(posed, rest, rotation, np.flatnonzero(owner == FINGER_JOINTS[finger][2])[::4])
        for finger in ("thumb", "index")
    ]
    return np.linalg.norm(clouds[0][:, :, None] - clouds[1][:, None], axis=-1).min((1, 2))


@lru_cache
def pinch() -> np.ndarray:
    """(16, 3) hinge angles of a right hand whose thumb and index touch: the best of many guesses, then nearer."""
    hinges = free_hinges("right")
    random = np.random.default_rng(0)
    mine = [*FINGER_JOINTS["thumb"], *FINGER_JOINTS["index"]]
    low, high = hinges.limits[mine, :, 0], hinges.limits[mine, :, 1]
    best = 0.5 * (low + high)
    reach = 0.5 * (high - low)
    for _ in range(8):
        guesses = np.clip(best + random.uniform(-1, 1, size=(250, 6, 3)) * reach, low, high)
        angles = np.zeros((250, 16, 3))
        angles[:, mine] = guesses * hinges.free[mine]
        cost = np.abs(tip_gap(rotations_from_angles(angles, hinges)) - 0.002)
        best, reach = guesses[cost.argmin()], reach * 0.6
    out = np.zeros((16, 3))
    out[mine] = best * hinges.free[mine]
    return out


def meeting_take(*, recorded: bool) -> Take:
    """The index tips come together, stay and part, while both hands turn and move."""
    time = np.arange(FRAMES) / RATE
    near = ramp(np.isin(np.arange(FRAMES), np.arange(FRAMES)[MEETING]), time, 0.7)
    rotation, tips = {}, {}
    for side in SIDES:
        model, hinges = free_hand(side), free_hinges(side)
        angles = np.zeros((FRAMES, 16, 3))
        bend = hinges.limits[:, 0, 1] * hinges.free[:, 0] * 0.7
        bend[list(FINGER_JOINTS["index"])] *= 0.25
        angles[:, 1:, 0] = bend[1:] * (0.8 + 0.2 * np.sin(2.0 * time))[:, None]
        # Fingers along camera x, towards each other, as canonical axes have it for both hands.
        root = rotations.quaternion_from_vector(
            np.stack([0.2 * np.sin(time), 0.3 * np.cos(2 * time), np.zeros(FRAMES)], axis=-1)
        )
        rotation[side] = rotations_from_angles(angles, hinges, root)
        posed = model.pose(rotation[side], np.zeros((FRAMES, 3)), model.rest(None, SIZE))
        tips[side] = posed.keypoints[:, KEYPOINT_NAMES.index("index4")]
    middle = np.stack([0.02 * np.sin(3 * time), 0.03 * np.cos(2 * time), np.full(FRAMES, 0.5)], axis=-1)
    tracks = {}
    for side in SIDES:
        apart = np.array([0.06, 0.03, 0.0]) * (1.0 - near)[:, None] * (1.0 if side == "right" else -1.0)
        tracks[side] = with_pose(side, rotation[side], middle - tips[side] + apart)
    contacts = np.zeros(0, CONTACT_DTYPE)
    if recorded:
        part = CONTACT_PARTS.index("index_tip")
        contacts = np.array([(i, part, part, 0.9) for i in range(FRAMES)[MEETING]], CONTACT_DTYPE)
    return take_of(tracks, contacts)


def pinching_take() -> Take:
    """Both hands open and close a pinch."""
    time = np.arange(FRAMES) / RATE
    closed = ramp(np.isin(np.arange(FRAMES), np.arange(FRAMES)[PINCHING]), time, 0.6)
    tracks = {}
    for side in SIDES:
        angles = pinch() * closed[:, None, None]
        root = rotations.quaternion_from_vector(np.stack([time, 0.5 * time, 0.2 * time], axis=-1))
        place = np.array([0.15 if side == "right" else -0.15, 0.0, 0.5]) + np.zeros((FRAMES, 3))
        tracks[side] = with_pose(side, rotations_from_angles(angles, free_hinges(side), root), place)
    return take_of(tracks, np.zeros(0, CONTACT_DTYPE))


def with_pose(side: Side, rotation: np.ndarray, translation: np.ndarray) -> HandTrack:
    model = free_hand(side)
    return replace(
        HandTrack.absent(FRAMES),
        state=np.full(FRAMES, State.SEEN, np.uint8),
        confidence=np.ones(FRAMES),
        rotation=rotation,
        translation=translation,
        points=model.pose(rotation, translation, model.rest(None, SIZE)).keypoints,
    )


def take_of(tracks: dict[Side, HandTrack], contacts: np.ndarray) -> Take:
    return Take(
        meta={"rate": [30, 1]},
        frame=np.arange(FRAMES, dtype=np.int32),
        time=np.arange(FRAMES) / RATE,
        K=np.eye(3),
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=SIZE,
        contacts=contacts,
    )


def performed(take: Take, scale: float) -> dict[Side, Performed]:
    """The take on hands of other proportions, `scale` times as large, on the same paths."""
    betas = np.array([0.0, 1.0, -1.0, 0.5, 0, 0, 0, 0, 0, 0])
    return {
        side: Performed(
            model=free_hand(side),
            hinges=free_hinges(side),
            source=free_hand(side).rest(take.betas, take.size),
            rest=free_hand(side).rest(betas, take.size * scale),
            rotation=take.track(side).rotation,
            translation=take.track(side).translation,
        )
        for side in SIDES
    }


def skin_gap(hands: dict[Side, Performed], spots: tuple[Spot, Spot], frames: range) -> np.ndarray:
    """(n,) least distance between the vertices that belong to two parts, on the character's own mesh."""
    clouds = []
    for spot in spots:
        hand = hands[spot.side]
        own = np.flatnonzero(hand.model.weights.argmax(1) == spot.joint)
        rotation = hand.rotation[frames.start : frames.stop]
        posed = hand.model.pose(rotation, hand.translation[frames.start : frames.stop], hand.rest)
        clouds.append(hand.model.skin(posed, hand.rest, rotation, own))
    return np.array(
        [np.linalg.norm(a[:, None] - b[None], axis=-1).min() for a, b in zip(clouds[0], clouds[1], strict=True)]
    )


def depth(hands: dict[Side, Performed], spots: tuple[Spot, Spot]) -> np.ndarray:
    """(T,) least distance between two parts as balls, negative inside."""
    balls = []
    for spot in spots:
        hand = hands[spot.side]
        spheres = fitted_spheres(hand.model, hand.rest)
        mine = np.flatnonzero(spheres.part == spot.part)
        balls.append((spheres.centres(hand.posed())[:, mine], spheres.radius[mine]))
    (a, ra), (b, rb) = balls
    return (np.linalg.norm(a[:, :, None] - b[:, None], axis=-1) - ra[:, None] - rb).min((1, 2))


def most_acceleration(hands: dict[Side, Performed]) -> float:
    """The largest second difference of any fingertip, in palm lengths a frame squared."""
    return max(
        float(np.linalg.norm(np.diff(hand.posed().keypoints[:, 4::4], n=2, axis=0), axis=-1).max())
        / hand.rest.palm_length
        for hand in hands.values()
    )


@pytest.mark.parametrize(("scale", "recorded"), [(0.8, True), (1.3, False)], ids=["0.8 recorded", "1.3 measured"])
def test_tips_that_touch_touch_on_other_hands(scale: float, recorded: bool) -> None:
    take = meeting_take(recorded=recorded)
    touches = touches_of(take, {side: free_hand(side) for side in SIDES})
    index = CONTACT_PARTS.index("index_tip")
    between = [touch for touch in touches if touch.spots[0].side != touch.spots[1].side]
    assert [(touch.spots[0].part, touch.spots[1].part) for touch in between] == [(index, index)]
    before = performed(take, scale)
    after = keep_contacts(touches, before, take.time)
    spots, meeting = between[0].spots, range(FRAMES)[MEETING]
    # Without it the hands miss each other or run through each other.
    missed = np.maximum(skin_gap(before, spots, meeting), -depth(before, spots)[MEETING])
    assert missed.max() > BEYOND
    assert skin_gap(after, spots, meeting).max() < BEYOND
    assert depth(after, spots)[MEETING].min() > -BEYOND
    source = performed(take, 1.0)
    assert most_acceleration(after) < JERKIER * most_acceleration(source) * max(1.0, 1.0 / scale)
    # The correction dies away: a second from the touch little of it is left.
    for side in SIDES:
        moved = np.linalg.norm(after[side].translation - before[side].translation, axis=-1)
        assert moved[[0, -1]].max() < 0.4 * moved.max()


@pytest.mark.parametrize("scale", [0.8, 1.3])
def test_a_pinch_stays_closed_and_no_wrist_moves_for_it(scale: float) -> None:
    take = pinching_take()
    touches = touches_of(take, {side: free_hand(side) for side in SIDES}, between_hands=False)
    index = CONTACT_PARTS.index("index_tip")
    assert {touch.spots for touch in touches} >= {(Spot(side, 0), Spot(side, index)) for side in SIDES}
    before = performed(take, scale)
    after = keep_contacts(touches, before, take.time, move_wrists=False)
    for side in SIDES:
        spots = (Spot(side, 0), Spot(side, index))
        closed = range(FRAMES)[PINCHING]
        assert skin_gap(after, spots, closed).max() < BEYOND
        source = {one: replace(hand, rest=hand.source) for one, hand in before.items()}
        assert depth(after, spots)[PINCHING].min() > depth(source, spots)[PINCHING].min() * scale - BEYOND
        np.testing.assert_array_equal(after[side].translation, before[side].translation)
        bent = np.degrees(rotations.angle_between(after[side].rotation, before[side].rotation))
        untouched = [JOINT_NAMES.index(f"pinky{k}") for k in (1, 2, 3)]
        assert bent[:, untouched].max() < 1e-3 < bent.max()
    assert most_acceleration(after) < JERKIER * most_acceleration(performed(take, 1.0))


def test_the_same_hands_are_left_as_they_are() -> None:
    take = meeting_take(recorded=True)
    same = {side: replace(hand, rest=hand.source) for side, hand in performed(take, 1.0).items()}
    after = keep_contacts(touches_of(take, {side: free_hand(side) for side in SIDES}), same, take.time)
    for side in SIDES:
        # Only what little stands open, between the tips and between the thumbs and their fists, is closed.
        assert np.abs(after[side].translation - take.track(side).translation).max() < 0.003
        bent = rotations.angle_between(after[side].rotation, take.track(side).rotation)
        assert np.degrees(bent[:, list(FINGER_JOINTS["pinky"])]).max() < 0.1
        assert np.degrees(bent).max() < 8.0


def test_a_take_without_touches_has_none() -> None:
    take = meeting_take(recorded=False)
    away = replace(take.right, translation=take.right.translation + np.array([0.3, 0, 0]))
    touches = touches_of(take.with_tracks(right=away), {side: free_hand(side) for side in SIDES})
    assert all(touch.spots[0].side == touch.spots[1].side for touch in touches)
    assert keep_contacts([], performed(take, 1.0), take.time).keys() == set(SIDES)


def test_a_hand_that_is_away_touches_nothing() -> None:
    take = meeting_take(recorded=True)
    absent = HandTrack.absent(FRAMES)
    touches = touches_of(take.with_tracks(left=absent), {side: free_hand(side) for side in SIDES})
    assert all(spot.side == "right" for touch in touches for spot in touch.spots)


def test_an_eased_curve_meets_what_is_wanted_and_dies_away() -> None:
    time = np.arange(120) / 30.0
    weight = np.zeros(120)
    weight[50:60] = 1.0
    curve = eased_curve(np.full((120, 1), 0.04), weight, time, 0.3)[:, 0]
    assert np.abs(curve[50:60] - 0.04).max() < 0.001
    assert np.abs(curve[[0, 119]]).max() < 0.004
    # No step is larger than that of a smooth blend over the same time.
    assert np.abs(np.diff(curve)).max() < 0.04 / 9 * 1.5


@pytest.mark.parametrize("name", ["Unreal 5", "Mixamo", "Rigify metarig"])
def test_a_rig_laid_flat_has_its_own_bone_lengths_and_moves_like_the_rig(name: str) -> None:
    """Forward kinematics of the rest hand equal those of the posed rig, for every mapped joint."""
    preset = next(p for p in PRESETS if p.name == name)
    skeleton = make_rig(preset, np.random.default_rng(6))
    rotation = pinching_take().left.rotation[45:46].copy()
    for side in SIDES:
        model = free_hand(side)
        bones = mapped(preset, set(skeleton.names), side)
        fit = fit_hand(skeleton, bones, model)
        rest = rest_on_rig(skeleton, bones, fit, model, unit=2.0)
        still = rotation.copy()
        still[:, 0] = rotations.IDENTITY
        ours = model.pose(still, np.zeros((1, 3)), rest).joints[0] @ fit.palm.T / 2.0
        heads = posed_heads(skeleton, dict(finger_rotations(skeleton, bones, fit, still).rotation), 1)[0]
        wrist = heads[skeleton.index[bones.bones["wrist"]]]
        for joint, role in enumerate(JOINT_NAMES):
            theirs = heads[skeleton.index[bones.bones[role]]] - wrist
            np.testing.assert_allclose(ours[joint], theirs, atol=1e-6 * rest.palm_length + 1e-9)
        assert np.linalg.norm(rest.tips - rest.joints[list(TIP_JOINTS)], axis=-1).min() > 0.05 * rest.palm_length
