# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as HaMeR and WiLoR give them become takes, whatever the depth they made up."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import JOINT_NAMES, SIDES
from blender_handmocap.engine.imports.hand_results import import_results
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take

FRAMES, WIDTH, HEIGHT = 8, 1280, 720
FOV = 60.0
FOCAL = WIDTH / 2 / np.tan(np.radians(FOV / 2))
MADE_UP_FOCAL = 5000.0 / 256.0 * WIDTH
MIRROR = np.array([-1.0, 1.0, 1.0])


def truth() -> dict[str, dict[str, np.ndarray]]:
    """What was in front of the camera: rotation (T, 16, 4), wrist (T, 3) and joints (T, 21, 3) of both hands."""
    out = {}
    for side in SIDES:
        angles = np.zeros((FRAMES, 16, 3))
        angles[:, 1:, 0] = np.linspace(0.2, 0.7, FRAMES)[:, None] * free_hinges(side).free[1:, 0]
        root = rotations.quaternion_from_vector(np.linspace([1.2, 0.2, 0.0], [1.6, -0.2, 0.4], FRAMES))
        rotation = rotations_from_angles(angles, free_hinges(side), root)
        x = 0.2 if side == "right" else -0.2
        wrist = np.linspace([x, 0.0, 0.6], [x, 0.05, 0.7], FRAMES)
        model = free_hand(side)
        out[side] = {
            "rotation": rotation,
            "wrist": wrist,
            "points": model.pose(rotation, wrist, model.rest()).keypoints,
        }
    return out


def records(*, points_2d: bool = True, matrices: bool = True) -> list[dict[str, object]]:
    """A dictionary a hand, left hands told as their mirror image, depth from a lens nobody had."""
    out: list[dict[str, object]] = []
    for side, hand in truth().items():
        for frame in range(FRAMES):
            rotation = hand["rotation"][frame]
            points = hand["points"][frame]
            if side == "left":
                rotation = rotations.mirrored(rotation)
            turned = rotations.matrix_from_quaternion(rotation)
            if not matrices:
                turned = rotations.vector_from_quaternion(rotation)
            pixels = points[:, :2] / points[:, 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
            # The network's camera: the same picture from far away.
            far = MADE_UP_FOCAL / FOCAL * points[0, 2]
            place = np.array([*(pixels[0] - [WIDTH / 2, HEIGHT / 2]) * far / MADE_UP_FOCAL, far])
            record: dict[str, object] = {
                "img_name": f"clip_{frame + 5:04d}.jpg",
                "is_right": 1.0 if side == "right" else 0.0,
                "pred_mano_params": {"global_orient": turned[:1], "hand_pose": turned[1:], "betas": np.zeros(10)},
                "pred_keypoints_3d": points - points[0],
                "cam_t_full": place,
                "scaled_focal_length": MADE_UP_FOCAL,
                "img_size": np.array([WIDTH, HEIGHT], dtype=np.float64),
            }
            if points_2d:
                record["pred_keypoints_2d_full"] = pixels
            out.append(record)
    return out


def plain(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def check(take: Take, *, pixels: float = 0.01) -> None:
    assert take.frame.tolist() == list(range(5, 5 + FRAMES))
    assert (take.meta["width"], take.meta["height"]) == (WIDTH, HEIGHT)
    for side, hand in truth().items():
        track = take.track(side)
        assert track.present.all()
        expected = hand["points"][..., :2] / hand["points"][..., 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
        assert np.abs(track.seen2d - expected).max() < pixels
        relative = hand["points"] - hand["points"][:, :1]
        palm = np.linalg.norm(relative[:, [5, 9, 13, 17]], axis=-1).mean(1)
        np.testing.assert_allclose(track.seen3d, relative / palm[:, None, None], atol=1e-6)


@pytest.mark.parametrize("ending", [".pkl", ".json"])
@pytest.mark.parametrize("matrices", [True, False], ids=["matrices", "axis-angles"])
def test_lists_of_hands(tmp_path: Path, ending: str, matrices: bool) -> None:
    path = tmp_path / f"results{ending}"
    if ending == ".pkl":
        path.write_bytes(pickle.dumps(records(matrices=matrices)))
    else:
        path.write_text(json.dumps([plain(record) for record in records(matrices=matrices)]))
    check(import_results(path))


def test_arrays_of_all_hands(tmp_path: Path) -> None:
    rows = records()
    flat = [{**row.pop("pred_mano_params"), **row} for row in rows]
    np.savez(tmp_path / "results.npz", **{key: np.array([row[key] for row in flat]) for key in flat[0]})
    check(import_results(tmp_path / "results.npz"))


def test_pictures_that_name_their_hands(tmp_path: Path) -> None:
    by_picture: dict[str, list[object]] = {}
    for record in records():
        by_picture.setdefault(f"/somewhere/{record.pop('img_name')}", []).append(record)
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(by_picture))
    check(import_results(tmp_path / "results.pkl"))


def test_without_2d_points_the_networks_own_camera_places_them(tmp_path: Path) -> None:
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(records(points_2d=False)))
    # Seen from so far away a hand has no perspective: a few pixels are lost.
    take = import_results(tmp_path / "results.pkl")
    for side, hand in truth().items():
        expected = hand["points"][..., :2] / hand["points"][..., 2:] * FOCAL + [WIDTH / 2, HEIGHT / 2]
        assert np.abs(take.track(side).seen2d - expected).max() < 40.0
        assert np.abs(take.track(side).seen2d[:, 0] - expected[:, 0]).max() < 0.01


def test_shares_of_a_crop_become_pixels(tmp_path: Path) -> None:
    rows = records()
    for row in rows:
        pixels = np.asarray(row.pop("pred_keypoints_2d_full"))
        centre, box = pixels.mean(0), 300.0
        shares = (pixels - centre) / box
        row["pred_keypoints_2d"] = shares * [1.0 if row["is_right"] else -1.0, 1.0]
        row["box_center"], row["box_size"] = centre, box
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(rows))
    check(import_results(tmp_path / "results.pkl"))


def test_the_fitter_finds_the_depth_that_was_made_up(tmp_path: Path) -> None:
    (tmp_path / "results.pkl").write_bytes(pickle.dumps(records()))
    palm = free_hand("right").palm_length * 1000.0
    solved = solve(import_results(tmp_path / "results.pkl", Settings(fov=FOV, palm_mm=palm)))
    for side, hand in truth().items():
        track = solved.track(side)
        off = np.linalg.norm(track.translation - hand["wrist"], axis=-1)
        assert off.max() < 0.004, side
        fingers = [JOINT_NAMES.index("index2"), JOINT_NAMES.index("middle2")]
        bent = rotations.angle_between(track.rotation[:, fingers], hand["rotation"][:, fingers])
        assert np.degrees(bent).max() < 18.0
    # The network's own places are thirty metres off.
    assert np.linalg.norm(np.asarray(records()[0]["cam_t_full"])) > 10.0


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.txt", b"x", "is not .npz, .pkl or .json"),
        ("a.json", b"{", "could not be read"),
        ("a.json", b'{"a": [1, 2]}', "holds no hands"),
        ("a.json", b'[{"hand_pose": [1, 2, 3], "global_orient": [0, 0, 0], "img_size": [9, 9]}]', "cannot be read"),
        ("a.npz", b"PK", "could not be read"),
        ("a.pkl", pickle.dumps({"hand_pose": Evil()}), "a.pkl"),
    ],
    ids=["ending", "broken", "empty", "short", "archive", "evil"],
)
def test_bad_files_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=sentence) as caught:
        import_results(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""


def test_of_two_hands_that_are_one_the_surer_is_kept(tmp_path: Path) -> None:
    rows = records()
    wrong = {**rows[0], "pred_keypoints_2d_full": np.zeros((21, 2)) + 600.0, "score": 0.1}
    (tmp_path / "results.pkl").write_bytes(pickle.dumps([wrong, *rows]))
    check(import_results(tmp_path / "results.pkl"))
