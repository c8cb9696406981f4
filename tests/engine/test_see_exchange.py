# SPDX-License-Identifier: GPL-3.0-or-later
"""Hands that were taken for each other are given back their sides by the network that looks at both."""

import numpy as np
import pytest

from blender_handmocap.engine.see.exchange import believed, is_exchanged, moved, slot_of

HAND = np.random.default_rng(0).uniform(0.0, 100.0, (21, 2))
READ = np.stack([HAND, HAND[::-1] + np.array([150.0, 0.0])])


def test_a_hand_is_the_one_that_was_read_in_its_place() -> None:
    near = READ + np.random.default_rng(2).normal(0, 5, READ.shape)
    assert [slot_of(points, READ) for points in near] == [0, 1]
    assert slot_of(READ.mean(0), READ) is None
    assert slot_of(READ[0] + [400.0, 0.0], READ) is None
    # Where both were read in one place nothing can be told.
    assert slot_of(READ[0], np.stack([READ[0] + 2.0, READ[0] - 3.0])) is None
    assert is_exchanged(READ, near[::-1])
    assert not is_exchanged(READ, near)
    assert not is_exchanged(READ, [near[1], near[1]])


def test_a_side_moves_by_logits() -> None:
    assert moved(0.5, 1, by=2.0) == pytest.approx(1 / (1 + np.exp(-2.0)))
    assert moved(moved(0.3, 1), 0) == pytest.approx(0.3)
    assert 0.0 < moved(1.0, 0) < 0.9999 < moved(1.0, 1) < 1.0


def test_only_what_contradicts_is_counted_and_only_in_its_picture() -> None:
    # Three pictures: two hands, one hand and two again; the left one is taken for the right one in all.
    points = np.stack([READ[0], READ[1], READ[0], READ[0], READ[1]])
    right = np.array([0.9, 0.1, 0.9, 0.9, 0.1])
    picture_of = np.array([0, 0, 1, 2, 2])
    read = np.stack([READ, READ])
    out = believed(right, points, picture_of, np.array([0, 2]), read, np.array([0.0, 1.0]))
    np.testing.assert_array_equal(out[:3], right[:3])
    assert out[3] < 0.2 and out[4] > 0.8
    assert (right == [0.9, 0.1, 0.9, 0.9, 0.1]).all()
