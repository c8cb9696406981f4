# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks with a trunk of their own: the published one is ResNet-50; they train from pictures and export."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from training.detnet import export, taps, train
from training.detnet.network import Heads, Whole
from training.detnet.resnet import ResNet
from training.detnet.shards import Shards, find
from training.detnet.train import Config, Run

needs_networks = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="the converted networks are not there")
ROWS = 12
SMALL = ((1, 1, 1, 1), 8)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(4)
    folder = root / "s0"
    folder.mkdir()
    np.save(folder / "image.npy", random.integers(0, 255, (ROWS, 224, 224, 3), np.uint8))
    np.save(folder / "points2d.npy", random.uniform(40, 180, (ROWS, 21, 2)).astype("f4"))
    np.save(folder / "points3d.npy", random.normal(size=(ROWS, 21, 3)).astype("f4"))
    np.save(folder / "visible.npy", np.ones((ROWS, 21), np.uint8))
    np.save(folder / "use_2d.npy", np.ones((ROWS, 21), np.uint8))
    np.save(folder / "flags.npy", np.ones((ROWS, 3), np.uint8))
    return Shards.open(find(root), ["image"])


def test_the_published_trunk_is_resnet_50() -> None:
    with torch.device("meta"):
        trunk = ResNet()
    # 25 557 032 as published, less the classifier's 2048 x 1000 + 1000.
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 25_557_032 - 2_049_000
    assert trunk.widths == {"features_28": 512, "features_14": 1024, "features_7": 2048}
    assert "layer3.5.conv2.weight" in dict(trunk.named_parameters())


def test_its_taps_have_the_cells_that_the_heads_read() -> None:
    network = Whole(trunk := ResNet(*SMALL), Heads(8, widths=trunk.widths)).eval()
    found = network.taps(torch.zeros(2, 224, 224, 3, dtype=torch.uint8))
    assert [tuple(tap.shape[1:]) for tap in found] == [(64, 28, 28), (128, 14, 14), (256, 7, 7)]


def test_it_trains_a_few_steps_and_the_exported_file_equals_torch(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "ResNet", lambda: ResNet(*SMALL))
    monkeypatch.setattr(export, "ResNet", lambda: ResNet(*SMALL))
    config = Config(stage="whole", trunk="resnet50", channels=8, batch=4, samples=32)
    run = Run(tmp_path, config, shards)
    before = run.network.trunk.layer4[0].conv2.weight.detach().clone()
    run.train(32)
    assert np.isfinite(run.keeper.loss)
    assert not torch.equal(before, run.network.trunk.layer4[0].conv2.weight)
    (tmp_path / "config.json").write_text(json.dumps(asdict(config)), encoding="utf-8")
    network = export.load(tmp_path, "checkpoint.pt")
    path = tmp_path / "whole.onnx"
    export.export(network, path)
    file = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        picture = np.random.default_rng(count).integers(0, 255, (count, 224, 224, 3), np.uint8)
        got = file.run(list(export.OUTPUTS), {"image": picture})
        with torch.no_grad():
            expected = network(torch.from_numpy(picture))
        assert np.abs(got[0] - expected[0].numpy()).max() < 1e-3
        for a, b in zip(got[1:], expected[1:], strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-3, atol=1e-4)


@needs_networks
def test_mediapipes_trunk_is_tuned_from_its_own_weights(shards: Shards, tmp_path: Path) -> None:
    run = Run(tmp_path, Config(stage="whole", channels=8, batch=4, samples=8), shards)
    picture = shards.pictures(np.arange(2))
    with torch.no_grad():
        found = run.network.taps(picture)
    converted = taps.session(1).run(list(run.network.trunk.widths), {"image": picture.numpy()})
    for tap, expected in zip(found, converted, strict=True):
        np.testing.assert_allclose(tap.numpy(), expected, atol=1e-4)
    first = run.network.trunk.stem.weight.detach().clone()
    run.train(8)
    assert not torch.equal(first, run.network.trunk.stem.weight)
