# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights taken back from files that ship: torch then says what the files say, and training goes on from there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from blender_handmocap.engine.models import model_file
from blender_handmocap.engine.see.maps import MAPS_MODEL
from blender_handmocap.engine.see.pair_crop import PAIR_CROP_MODEL, PAIR_TRUNK_MODEL
from training import shipped
from training.detnet import export as detnet, taps
from training.detnet.network import DetNet, Heads
from training.detnet.trunk import TAP_SHAPES, Trunk
from training.maps import files as maps
from training.maps.network import MapHeads, MapsNet
from training.pair import files as pair, learn
from training.pair.heads import CROP, PairCropNet, PairHeads, PairTrunk

needs_networks = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="needs what `build.py models` makes")
Given = Mapping[str, Tensor]


def given_pair() -> Given:
    random = torch.Generator().manual_seed(3)
    given = {name: torch.randn(3, *shape, generator=random) for name, shape in pair.SHAPES.items()}
    given["seen"] = torch.rand(given["seen"].shape, generator=random)
    given["pair"][:, 0] = 0.4
    return given


def given_maps() -> Given:
    random = torch.Generator().manual_seed(4)
    given = {name: torch.randn(2, width, s, s, generator=random) for (name, width), s in zip(
        maps.TAPS.items(), (56, 28, 14, 7), strict=True)}  # fmt: skip
    return {**given, "points_seen": torch.rand(2, 2, 21, 2, generator=random), "known": torch.ones(2, 2)}


def assert_same(network: nn.Module, given: Given, path: Path, error: float = 1e-3) -> None:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    told = session.run(None, {name: value.numpy() for name, value in given.items()})
    with torch.no_grad():
        said = network.eval()(*given.values())
    for mine, theirs in zip(said, told, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs, rtol=error, atol=error)


def test_the_heads_of_both_hands() -> None:
    torch.manual_seed(5)
    heads = PairHeads()
    path = model_file(PAIR_CROP_MODEL)
    pair.read(heads, path)
    assert_same(PairCropNet(heads), given_pair(), path)


@needs_networks
def test_their_trunk() -> None:
    heads = learn.fresh(learn.Config(stage="upper"))
    assert heads.upper is not None
    before = [value.clone() for value in heads.upper.parameters()]
    pair.read(heads, model_file(PAIR_CROP_MODEL))
    assert any(not torch.equal(a, b) for a, b in zip(before, heads.upper.parameters(), strict=True))
    network = PairTrunk(Trunk().load_mediapipe(taps.HAND_NETWORK), heads.upper)
    pictures = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, CROP, CROP, 3), np.uint8))
    # The file's lower blocks are rounded to halves, MediaPipe's own are not.
    assert_same(network, {"picture": pictures}, model_file(PAIR_TRUNK_MODEL), error=1e-2)


def test_detnet_and_the_maps() -> None:
    torch.manual_seed(6)
    network = DetNet(Heads(64, own=True))
    path = model_file("detnet")
    assert shipped.read(network, detnet.export, path) == []
    random = torch.Generator().manual_seed(7)
    assert_same(network, {name: torch.randn(2, *shape, generator=random) for name, shape in TAP_SHAPES.items()}, path)
    heads = MapHeads()
    maps.read(heads, model_file(MAPS_MODEL))
    assert_same(MapsNet(heads), given_maps(), model_file(MAPS_MODEL))


def test_a_file_of_another_network_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a file of this network"):
        shipped.read(PairCropNet(PairHeads(32, 1)), _write, model_file(PAIR_CROP_MODEL))
    with pytest.raises(ValueError, match="give it alone"):
        shipped.is_shipped([Path("a.onnx"), Path("best.pt")])
    assert shipped.is_shipped([Path("a.onnx")])
    assert not shipped.is_shipped([Path("best.pt"), Path("other.pt")])


def _write(network: PairCropNet, path: Path) -> None:
    pair.write_heads(network, path, pair.Calibration.plain())


def test_batch_norms_settle_without_another_answer() -> None:
    """Training scales by the batch: until norms know what they see, it would begin far from where the file ended."""
    torch.manual_seed(8)
    heads = PairHeads()
    pair.read(heads, model_file(PAIR_CROP_MODEL))
    given = given_pair()

    def said() -> Tensor:
        with torch.no_grad():
            return heads(*given.values())["guess_logits"]

    heads.eval()
    before = said()
    shipped.settle(heads, [said])
    np.testing.assert_allclose(said().numpy(), before.numpy(), rtol=1e-3, atol=1e-3)
    heads.train()
    assert float((said() - before).abs().mean() / before.abs().mean()) < 0.02
