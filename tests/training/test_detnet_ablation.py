# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ablations: which rows a case trains on, the same judges for all, and going on where it stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from training.detnet import ablation
from training.detnet.shards import Shards, find
from training.detnet.train import shared
from training.detnet.trunk import TAPS

SHAPES = {"features_28": (40, 28, 28), "features_14": (112, 14, 14), "features_7": (192, 7, 7)}
ROWS = {"train-000-00000": 30, "real-000-00000": 20, "redrawn-000-00000": 10}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of noise, enough to run."""
    path = tmp_path_factory.mktemp("shards")
    random = np.random.default_rng(0)
    for name, count in ROWS.items():
        folder = path / name
        folder.mkdir()
        for tap, shape in SHAPES.items():
            np.save(folder / f"{tap}.npy", random.normal(size=(count, *shape)).astype(np.float16))
        np.save(folder / "points2d.npy", random.uniform(40, 180, (count, 21, 2)).astype("f4"))
        np.save(folder / "points3d.npy", random.normal(size=(count, 21, 3)).astype("f4"))
        np.save(folder / "visible.npy", random.integers(0, 2, (count, 21), np.uint8))
        np.save(folder / "use_2d.npy", np.ones((count, 21), np.uint8))
        np.save(folder / "flags.npy", np.ones((count, 3), np.uint8))
        if name.startswith("train"):
            np.save(folder / "second.npy", (np.arange(count) % 2).astype(np.uint8))
    return path


def test_a_case_trains_on_its_own_rows(root: Path) -> None:
    shards = Shards.open(find(root), list(TAPS))
    names = np.repeat([folder.name for folder in shards.folders], np.diff(shards.starts))
    chosen = {
        name: ablation.rows_of(ablation.CASES[name], shards) for name in ("all", "no-real", "redrawn", "no-second")
    }
    assert set(names[chosen["all"]]) == {"train-000-00000", "real-000-00000"}
    assert set(names[chosen["no-real"]]) == {"train-000-00000"}
    assert chosen["redrawn"].all()
    assert (chosen["all"] & ~chosen["no-second"]).sum() == ROWS["train-000-00000"] // 2


def test_cases_name_losses_that_there_are() -> None:
    known = set(vars(ablation.Weights()))
    for case in ablation.CASES.values():
        assert set(case.without) <= known


def test_a_stopped_table_goes_on(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--shards", str(root), "--runs", str(tmp_path), "--samples", "64", "--channels", "8", "--only"]
    assert ablation.main([*given, "all"]) == 0
    first = (tmp_path / "rows.jsonl").read_text()
    assert ablation.main([*given, "all", "no-delta"]) == 0
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert lines[0] == first.strip() and [json.loads(line)["name"] for line in lines] == ["all", "no-delta"]
    told = capsys.readouterr().out
    assert "| without the delta maps' loss |" in told
    weights = {name: json.loads((tmp_path / name / "curve.jsonl").read_text())["terms"] for name in ("all", "no-delta")}
    assert weights["all"].keys() == weights["no-delta"].keys()


def test_cases_that_go_on_start_where_the_first_one_ended(root: Path, tmp_path: Path) -> None:
    shards = Shards.open(find(root), list(TAPS))
    config = ablation.Config(channels=8, batch=8, samples=16)
    ablation.trained(tmp_path / "all", ablation.CASES["all"], config, shards)
    end = torch.load(tmp_path / "all" / "checkpoint.pt", weights_only=True)["network"]
    for name in ("longer", "tuned"):
        # No crops: what was judged is what was started from; the tuned blocks begin without a say.
        row = ablation.trained(tmp_path / name, ablation.CASES[name], replace(config, samples=0), shards)
        run = ablation.Run(tmp_path / name, replace(config, stage=ablation.CASES[name].stage), shards, ())
        assert (run.network.heads.own is not None) == (name == "tuned")
        assert row["PA"] == pytest.approx(judged_again(end, shards, run)["PA"], rel=1e-5)


def judged_again(state: dict[str, torch.Tensor], shards: Shards, run: ablation.Run) -> dict[str, float]:
    network = shared(ablation.Config(channels=8), shards)
    network.load_state_dict(state)
    return ablation.judged(network, shards, ablation.judges_of(run))


def test_judges_are_the_held_out_drawn_rows_whatever_the_case_trains_on(root: Path, tmp_path: Path) -> None:
    shards = Shards.open(find(root), list(TAPS))
    run = ablation.Run(tmp_path, ablation.Config(channels=8, batch=8), shards, ())
    names = np.repeat([folder.name for folder in shards.folders], np.diff(shards.starts))
    judges = ablation.judges_of(run)
    assert set(names[judges]) == {"train-000-00000"} and not set(judges) & set(run.training)
