# SPDX-License-Identifier: GPL-3.0-or-later
"""Every preset on randomised rests: what the hand does there is what it does here."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import (
    FINGERS,
    JOINT_NAMES,
    JOINT_PARENTS,
    KEYPOINT_NAMES,
    SIDES,
    TIP_JOINTS,
    Side,
)
from blender_handmocap.engine.rigs.detect import GUESSED, detect
from blender_handmocap.engine.rigs.preset import BoneMap, RigPreset, mapped
from blender_handmocap.engine.rigs.presets import PRESETS
from blender_handmocap.engine.rigs.retarget import finger_rotations, fit_hand, swing_between
from blender_handmocap.engine.rigs.skeleton import RestSkeleton

RESTS = 20
CLOSE = 5.0
"""degrees"""
DEGREES = np.pi / 180


def random_rotation(random: np.random.Generator) -> np.ndarray:
    return rotations.matrix_from_quaternion(rotations.normalized(random.normal(size=4)))


def ten_poses() -> np.ndarray:
    """(10, 16, 3) hinge angles: open, fist, thumbs-up, point, spread and others within the limits."""
    limits = free_hinges("right").limits
    free = free_hinges("right").free
    random = np.random.default_rng(4)
    poses = random.uniform(limits[..., 0], limits[..., 1], size=(10, 16, 3)) * free
    poses[0] = 0
    fist = limits[..., 1] * free * np.array([0.9, 0.0, 0.0])
    poses[1] = fist
    thumbs_up = fist.copy()
    thumbs_up[[JOINT_NAMES.index(f"thumb{k}") for k in (1, 2, 3)]] = 0
    poses[2] = thumbs_up
    point = fist.copy()
    point[[JOINT_NAMES.index(f"index{k}") for k in (1, 2, 3)]] = 0
    poses[3] = point
    # Fingers fanned out: index and pinky as far apart as they go.
    poses[4] = 0
    for finger in ("index", "ring", "pinky"):
        joint = JOINT_NAMES.index(f"{finger}1")
        poses[4, joint, 1] = (limits if finger == "index" else limits[:, :, ::-1])[joint, 1, 1]
    # The thumb across the palm.
    poses[5] = 0
    thumb = JOINT_NAMES.index("thumb1")
    poses[5, thumb : thumb + 3] = np.where(free[thumb : thumb + 3], limits[thumb : thumb + 3, :, 1], 0.0) * [0.8, 0, 0]
    return poses


@dataclass
class Truth:
    """What a rig was made of, which its skeleton does not tell."""

    hand: dict[Side, np.ndarray] = field(default_factory=dict)
    """(3, 3) the hand's canonical axes to armature space at rest"""
    tips: dict[Side, np.ndarray] = field(default_factory=dict)
    """(5, 3) fingertips at rest, armature space, in FINGERS order"""
    unmarked: set[tuple[Side, str]] = field(default_factory=set)
    """fingers whose tip nothing in the skeleton shows"""


def make_rig(
    preset: RigPreset, random: np.random.Generator, *, sides: tuple[Side, ...] = SIDES, truth: Truth | None = None
) -> RestSkeleton:
    """A skeleton with the preset's names whose rest is bent, spread, rolled, turned, scaled and out of proportion."""
    told = Truth() if truth is None else truth
    names, parents, heads, tails, axes = ["root"], [-1], [np.zeros(3)], [np.array([0, 0, 0.1])], [np.eye(3)]

    def add(name: str, parent: int, head: np.ndarray, tail: np.ndarray) -> int:
        names.append(name)
        parents.append(parent)
        heads.append(head)
        tails.append(tail)
        along = (tail - head) / np.linalg.norm(tail - head)
        frame = swing_between(np.array([0.0, 1.0, 0.0]), along)
        roll = rotations.matrix_from_vector(along * random.uniform(-np.pi, np.pi))
        axes.append(roll @ frame)
        return len(names) - 1

    unit = random.choice([0.01, 1.0, 100.0])
    world = random_rotation(random)
    for side in sides:
        model, hinges = free_hand(side), free_hinges(side)
        rest = model.rest(random.normal(size=10) * 1.0)
        bend = random.uniform(0, 25, size=(1, 16, 3)) * DEGREES * np.array([1, 0.2, 0]) * hinges.free
        turn = rotations_from_angles(bend, hinges)
        turn[:, 0] = rotations.quaternion_from_matrix(random_rotation(random))
        posed = model.pose(turn, random.normal(size=(1, 3)), rest)
        told.hand[side] = world @ posed.orientation[0, 0]
        told.tips[side] = posed.keypoints[0, 4::4] @ world.T * unit
        joints, points = posed.joints[0] @ world.T * unit, posed.keypoints[0] @ world.T * unit
        elbow = joints[0] + (joints[0] - joints[JOINT_NAMES.index("middle1")]) * 2
        parent = add(preset.bone_name("forearm", side) or f"elbow_{side}", 0, elbow, joints[0])
        at = {0: add(preset.bone_name("wrist", side), parent, joints[0], joints[JOINT_NAMES.index("middle1")])}
        for joint in range(1, 16):
            role = JOINT_NAMES[joint]
            above = at[JOINT_PARENTS[joint]]
            base = preset.bone_name(f"{role[:-1]}0", side) if role.endswith("1") else None
            if base is not None:
                above = add(base, above, joints[0] + 0.2 * (joints[joint] - joints[0]), joints[joint])
            if joint in TIP_JOINTS:
                tail = points[4 * (TIP_JOINTS.index(joint) + 1)]
                drawn = random.random()
                if drawn < 0.3:
                    # Importers guess the tail of a last bone.
                    tail = joints[joint] + random_rotation(random) @ (tail - joints[joint])
            else:
                drawn, tail = 1.0, joints[joint + 1]
            at[joint] = add(preset.bone_name(role, side), above, joints[joint], tail)
            tip = points[4 * (TIP_JOINTS.index(joint) + 1)] if joint in TIP_JOINTS else tail
            if drawn < 0.15:
                # Some write a leaf where the last bone ends.
                add(f"{preset.bone_name(role, side)}_end", at[joint], tip, 2 * tip - joints[joint])
            elif drawn < 0.3:
                told.unmarked.add((side, role[:-1]))
    skeleton = RestSkeleton(tuple(names), tuple(parents), np.array(heads), np.array(tails), np.array(axes))
    if preset.prefix:
        prefix = random.choice(["", "mixamorig:", "mixamorig7:"])
        skeleton = replace(skeleton, names=tuple(prefix + name for name in skeleton.names))
    return skeleton


def posed_heads(skeleton: RestSkeleton, keyed: dict[str, np.ndarray], frames: int) -> np.ndarray:
    """Heads (T, B, 3) of the posed rig: forward kinematics as Blender does it."""
    return posed_bones(skeleton, keyed, frames)[1]


def posed_bones(skeleton: RestSkeleton, keyed: dict[str, np.ndarray], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Axes (T, B, 3, 3) and heads (T, B, 3) of the posed rig."""
    count = len(skeleton.names)
    orientation, head = np.empty((frames, count, 3, 3)), np.empty((frames, count, 3))
    for bone, name in enumerate(skeleton.names):
        parent = skeleton.parents[bone]
        basis = rotations.matrix_from_quaternion(keyed[name]) if name in keyed else np.eye(3)
        if parent < 0:
            orientation[:, bone], head[:, bone] = skeleton.axes[bone] @ basis, skeleton.heads[bone]
            continue
        carry = orientation[:, parent] @ skeleton.axes[parent].T
        orientation[:, bone] = carry @ skeleton.axes[bone] @ basis
        head[:, bone] = head[:, parent] + carry @ (skeleton.heads[bone] - skeleton.heads[parent])
    return orientation, head


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_fingers_point_where_ours_do_on_every_preset_and_rest(preset: RigPreset) -> None:
    poses = ten_poses()
    for seed in range(RESTS):
        random = np.random.default_rng([seed, len(preset.name)])
        skeleton = make_rig(preset, random)
        for side in SIDES:
            bones = mapped(preset, set(skeleton.names), side)
            assert not bones.missing
            model = free_hand(side)
            fit = fit_hand(skeleton, bones, model)
            rotation = rotations_from_angles(poses, free_hinges(side))
            keyed = dict(finger_rotations(skeleton, bones, fit, rotation).rotation)
            assert skeleton.names[skeleton.index[bones.bones["wrist"]]] not in keyed
            ours = model.pose(rotation, np.zeros((10, 3)), model.rest()).joints
            heads = posed_heads(skeleton, keyed, 10)
            for finger in FINGERS:
                for level in (1, 2):
                    a, b = (skeleton.index[bones.bones[f"{finger}{level + k}"]] for k in (0, 1))
                    joint = JOINT_NAMES.index(f"{finger}{level}")
                    mine = unit(ours[:, joint + 1] - ours[:, joint]) @ fit.palm.T
                    cosine = (unit(heads[:, b] - heads[:, a]) * mine).sum(-1)
                    assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.01, (side, finger, level)


def palm_normal(points: np.ndarray, side: Side) -> np.ndarray:
    """Out of the back of the hand, from keypoints (..., 21, 3)."""
    wrist, index, pinky = (points[..., KEYPOINT_NAMES.index(name), :] for name in ("wrist", "index1", "pinky1"))
    normal = np.cross(index - pinky, 0.5 * (index + pinky) - wrist)
    return unit(normal if side == "left" else -normal)


def between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((unit(first) * unit(second)).sum(-1), -1, 1)))


def spread(points: np.ndarray, side: Side) -> np.ndarray:
    """Degrees from the pinky's first bone to the index finger's, in the plane of the palm."""
    normal = palm_normal(points, side)
    first = [
        points[..., KEYPOINT_NAMES.index(f"{finger}2"), :] - points[..., KEYPOINT_NAMES.index(f"{finger}1"), :]
        for finger in ("pinky", "index")
    ]
    flat = [bone - (bone * normal).sum(-1, keepdims=True) * normal for bone in first]
    return between(*flat) * np.sign((np.cross(*flat) * normal).sum(-1))


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_hand_shows_what_was_seen_on_every_preset_and_rest(preset: RigPreset) -> None:
    """Measured against how the rig was made, not against what was read from it."""
    poses = ten_poses()
    for seed in range(RESTS):
        truth = Truth()
        skeleton = make_rig(preset, np.random.default_rng([seed, len(preset.name)]), truth=truth)
        for side in SIDES:
            bones = mapped(preset, set(skeleton.names), side)
            model = free_hand(side)
            rotation = rotations_from_angles(poses, free_hinges(side))
            fit = fit_hand(skeleton, bones, model)
            keyed = dict(finger_rotations(skeleton, bones, fit, rotation).rotation)
            ours = model.pose(rotation, np.zeros((10, 3)), model.rest()).keypoints @ truth.hand[side].T
            theirs = keypoints(skeleton, bones, keyed, truth.tips[side])
            assert between(palm_normal(theirs, side), palm_normal(ours, side)).max() < CLOSE
            for finger in FINGERS:
                for level in (1, 2, 3):
                    if level == 3 and (side, finger) in truth.unmarked:
                        # A last bone that is drawn at random, without a leaf: how it rests, nobody can know.
                        continue
                    a, b = (KEYPOINT_NAMES.index(f"{finger}{level + k}") for k in (0, 1))
                    off = between(theirs[:, b] - theirs[:, a], ours[:, b] - ours[:, a]).max()
                    assert off < CLOSE, (seed, side, finger, level)
            away = {name: theirs[:, KEYPOINT_NAMES.index(name)] for name in ("index1", "index3", "pinky1", "thumb2")}
            back = palm_normal(theirs, side)
            # A fist closes towards the palm.
            assert ((away["index3"] - away["index1"])[1] @ back[1]) < 0
            # A thumbs-up: the thumb points away from the fist, on the index finger's side.
            thumb = unit(theirs[2, KEYPOINT_NAMES.index("thumb3")] - away["thumb2"][2])
            assert thumb @ unit(away["index1"] - away["pinky1"])[2] > 0.4
            # Spread fingers are spread as ours, to the same sides.
            assert np.abs(spread(theirs, side) - spread(ours, side))[[0, 4]].max() < CLOSE
            flat, fanned = np.abs(spread(theirs, side))[[0, 4]]
            assert fanned > flat + 5.0
            # The opposed thumb comes across the palm, towards the little finger.
            across = np.linalg.norm(theirs[:, KEYPOINT_NAMES.index("thumb4")] - away["pinky1"], axis=-1)
            assert across[5] < 0.9 * across[0]


def keypoints(skeleton: RestSkeleton, bones: BoneMap, keyed: dict[str, np.ndarray], tips: np.ndarray) -> np.ndarray:
    """(T, 21, 3) where the posed rig's joints are, and its fingertips, which the last bones carry along."""
    axes, heads = posed_bones(skeleton, keyed, len(next(iter(keyed.values()))))
    out = np.empty((len(heads), 21, 3))
    for keypoint, name in enumerate(KEYPOINT_NAMES):
        if name.endswith("4"):
            bone = skeleton.index[bones.bones[f"{name[:-1]}3"]]
            local = skeleton.axes[bone].T @ (tips[FINGERS.index(name[:-1])] - skeleton.heads[bone])
            out[:, keypoint] = heads[:, bone] + axes[:, bone] @ local
        else:
            out[:, keypoint] = heads[:, skeleton.index[bones.bones[name]]]
    return out


def test_the_palm_frame_follows_the_hand_not_the_rig() -> None:
    """Two rigs of one hand, differently turned in space, have palms that differ by exactly that turn."""
    preset = PRESETS[0]
    skeleton = make_rig(preset, np.random.default_rng(3))
    turn = random_rotation(np.random.default_rng(5))
    moved = replace(skeleton, heads=skeleton.heads @ turn.T, tails=skeleton.tails @ turn.T, axes=turn @ skeleton.axes)
    for side in SIDES:
        bones = mapped(preset, set(skeleton.names), side)
        a, b = (fit_hand(s, bones, free_hand(side)).palm for s in (skeleton, moved))
        np.testing.assert_allclose(b, turn @ a, atol=1e-9)
        assert np.linalg.det(a) == pytest.approx(1.0)


def test_the_palm_is_found_within_five_degrees_for_hands_of_other_proportions() -> None:
    random = np.random.default_rng(8)
    for side in SIDES:
        model = free_hand(side)
        for _ in range(RESTS):
            turn = random_rotation(random)
            joints = model.rest(random.normal(size=10) * 1.0).joints @ turn.T * 37.0
            skeleton = RestSkeleton(JOINT_NAMES, JOINT_PARENTS, joints, joints + 1.0, np.tile(np.eye(3), (16, 1, 1)))
            fit = fit_hand(skeleton, BoneMap(side=side, bones={name: name for name in JOINT_NAMES}), model)
            assert np.degrees(np.linalg.norm(rotations.vector_from_matrix(turn.T @ fit.palm))) < 5.0
            assert fit.scale == pytest.approx(37.0, rel=0.35)


def test_our_own_hand_is_matched_exactly() -> None:
    """On a rig that is our flat hand itself nothing is swung, and the keys are the take's rotations."""
    for side in SIDES:
        model = free_hand(side)
        rest = model.rest()
        names = tuple(JOINT_NAMES)
        tails = np.array(
            [rest.joints[j + 1] if j not in TIP_JOINTS else rest.tips[TIP_JOINTS.index(j)] for j in range(16)]
        )
        skeleton = RestSkeleton(names, JOINT_PARENTS, rest.joints, tails, np.tile(np.eye(3), (16, 1, 1)))
        bones = BoneMap(side=side, bones={name: name for name in names})
        fit = fit_hand(skeleton, bones, model)
        np.testing.assert_allclose(fit.palm, np.eye(3), atol=1e-9)
        rotation = rotations_from_angles(ten_poses(), free_hinges(side))
        keyed = finger_rotations(skeleton, bones, fit, rotation).rotation
        for joint in range(1, 16):
            assert rotations.angle_between(keyed[names[joint]], rotation[:, joint]).max() < 1e-6


def test_the_wrist_turns_the_whole_hand() -> None:
    preset = next(p for p in PRESETS if p.name == "Unreal 5")
    skeleton = make_rig(preset, np.random.default_rng(9))
    bones = mapped(preset, set(skeleton.names), "left")
    fit = fit_hand(skeleton, bones, free_hand("left"))
    wrist = np.array([random_rotation(np.random.default_rng(k)) for k in range(3)])
    flat = np.tile(rotations.IDENTITY, (3, 16, 1))
    keyed = dict(finger_rotations(skeleton, bones, fit, flat, wrist=wrist).rotation)
    rest = free_hand("left").rest()
    heads = posed_heads(skeleton, keyed, 3)
    for finger in FINGERS:
        a, b = (skeleton.index[bones.bones[f"{finger}{k}"]] for k in (1, 2))
        i = JOINT_NAMES.index(f"{finger}1")
        expected = wrist @ unit(rest.joints[i + 1] - rest.joints[i])
        cosine = (unit(heads[:, b] - heads[:, a]) * expected).sum(-1)
        assert np.degrees(np.arccos(np.clip(cosine, -1, 1))).max() < 0.01


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_is_detected_on_its_own_rig(preset: RigPreset) -> None:
    skeleton = make_rig(preset, np.random.default_rng(1))
    best = detect(skeleton)[0]
    assert best.preset is preset
    assert all(not best.maps[side].missing for side in SIDES)


def test_an_unknown_rig_is_guessed_from_its_names() -> None:
    pattern = {
        f"{finger}{level}": f"Fin_{finger.capitalize()}_{level}_{{s}}" for finger in FINGERS for level in (1, 2, 3)
    }
    unknown = RigPreset(name="none", bones={"wrist": "MyHand_{s}", **pattern}, source="", verified="names only")
    found = detect(make_rig(unknown, np.random.default_rng(2)))
    assert found[0].preset is None and found[0].maps["left"].preset == GUESSED
    assert found[0].maps["left"].bones["wrist"] == "MyHand_l"
    assert found[0].maps["right"].bones["pinky2"] == "Fin_Pinky_2_r"


def test_a_rig_without_hands_is_not_detected_and_half_a_hand_is_refused() -> None:
    legs = RestSkeleton(("root", "leg_l"), (-1, 0), np.zeros((2, 3)), np.ones((2, 3)), np.tile(np.eye(3), (2, 1, 1)))
    assert detect(legs) == []
    with pytest.raises(BadInputError, match="needs a wrist"):
        fit_hand(legs, BoneMap(side="left", bones={"wrist": "root"}), free_hand("left"))


def test_every_preset_says_where_its_names_come_from() -> None:
    for preset in PRESETS:
        assert preset.source and set(preset.bones) >= set(JOINT_NAMES)
        for side in SIDES:
            named = [preset.bone_name(role, side) for role in preset.bones]
            assert len(set(named)) == len(named) and not any("{" in name for name in named if name)
    assert len({preset.name for preset in PRESETS}) == len(PRESETS)
