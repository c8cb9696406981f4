# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands cut from pictures: the cut follows the hand, not the mesh, and lies where it is pasted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from training.footage import cutouts
from training.footage.compositing import Cutout

SIZE = 160


def photograph(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A skin-coloured blob before a bluish wall, and its mask."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    cv2.ellipse(mask, (80, 84), (34, 50), 20, 0, 360, 1, -1)
    image = np.where(mask[..., None] > 0, np.array([205, 150, 120]), np.array([70, 90, 130])).astype(np.float64)
    return np.clip(image + random.normal(size=image.shape) * 6, 0, 255).astype(np.uint8), mask > 0


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_the_cut_follows_the_hand_where_the_mesh_is_a_little_off() -> None:
    image, hand = photograph(np.random.default_rng(0))
    mesh = np.roll(hand, 3, axis=1)
    assert overlap(mesh, hand) < 0.93
    assert overlap(cutouts.outlined(image, mesh), hand) > 0.98


def test_a_mesh_too_thin_to_trust_cuts_nothing() -> None:
    image, _ = photograph(np.random.default_rng(0))
    line = np.zeros((SIZE, SIZE), bool)
    line[80, 20:140] = True
    assert not cutouts.outlined(image, line).any()


def test_depth_is_carried_to_the_cut_from_the_nearest_of_the_mesh() -> None:
    known = np.zeros((20, 20), bool)
    known[5:15, 5:10] = True
    depth = np.where(known, np.linspace(0.4, 0.5, 20, dtype=np.float32)[:, None], 0).astype(np.float32)
    spread = cutouts.spread(depth, known)
    assert np.array_equal(spread[known], depth[known])
    assert spread[7, 14] == depth[7, 9]
    assert spread[19, 7] == depth[14, 7]


def test_pasted_hands_are_a_left_and_a_right_one_in_the_order_of_their_depth() -> None:
    random = np.random.default_rng(3)
    image, mask = photograph(random)
    rows, columns = np.nonzero(mask)
    places = np.stack([columns, rows], axis=1)[random.integers(len(rows), size=21)].astype(np.float64)
    piece = Cutout(
        image=image, mask=mask.astype(np.float32), depth=np.full(mask.shape, 0.6, np.float32), side="right",
        keypoints2d=places, visible=np.ones(21, bool),
    )  # fmt: skip
    hidden = 0
    for _ in range(6):
        made = cutouts.pasted(random, [piece, piece], np.zeros((200, 200, 3), np.uint8))
        assert set(np.unique(made.side)) == {0, 1, 2}
        for label, points, seen in zip((2, 1), made.keypoints2d, made.visible, strict=True):
            column, row = np.rint(points).astype(int).T
            assert np.array_equal(seen, made.side[row, column] == label)
            hidden += int((~seen).sum())
        assert any(seen.all() for seen in made.visible), "one whole hand lies before the other"
    assert hidden > 0


def test_a_drawn_hand_is_found_fitted_and_cut() -> None:
    models = Path(cutouts.__file__).parents[2] / "blender_handmocap" / "models"
    if not (models / "mediapipe_hand.onnx").exists():
        pytest.skip("needs the networks that `build.py models` makes")
    from blender_handmocap.engine import rotations
    from training.footage.render import draw
    from training.footage.scene import HandPose, Scene

    view = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    rotation = np.tile(rotations.IDENTITY, (16, 1))
    rotation[0] = rotations.quaternion_from_matrix(view)
    K = np.array([[500.0, 0, 199.5], [0, 500.0, 199.5], [0, 0, 1.0]])
    scene = Scene((HandPose("right", rotation, np.array([0.0, 0.1, 0.5])),), np.zeros(10), None, K, 400, 400)
    picture = draw(scene)
    found = cutouts.Cutter().cut(picture.image)
    assert len(found) == 1
    truth = (picture.side == 2) & (picture.part < 17)
    assert overlap(found[0].mask > 0.5, truth) > 0.85
    error = np.linalg.norm(found[0].keypoints2d - picture.hands[0].keypoints2d, axis=1)
    assert np.median(error) < 0.06 * np.ptp(picture.hands[0].keypoints2d, axis=0).max()


def test_unreadable_pictures_are_named_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    cv2.imwrite(str(tmp_path / "good.png"), np.full((40, 80, 3), 90, np.uint8))
    read = list(cutouts.photographs(tmp_path, np.random.default_rng(0)))
    assert [picture.shape for picture in read] == [(160, 320, 3)]
    assert "broken.jpg" in caplog.text


def test_a_folder_without_hands_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert cutouts.main(["--data", str(tmp_path), "--out", str(tmp_path / "sheet.jpg")]) == 1
    assert "single hands" in caplog.text
