# SPDX-License-Identifier: GPL-3.0-or-later
"""IKNet's table of ablations: it goes on where it stopped, and judges by what a detector saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles
from blender_handmocap.engine.hand.free import free_hinges
from training.footage import poses
from training.iknet import ablation, held_out, seen
from training.iknet.batches import Observed, rest_of


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    """Six hands that were seen exactly."""
    random = np.random.default_rng(0)
    rotation = rotations_from_angles(poses.random_within_limits(random, 6), free_hinges("right"))
    joints, rest = rest_of(np.zeros((6, 10)), "model")
    points = held_out.posed(rotation, joints, rest)
    seen.save(Observed(points, np.full((6, 21), 0.001), rotation, np.zeros((6, 10)), "model"), tmp_path / "seen.npz")
    return tmp_path / "seen.npz"


def test_the_table_goes_on_where_it_stopped(
    hands: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ablation, "_POOL", 200)
    angles = poses.random_within_limits(np.random.default_rng(1), 200)
    np.save(tmp_path / "pool.npy", pack(angles, free_hinges("right")).astype(np.float32))
    for name in ("all", "no-mocap", "seen"):
        (tmp_path / name).mkdir()
        np.savez_compressed(tmp_path / name / "held_out.npz", angles=angles[:20])
    given = ["--runs", str(tmp_path), "--samples", "1024", "--seen", str(hands), "--judge", str(hands), "--only"]
    assert ablation.main([*given, "all"]) == 0
    first = (tmp_path / "rows.jsonl").read_text()
    assert ablation.main([*given, "all", "no-mocap", "seen"]) == 0
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert lines[0] == first.strip() and [json.loads(line)["name"] for line in lines] == ["all", "no-mocap", "seen"]
    told = capsys.readouterr().out
    assert (
        "| fingertips at 4 mm, mm | as DetNet saw them | fingertips, mm |" in told
        and "| without recorded poses |" in told
    )


def test_fingertips_are_judged_where_they_are(hands: Path) -> None:
    observed = Observed.read(hands)
    joints, rest = rest_of(observed.betas, "model")
    turned = observed.rotation.copy()
    assert held_out.tip_errors(turned, observed.rotation, joints, rest).max() == 0.0
    # The outermost joint of the index finger, turned by 0.2 about its own x: only that tip moves, on a circle.
    turned[:, 3] = rotations.multiply(turned[:, 3], rotations.quaternion_from_vector([0.2, 0.0, 0.0]))
    found = held_out.tip_errors(turned, observed.rotation, joints, rest)
    bone = rest[0, 8] - joints[0, 3]
    np.testing.assert_allclose(found[:, 1], 2000.0 * np.sin(0.1) * np.hypot(bone[1], bone[2]), rtol=1e-6)
    assert np.delete(found, 1, axis=1).max() < 1e-9


def test_cases_name_losses_that_there_are() -> None:
    known = set(vars(ablation.Weights()))
    assert {name for case in ablation.CASES.values() for name in case.without} <= known
