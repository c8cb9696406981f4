# SPDX-License-Identifier: GPL-3.0-or-later
"""Single hands as they were filmed: one hand's labels, before what was behind it; anything else is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine import rotations
from training.detnet import taps
from training.footage.cutouts import Cutter
from training.footage.render import Picture, draw
from training.footage.scene import HandPose, Scene
from training.pair import filmed
from training.pair.pictures import CROP_SIZE

pytestmark = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="needs what `build.py models` makes")

UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
K = np.array([[500.0, 0, 319.5], [0, 500.0, 199.5], [0, 0, 1.0]])


def hand(side: str, place: tuple[float, float, float]) -> HandPose:
    rotation = np.tile(rotations.IDENTITY, (16, 1))
    rotation[0] = rotations.quaternion_from_matrix(UPRIGHT)
    return HandPose(side, rotation, np.array(place))


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene((hand("right", (0.0, 0.1, 0.5)),), np.zeros(10), None, K, 640, 400)


@pytest.fixture(scope="module")
def picture(scene: Scene) -> Picture:
    return draw(scene)


def test_rows_show_the_one_hand_where_it_is(picture: Picture) -> None:
    made = filmed.filmed(picture.image, Cutter(confidence=0.5, agreement=0.7))
    assert made is not None and made.sides == ("right",)
    assert (made.side == 2).any() and not (made.side == 1).any()
    rows = list(filmed.rows([made, made], np.random.default_rng(0), 3))
    assert len(rows) == 6
    mirrored = 0
    for shown, truth in rows:
        assert shown.shape == (CROP_SIZE, CROP_SIZE, 3)
        assert truth.present.sum() == 1 and not truth.pair
        slot = int(truth.present.argmax())
        mirrored += slot == 0
        # Palms are where the picture is skin, and the map of sides says so.
        middle = np.rint(truth.points2d[slot, [0, 9]].mean(0)).astype(int)
        cell = tuple(middle[::-1] * truth.sides.shape[0] // CROP_SIZE)
        assert truth.sides[cell] == slot + 1
        assert (truth.sides > 0).sum() == (truth.sides == slot + 1).sum()
    assert 0 < mirrored < 6


def test_pictures_of_none_and_of_two_are_left_out(scene: Scene) -> None:
    cutter = Cutter(confidence=0.5, agreement=0.7)
    assert filmed.filmed(np.full((400, 640, 3), 120, np.uint8), cutter) is None
    both = replace(scene, hands=(hand("left", (-0.12, 0.1, 0.5)), hand("right", (0.12, 0.1, 0.5))))
    assert len(cutter.fitted(draw(both).image)) == 2
    assert filmed.filmed(draw(both).image, cutter) is None
