# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of hands: the same crops with one thing changed, and what a detector says of them kept apart from training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import HAND_FILE
from training.detnet import kinds
from training.footage import dataset, looks, skin
from training.iknet import seen
from training.iknet.batches import Observed, rest_of

MODEL = HAND_FILE.with_name("detnet.onnx")
needs_networks = pytest.mark.skipif(
    not HAND_FILE.with_name("mediapipe_hand.onnx").exists(), reason="the converted networks are not there"
)


@pytest.fixture(scope="module")
def hands() -> list[kinds.Placed]:
    return kinds.placed(2, seed=3)


def test_only_the_named_thing_changes(hands: list[kinds.Placed]) -> None:
    drawn = {name: kinds.crops(hands, kinds.KINDS[name]) for name in ("as drawn", "gloves", "darkness", "small")}
    for before, *changed in zip(*drawn.values(), strict=True):
        for after in changed:
            np.testing.assert_array_equal(before.target.keypoints2d, after.target.keypoints2d)
            np.testing.assert_array_equal(before.box, after.box)
            assert not np.array_equal(before.picture.image, after.picture.image)
    light = [np.mean([crop.picture.image.mean() for crop in drawn[name]]) for name in ("as drawn", "darkness")]
    assert light[1] < 0.75 * light[0]
    fine = [np.mean([np.abs(np.diff(c.picture.image.astype(int), axis=1)).mean() for c in drawn[n]]) for n in drawn]
    assert fine[3] < 0.8 * fine[0]


def test_skins_are_of_their_tone_and_of_the_test_side(hands: list[kinds.Placed]) -> None:
    random = np.random.default_rng(0)
    for name, (low, high) in kinds._TONES.items():
        for one in hands:
            seed = kinds.KINDS[name](one.scene, random).look.skin
            assert low <= skin.person(seed).tone <= high and seed in looks.skins(test=True)


@needs_networks
def test_the_table_has_a_row_of_each_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert kinds.main(["--model", str(MODEL), "--hands", "2", "--only", "as drawn", "gloves"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["as drawn", "gloves"]


def test_a_kind_of_which_nothing_is_kept_has_no_figures() -> None:
    told = {"a": {"2D %": 1.0, "PA mm": 2.0, "rooted mm": 3.0}}
    assert "| none | 0 | – |" in kinds.table({"some": (3, told), "none": (0, {})})


@needs_networks
def test_what_detnet_saw_has_its_truth_in_the_same_axes(tmp_path: Path) -> None:
    dataset.write_shard(tmp_path / "train-900-00000", dataset.Settings(seed=900), 0, 14)
    found = seen.observations([tmp_path / "train-900-00000"], MODEL, whole=True)
    assert len(found.points) >= 4
    _, rest = rest_of(found.betas, found.definition)
    truth = rotations.rotate(found.rotation[:, :1], rest)
    # The palm's points turn with the wrist alone: most hands agree with their truth to some tens of degrees.
    palm = [0, 5, 9, 13, 17]
    seen_palm, true_palm = (p[:, palm] - p[:, palm].mean(1, keepdims=True) for p in (found.points, truth))
    turn = rotations.aligning_rotation(seen_palm, true_palm)
    off = np.degrees(np.arccos(np.clip((np.trace(turn, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert np.median(off) < 30.0
    half = seen.some(found, np.arange(len(found.points)) % 2 == 0)
    seen.save(half, tmp_path / "half.npz")
    again = Observed.read(tmp_path / "half.npz")
    assert len(again.points) == (len(found.points) + 1) // 2 and again.definition == found.definition
    np.testing.assert_allclose(again.points, found.points[::2])
