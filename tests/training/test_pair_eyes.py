# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine's eyes say of a shard's hands is kept beside it, and told in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_pair_crop import made_labels, only

from training.detnet import taps
from training.pair import eyes
from training.pair.eyes import EyesSaid
from training.pair.followed import followed, placed_from
from training.pair.learn import Data
from training.pair.losses import Targets, targets
from training.pair.shards import Settings, write_shard

needs_networks = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="needs what `build.py models` makes")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn crops that the eyes looked at, and as many that they did not."""
    root = tmp_path_factory.mktemp("shards")
    for number in (0, 1):
        write_shard(root / f"train-900-0000{number}", Settings(seed=900), number, 4)
    assert eyes.main(["--shards", str(root), "--only", "train-900-00000"]) == 0
    return root


@needs_networks
def test_hands_are_seen_near_where_they_are(shards: Path) -> None:
    data = Data(sorted(shards.iterdir()))
    rows = np.arange(len(data))
    said, truth = data.eyes(rows), data.targets(rows)
    there = truth.known.numpy() > 0
    first = rows < 12
    np.testing.assert_array_equal(said.asked[first], there[first])
    assert not said.asked[~first].any() and not said.known[~first].any()
    assert not (said.known & ~there).any()
    assert said.known[first].sum() >= 0.5 * there[first].sum()
    off = np.linalg.norm(said.points - truth.position.numpy(), axis=-1).mean(-1)
    box = np.ptp(truth.position.numpy(), axis=2).max(-1)
    assert np.median((off / np.maximum(box, 1e-3))[said.known]) < 0.2
    form_off = np.linalg.norm(said.form - truth.location.numpy(), axis=-1).mean(-1)
    assert np.median(form_off[said.known]) < 0.7
    assert (said.error[said.known] > 0).all() and (said.form_error[said.known] > 0).all()


@needs_networks
def test_the_same_shard_is_not_looked_at_twice(shards: Path) -> None:
    kept = shards / "train-900-00000" / eyes.EYES
    before = kept.read_bytes()
    assert eyes.main(["--shards", str(shards), "--only", "train-900-00000"]) == 0
    assert kept.read_bytes() == before
    # What is said hangs on the shard's name alone.
    eyes.write(kept.parent)
    with np.load(kept) as again:
        np.testing.assert_array_equal(again["known"], Data([kept.parent]).eyes(np.arange(12)).known)


def made_up(truth: Targets) -> EyesSaid:
    """Eyes that saw every other hand, all points in one corner."""
    shape = truth.known.shape
    known = np.arange(shape[0] * 2).reshape(shape) % 3 != 0
    points = np.full((*shape, 21, 2), 0.2)
    form = np.full((*shape, 21, 3), 0.1)
    return EyesSaid(
        truth.known.numpy() > 0, known, points, np.full(points.shape[:3], 0.03), form, np.zeros(form.shape[:3])
    )


def test_hands_are_told_as_the_eyes_saw_them_or_lost_where_they_did_not() -> None:
    truth = targets(made_labels())
    there, said = truth.known.numpy() > 0, made_up(truth)
    placed = placed_from(truth.position.numpy(), there)
    plain, _ = followed(truth, np.eye(21), np.random.default_rng(0), only(by_eyes=0.0), said)
    seen, _ = followed(truth, np.eye(21), np.random.default_rng(0), only(by_eyes=1.0), said)
    chosen = there & (said.known | ~placed)
    assert chosen.any() and (there & ~chosen).any()
    np.testing.assert_array_equal(seen.known, plain.known & (said.known | ~chosen))
    assert (seen.known != plain.known).any()
    np.testing.assert_array_equal(seen.points[chosen], said.points[chosen])
    np.testing.assert_array_equal(seen.error[chosen], said.error[chosen])
    np.testing.assert_array_equal(seen.form[chosen], said.form[chosen])
    # No error that is stated is none at all.
    assert (seen.form_error[chosen] > 0).all()
    for name in ("points", "error", "form", "form_error"):
        np.testing.assert_array_equal(getattr(seen, name)[~chosen], getattr(plain, name)[~chosen])
