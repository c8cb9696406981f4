# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes drawn by Cycles: light has the strength, direction and movement that scenes promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("bpy")

from training.footage import cycles_scene

WIDTH, HEIGHT = 40, 24
K = np.array([[60.0, 0.0, (WIDTH - 1) / 2], [0.0, 60.0, (HEIGHT - 1) / 2], [0.0, 0.0, 1.0]])
ALBEDO = np.array([0.5, 0.25, 0.75])


def card(centre: list[float], turn: float = 0.0, half: float = 0.06) -> np.ndarray:
    """(4, 3) corners of a square that faces the camera, turned by `turn` radians towards the camera's right."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * half
    turned = corners @ np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    return (turned + centre).astype(np.float32)


def bundle(start: list[np.ndarray], end: list[np.ndarray] | None = None, **more: np.ndarray) -> dict[str, np.ndarray]:
    data: dict[str, np.ndarray] = {"K": K, "size": np.array([WIDTH, HEIGHT]), "sky": np.zeros((8, 16, 3), np.float32)}
    texture = np.full((4, 4, 6), 128, np.uint8)
    texture[..., :3] = np.round(np.sqrt(ALBEDO) * 255)
    for k, (first, last) in enumerate(zip(start, end or start, strict=True)):
        data |= {
            f"body{k}_start": first[None], f"body{k}_end": last[None],
            f"body{k}_faces": np.array([[0, 2, 1], [0, 3, 2]], np.int32),
            f"body{k}_uv": np.full((2, 3, 2), 0.5, np.float32), f"body{k}_texture": texture,
            f"body{k}_height": np.zeros((0, 0), np.float32),
            f"body{k}_material": np.array([0, 1.0, 0, 0, 1, 1, 1, 0], np.float32),
        }  # fmt: skip
    return data | more


def drawn(data: dict[str, np.ndarray], folder: Path, samples: int = 32) -> np.ndarray:
    cycles_scene.build(data, samples=samples)
    return cycles_scene.light(data, 0, folder / "drawing.exr").astype(float)


def sun(direction: list[float], colour: list[float]) -> dict[str, np.ndarray]:
    toward = np.array(direction) / np.linalg.norm(direction)
    return {"light0_direction": toward, "light0_colour": np.array(colour), "light0_softness": np.array(0.0)}


def test_white_light_all_round_shows_the_albedo(tmp_path: Path) -> None:
    light = drawn(bundle([card([0, 0, 0.5])], sky=np.ones((8, 16, 3), np.float32)), tmp_path)
    assert light.shape == (HEIGHT, WIDTH, 4)
    assert light[12, 20, :3] == pytest.approx(ALBEDO, rel=0.03)
    assert light[12, 20, 3] == pytest.approx(1.0) and light[2, 2, 3] == 0.0 and light[2, 2, :3].max() == 0.0


def test_a_lamp_of_one_shows_what_faces_it_as_its_albedo(tmp_path: Path) -> None:
    head_on = drawn(bundle([card([0, 0, 0.5])], **sun([0, 0, -1], [1.0, 0.5, 1.0])), tmp_path)
    assert head_on[12, 20, :3] == pytest.approx(ALBEDO * [1.0, 0.5, 1.0], rel=0.03)
    aslant = drawn(bundle([card([0, 0, 0.5])], **sun([0, -1, -1], [1.0, 1.0, 1.0])), tmp_path)
    assert aslant[12, 20, :3] == pytest.approx(ALBEDO * np.sqrt(0.5), rel=0.03)


def test_light_comes_from_where_the_scene_says(tmp_path: Path) -> None:
    cards = [card([-0.08, 0, 0.5], np.pi / 5), card([0.08, 0, 0.5], -np.pi / 5)]
    # The middle columns of Blender's all-round picture look along x, the camera's right.
    right = np.zeros((8, 16, 3), np.float32)
    right[:, 6:10] = 1.0
    # The right edge of the first card lies farther away, so that it faces right.
    assert cards[0][1, 2] > cards[0][0, 2] and cards[1][1, 2] < cards[1][0, 2]
    for light in (
        drawn(bundle(cards, sky=right), tmp_path),
        drawn(bundle(cards, **sun([1, 0, -0.2], [1.0, 1.0, 1.0])), tmp_path),
    ):
        bright, dark = (light[12, x, :3].mean() for x in (10, 29))
        assert bright > 2 * dark


def test_what_moves_while_the_shutter_is_open_is_seen_everywhere_on_its_way(tmp_path: Path) -> None:
    white = np.ones((8, 16, 3), np.float32)
    still = drawn(bundle([card([0, 0, 0.5])], sky=white), tmp_path)
    moving = drawn(bundle([card([-0.04, 0, 0.5])], [card([0.04, 0, 0.5])], sky=white), tmp_path, samples=64)
    row = moving[12, :, 3]
    # Two pixels at either end, by Cycles' own filter.
    assert ((still[12, :, 3] > 0.05) & (still[12, :, 3] < 0.95)).sum() <= 4
    assert ((row > 0.05) & (row < 0.95)).sum() >= 12
    # As much of it is seen as when it stands, spread evenly about the same middle.
    assert row.sum() == pytest.approx(still[12, :, 3].sum(), rel=0.05)
    assert (row * np.arange(WIDTH)).sum() / row.sum() == pytest.approx((WIDTH - 1) / 2, abs=0.5)


def test_a_stopped_run_goes_on(tmp_path: Path) -> None:
    np.savez(tmp_path / "scene.npz", **bundle([card([0, 0, 0.5])], sky=np.ones((8, 16, 3), np.float32)))
    cycles_scene.render(tmp_path, samples=1)
    first = (tmp_path / "00000.npy").read_bytes()
    (tmp_path / "00000.npy").unlink()
    cycles_scene.render(tmp_path, samples=1)
    assert (tmp_path / "00000.npy").read_bytes() == first
    assert not (tmp_path / "drawing.exr").exists()
