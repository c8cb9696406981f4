# SPDX-License-Identifier: GPL-3.0-or-later
"""Every preset on randomised rests: what the hand does there is what it does here."""

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGERS, JOINT_NAMES, JOINT_PARENTS, SIDES, TIP_JOINTS, Side
from blender_handmocap.engine.rigs.detect import GUESSED, detect
from blender_handmocap.engine.rigs.preset import BoneMap, RigPreset, mapped
from blender_handmocap.engine.rigs.presets import PRESETS
from blender_handmocap.engine.rigs.retarget import finger_rotations, fit_hand, swing_between
from blender_handmocap.engine.rigs.skeleton import RestSkeleton

RESTS = 20
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
    return poses


def make_rig(preset: RigPreset, random: np.random.Generator, *, sides: tuple[Side, ...] = SIDES) -> RestSkeleton:
    """A skeleton with the preset's names whose rest is bent, spread, rolled, turned, scaled and out of proportion."""
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
                if random.random() < 0.3:
                    # Importers guess the tail of a last bone.
                    tail = joints[joint] + random_rotation(random) @ (tail - joints[joint])
            else:
                tail = joints[joint + 1]
            at[joint] = add(preset.bone_name(role, side), above, joints[joint], tail)
    skeleton = RestSkeleton(tuple(names), tuple(parents), np.array(heads), np.array(tails), np.array(axes))
    if preset.prefix:
        prefix = random.choice(["", "mixamorig:", "mixamorig7:"])
        skeleton = replace(skeleton, names=tuple(prefix + name for name in skeleton.names))
    return skeleton


def posed_heads(skeleton: RestSkeleton, keyed: dict[str, np.ndarray], frames: int) -> np.ndarray:
    """Heads (T, B, 3) of the posed rig: forward kinematics as Blender does it."""
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
    return head


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
