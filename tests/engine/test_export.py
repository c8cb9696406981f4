# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports hold the same hands as the take: files are read back by independent readers."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.export import export_take
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.model import HandModel
from blender_handmocap.engine.hand.names import KEYPOINT_NAMES, SIDES, Side
from blender_handmocap.engine.take import HandTrack, State, Take

FRAMES = 12
MODELS: dict[Side, HandModel] = {side: free_hand(side) for side in SIDES}
FLIP = np.array([1.0, -1.0, -1.0])


@pytest.fixture(scope="module")
def take() -> Take:
    rng = np.random.default_rng(11)
    betas, size = rng.normal(size=10) * 0.3, 0.092
    time = np.linspace(0, 1, FRAMES)[:, None, None]
    tracks = {}
    for side in SIDES:
        vectors = rng.normal(size=(16, 3)) * 0.3 + time * rng.normal(size=(16, 3)) * 0.4
        rotation = rotations.continuous(rotations.quaternion_from_vector(vectors))
        translation = np.array([0.1, -0.05, 0.5]) + time[:, 0] * rng.normal(size=3) * 0.1
        points = MODELS[side].pose(rotation, translation, MODELS[side].rest(betas, size)).keypoints
        tracks[side] = replace(
            HandTrack.absent(FRAMES),
            state=np.full(FRAMES, State.SEEN, np.uint8),
            confidence=np.ones(FRAMES),
            rotation=rotation,
            translation=translation,
            points=points,
        )
    gone = np.arange(FRAMES) >= FRAMES - 2
    left = tracks["left"]
    tracks["left"] = replace(
        left,
        state=np.where(gone, State.ABSENT, State.SEEN).astype(np.uint8),
        translation=np.where(gone[:, None], np.nan, left.translation),
        points=np.where(gone[:, None, None], np.nan, left.points),
    )
    return Take(
        meta={"rate": [30, 1], "hand_model": MODELS["right"].id},
        frame=np.arange(FRAMES, dtype=np.int32),
        time=np.arange(FRAMES) / 30.0,
        K=np.diag([600.0, 600.0, 1.0]),
        dist=np.zeros(5),
        betas=betas,
        size=size,
        **tracks,
    )


def read_bvh(path: Path) -> dict[str, np.ndarray]:
    """Positions (T, 3) of every joint and end site, evaluated from the text alone."""
    words = path.read_text().split()
    frames = int(words[words.index("Frames:") + 1])
    start = words.index("Time:") + 2
    motion = np.array(words[start:], float).reshape(frames, -1)
    joints: list[tuple[str, int, np.ndarray, list[tuple[str, int]]]] = []
    stack: list[int] = []
    column = 0
    i = 1
    while words[i] != "MOTION":
        word = words[i]
        if word in ("ROOT", "JOINT", "End"):
            name = words[i + 1] if word != "End" else joints[stack[-1]][0] + "_tip"
            joints.append((name, stack[-1] if stack else -1, np.zeros(3), []))
            i += 2
        elif word == "{":
            stack.append(len(joints) - 1)
            i += 1
        elif word == "}":
            stack.pop()
            i += 1
        elif word == "OFFSET":
            joints[stack[-1]][2][:] = [float(w) for w in words[i + 1 : i + 4]]
            i += 4
        else:
            count = int(words[i + 1])
            joints[stack[-1]][3].extend((w, column + k) for k, w in enumerate(words[i + 2 : i + 2 + count]))
            column += count
            i += 2 + count
    assert column == motion.shape[1]
    world: list[list[np.ndarray]] = []
    for _, parent, offset, channels in joints:
        world.append([])
        for t in range(frames):
            local = np.eye(4)
            local[:3, 3] = offset
            moved = np.eye(4)
            for kind, at in channels:
                step = np.eye(4)
                axis = np.eye(3)["XYZ".index(kind[0])]
                if kind.endswith("position"):
                    step[:3, 3] = axis * motion[t, at]
                else:
                    step[:3, :3] = cv2.Rodrigues(axis * np.radians(motion[t, at]))[0]
                moved = moved @ step
            world[-1].append((world[parent][t] if parent >= 0 else np.eye(4)) @ local @ moved)
    return {name: np.array(m)[:, :3, 3] for (name, *_), m in zip(joints, world, strict=True)}


def test_bvh_puts_every_joint_where_the_take_has_it(take: Take, tmp_path: Path) -> None:
    path = tmp_path / "hands.bvh"
    export_take(take, path, format="bvh", models=MODELS)
    positions = read_bvh(path)
    for side, suffix in (("left", "L"), ("right", "R")):
        track = take.track(side)
        there = track.present
        for index, name in enumerate(KEYPOINT_NAMES):
            key = f"{name[:-1]}3.{suffix}_tip" if name.endswith("4") else f"{name}.{suffix}"
            np.testing.assert_allclose(positions[key][there] / 100.0, (track.points * FLIP)[there, index], atol=2e-6)


def test_bvh_holds_a_hand_that_is_gone(take: Take, tmp_path: Path) -> None:
    export_take(take, tmp_path / "l.bvh", format="bvh", models=MODELS, sides=["left"])
    positions = read_bvh(tmp_path / "l.bvh")
    assert "wrist.R" not in positions
    np.testing.assert_allclose(positions["index2.L"][-1], positions["index2.L"][-3])


def test_parameters_rebuild_the_hand_by_manos_own_formula(take: Take, tmp_path: Path) -> None:
    export_take(take, tmp_path / "p.npz", format="npz", models=MODELS)
    export_take(take, tmp_path / "p.json", format="json", models=MODELS)
    data = dict(np.load(tmp_path / "p.npz", allow_pickle=False))
    plain = json.loads((tmp_path / "p.json").read_text())
    rest = MODELS["right"].rest(take.betas, take.size)
    pose = np.concatenate([data["right_global_orient"], data["right_hand_pose"]], 1).reshape(FRAMES, 16, 3)
    posed = MODELS["right"].pose(rotations.quaternion_from_vector(pose), data["right_transl"], rest)
    np.testing.assert_allclose(posed.keypoints, take.right.points, atol=1e-9)
    assert plain["left_transl"][-1] == [None, None, None]
    np.testing.assert_allclose(plain["right_hand_pose"], data["right_hand_pose"])
    mirrored = rotations.quaternion_from_vector(data["left_mirrored_hand_pose"].reshape(FRAMES, 15, 3))
    expected = rotations.mirrored(take.left.rotation[:, 1:])
    assert rotations.angle_between(mirrored, expected).max() < 1e-6


def test_csv_has_a_row_for_every_present_hand(take: Take, tmp_path: Path) -> None:
    export_take(take, tmp_path / "t.csv", format="csv", models=MODELS)
    rows = list(csv.DictReader((tmp_path / "t.csv").open()))
    assert len(rows) == 2 * FRAMES - 2
    row = next(r for r in rows if r["side"] == "right" and r["frame"] == "4")
    assert float(row["middle4_z_m"]) == pytest.approx(
        take.right.points[4, KEYPOINT_NAMES.index("middle4"), 2], rel=1e-5
    )


def test_what_cannot_be_written_is_said(take: Take, tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="choose one of"):
        export_take(take, tmp_path / "x.fbx", format="fbx", models=MODELS)
    with pytest.raises(BadInputError, match="could not be written"):
        export_take(take, tmp_path / "no" / "x.csv", format="csv", models=MODELS)
    empty = replace(take, left=HandTrack.absent(FRAMES), right=HandTrack.absent(FRAMES))
    with pytest.raises(BadInputError, match="no hand"):
        export_take(empty, tmp_path / "x.bvh", format="bvh", models=MODELS)
