# SPDX-License-Identifier: GPL-3.0-or-later
"""The trunk tuned for crops of both hands: it begins as MediaPipe's, learns with the heads, and ships beside them."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from test_pair_crop import features, made_labels

from blender_handmocap.engine.see.pair_crop import PAIR_TRUNK_MODEL
from training.detnet import taps
from training.detnet.trunk import TAPS, Trunk, Upper
from training.pair import export_crop, files, learn
from training.pair.followed import followed
from training.pair.heads import CROP, PairHeads
from training.pair.losses import Weights, loss, targets

needs_networks = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="needs what `build.py models` makes")


@needs_networks
def test_it_begins_as_mediapipes() -> None:
    trunk = Trunk().load_mediapipe(taps.HAND_NETWORK)
    picture = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, CROP, CROP)).astype(np.float32))
    with torch.no_grad():
        low = trunk.low(picture)
        middle = trunk.middle(low)
        found = trunk.upper()(low)
        torch.testing.assert_close(found["features_28"], low)
        torch.testing.assert_close(found["features_14"], middle, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found["features_7"], trunk.tail(middle), rtol=1e-4, atol=1e-4)
    # A copy: tuning it leaves the other as it is.
    assert trunk.upper().blocks[0].expand.weight.data_ptr() != trunk.blocks[4].expand.weight.data_ptr()


@needs_networks
def test_it_learns_with_the_heads_at_a_rate_of_its_own() -> None:
    torch.manual_seed(0)
    heads = learn.fresh(learn.Config(width=32, layers=1, stage="upper"))
    assert heads.upper is not None
    before = {name: value.clone() for name, value in heads.upper.named_parameters()}
    groups = learn._groups(heads, 1e-3)
    assert [group["lr"] for group in groups] == pytest.approx([1e-3, 3e-4])
    assert sum(len(group["params"]) for group in groups) == len(list(heads.parameters()))
    truth = targets(made_labels(rows=6))
    seen, truth = followed(truth, np.eye(21), np.random.default_rng(0), learn.Following())
    told = learn.as_given(seen)
    low = {"features_28": features(0, 6)[0]}
    optimiser = torch.optim.AdamW(groups)
    course = []
    for _ in range(6):
        total, _ = loss(heads(**heads.taps(low), seen=told[0], points=told[1], pair=told[2]), truth, Weights())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        course.append(float(total.detach()))
    assert course[-1] < course[0]
    for name, value in heads.upper.named_parameters():
        assert torch.equal(value, before[name]) == ("depthwise" in name)


def test_heads_without_one_read_what_shards_keep() -> None:
    cached = dict(zip(TAPS, features(1, 2), strict=True))
    heads = PairHeads(32, 1)
    assert all(heads.taps(cached)[name] is value for name, value in cached.items())


@needs_networks
def test_the_file_says_what_torch_says(tmp_path: Path) -> None:
    torch.manual_seed(2)
    trunk = Trunk().load_mediapipe(taps.HAND_NETWORK)
    upper = trunk.upper()
    with torch.no_grad():
        for parameter in upper.parameters():
            parameter.mul_(1.0 + 0.05 * torch.randn_like(parameter))
    path = tmp_path / f"{PAIR_TRUNK_MODEL}.onnx"
    files.write_trunk(upper, path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(1).integers(0, 256, (3, CROP, CROP, 3), np.uint8)
    found = dict(zip(TAPS, session.run(list(TAPS), {"picture": picture}), strict=True))
    with torch.no_grad():
        low = trunk.low(torch.from_numpy(picture).permute(0, 3, 1, 2).float())
        wanted = upper(low)
    for name in TAPS:
        scale = float(wanted[name].abs().max())
        np.testing.assert_allclose(found[name], wanted[name].numpy(), atol=2e-3 * scale, err_msg=name)
    # Tuned: no longer what MediaPipe's says.
    with torch.no_grad():
        assert float((trunk.upper()(low)["features_7"] - wanted["features_7"]).abs().mean()) > 0.01


def test_a_network_is_the_mean_of_several_runs(tmp_path: Path) -> None:
    runs = []
    for number in range(2):
        torch.manual_seed(number)
        heads = PairHeads(32, 1, upper=Upper())
        run = tmp_path / str(number)
        run.mkdir()
        torch.save({"network": heads.state_dict()}, run / "best.pt")
        (run / "config.json").write_text(json.dumps(asdict(learn.Config(width=32, layers=1, stage="upper"))))
        runs.append((run, heads))
    mean = export_crop.load([run for run, _ in runs]).heads
    for one, two, found in zip(runs[0][1].parameters(), runs[1][1].parameters(), mean.parameters(), strict=True):
        torch.testing.assert_close(found, (one + two) / 2)
