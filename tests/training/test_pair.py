# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair network: drawn pairs are true, losses notice faults, runs resume, the file equals torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.pair import FEATURE_COUNT, LEFT, RIGHT
from training.footage import two_hands
from training.pair import export
from training.pair.batches import Pool, draw
from training.pair.network import Between, Shipped
from training.pair.train import Config, HeldOut, Run, Weights, loss, validate

pytestmark = pytest.mark.skipif(not two_hands.PATTERN_FILE.exists(), reason="the contact patterns are not there")


@pytest.fixture(scope="module")
def patterns() -> two_hands.Patterns:
    return two_hands.load().chosen(test=False)[::400]


@pytest.fixture(scope="module")
def pool(patterns: two_hands.Patterns) -> Pool:
    return Pool.of(patterns)


def test_the_pool_holds_the_patterns_hands(patterns: two_hands.Patterns, pool: Pool) -> None:
    placed = two_hands.placed(patterns.pairs[:3], np.tile([1.0, 0, 0, 0], (3, 1)), np.zeros((3, 3)))
    for k, hands in enumerate(placed):
        both = []
        for hand in hands:
            model = free_hand(hand.side)
            both.append(model.pose(hand.rotation[None], hand.translation[None], model.rest()).keypoints[0])
        true = np.stack(both)
        true = (true - true[1, 0]) / free_hand("right").palm_length
        np.testing.assert_allclose(pool.points[k], true, atol=2e-4)
    assert pack(patterns.pairs.angles[:1], free_hinges("right")).shape[-1] == 22


def test_without_noise_nothing_is_left_to_shift(pool: Pool) -> None:
    batch = draw(pool, np.random.default_rng(0), 64, noise=0.0)
    np.testing.assert_allclose(batch.shift.numpy(), 0.0, atol=2e-3)
    noisy = draw(pool, np.random.default_rng(0), 64)
    assert float(noisy.shift.norm(dim=1).median()) > 0.1


def test_what_touches_is_what_the_pattern_says_or_nothing_when_drawn_apart(
    patterns: two_hands.Patterns, pool: Pool
) -> None:
    chosen = np.flatnonzero(patterns.touching)
    index = np.repeat(chosen[:40], 50)
    batch = draw(pool, np.random.default_rng(1), len(index), index=index)
    true = patterns.gap[index] <= two_hands.TOUCH
    said = batch.contact.numpy() > 0
    same = (said == true).all((1, 2))
    mirrored = (said == np.swapaxes(true, 1, 2)).all((1, 2))
    none = ~said.any((1, 2))
    assert (same | mirrored | none).all()
    assert 0.2 < none.mean() < 0.3
    assert 0.3 < (mirrored & ~none).mean() < 0.75


def test_features_are_finite_and_shifts_are_mostly_depth(pool: Pool) -> None:
    batch = draw(pool, np.random.default_rng(2), 800)
    assert batch.features.shape == (800, FEATURE_COUNT)
    assert torch.isfinite(batch.features).all() and torch.isfinite(batch.shift).all()
    across, along = batch.shift[:, :2].norm(dim=1).median(), batch.shift[:, 2].abs().median()
    assert float(along) > 2.0 * float(across)
    assert (LEFT, RIGHT) == (0, 1)


def test_each_term_notices_its_own_fault(pool: Pool) -> None:
    truth = draw(pool, np.random.default_rng(3), 40)
    right = (truth.shift.clone(), torch.full((40, 3), -3.0), (truth.contact - 0.5) * 60)
    terms = loss(right, truth, Weights())[1]
    assert terms["shift"] == 0.0 and terms["contact"] == pytest.approx(0.0, abs=1e-6)
    assert terms["error"] == pytest.approx(-3.0)
    off = loss((truth.shift + 0.1, right[1], right[2]), truth, Weights())[1]
    assert off["shift"] == pytest.approx(np.log(2.0), rel=1e-4)
    assert off["error"] == pytest.approx(0.1 * np.exp(3.0) - 3.0, rel=1e-4)
    unknown = replace(truth, known=torch.zeros_like(truth.known))
    assert loss((right[0], right[1], -right[2]), unknown, Weights())[1]["contact"] == 0.0


def test_a_run_learns_stops_and_goes_on(pool: Pool, tmp_path: Path) -> None:
    random = np.random.default_rng(4)
    held_out = HeldOut(draw(pool, random, 300), draw(pool, random, 50))
    small = {"width": 48, "batch": 128}
    run = Run(tmp_path, Config(**small, samples=512), pool, held_out)
    run.train(every=256)
    assert run.keeper.used == 512 and (tmp_path / "best.pt").exists()
    longer = Run(tmp_path, Config(**small, samples=20_480), pool, held_out)
    assert longer.keeper.used == 512
    for mine, theirs in zip(longer.network.parameters(), run.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    longer.train(every=20_480)
    found = validate(longer.network, held_out.known)
    assert found["vector"] < found["placed"]


def test_the_file_equals_torch_for_any_number_of_pairs(pool: Pool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = Between(48)
    batch = draw(pool, np.random.default_rng(5), 500)
    network.prepare(batch.features)
    shipped = Shipped(network).eval()
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            value.copy_(value.half().float())
    export.export(shipped, tmp_path / "pair.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "pair.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        with torch.no_grad():
            expected = shipped(batch.features[:count])
        found = session.run(list(export.OUTPUTS), {"features": batch.features[:count].numpy()})
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=1e-3)
