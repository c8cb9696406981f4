# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a crop around both hands: how they are thinned, what a take keeps, and what they make of strange pictures."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.models import model_cards
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see import maps
from blender_handmocap.engine.see.crops import points_in_picture
from blender_handmocap.engine.see.maps import MapsCalibration, MapsNet, MapsReading, peaks, thinned
from blender_handmocap.engine.take import MAP_SIZE, MATCHES, PairTrack
from tests.engine.fit_scenes import scene

RNG = np.random.default_rng(0)
CODES = RNG.uniform(0.0, 1.0, (MATCHES, 3))
CONSTANTS = MapsCalibration(
    vertices=np.arange(MATCHES, dtype=np.int32),
    code=CODES,
    match_error=np.array([0.01, 1.0]),
    heat=np.linspace(0.1, 0.9, 6),
    heat_error=np.linspace(0.1, 0.02, 6),
)
CROP = np.array([300.0, 200.0, 224.0, 224.0, 0.0])
SHOWN = (slice(20, 30), slice(10, 20)), (slice(22, 34), slice(30, 44))
"""rows and columns that show the left hand and the right one"""


def made() -> dict[str, np.ndarray]:
    """Maps of two rectangular hands; cell (20, 10) shows point 3 of the left one, (25, 40) point 5 of the right one."""
    classes = np.zeros((3, MAP_SIZE, MAP_SIZE))
    classes[0] = 0.4
    code = np.full((3, MAP_SIZE, MAP_SIZE), 5.0)
    between = np.zeros((MAP_SIZE, MAP_SIZE))
    for slot, cells in enumerate(SHOWN):
        classes[slot + 1][cells] = 0.9
        between[cells] = (0.5, -0.7)[slot]
    code[:, 20, 10], code[:, 25, 40] = CODES[3] + [0.01, 0.0, 0.0], CODES[5]
    within = np.zeros((MAP_SIZE, MAP_SIZE))
    within[20, 10] = 0.3
    heat = np.zeros((2, 21, 28, 28))
    cells = np.arange(28)
    heat[1, 4] = 0.8 * np.exp(-0.5 * ((cells[:, None] - 7) ** 2 + (cells - 12) ** 2))
    return {"classes": classes, "code": code, "within": within, "between": between, "heat": heat}


def test_what_is_kept_of_maps() -> None:
    kept = thinned(made(), CROP, CONSTANTS)
    regions = np.unpackbits(kept.regions, axis=-1).reshape(2, MAP_SIZE, MAP_SIZE)
    for slot, cells in enumerate(SHOWN):
        assert regions[slot][cells].all() and regions[slot].sum() == regions[slot][cells].size
    seen = np.argwhere(np.isfinite(kept.pixels).all(-1)).tolist()
    assert [0, 3] in seen and [1, 5] in seen
    # The middle of cell (20, 10) of a crop of 224 pixels: pixel 4 * 10 + 1.5, from the crop's corner.
    corner = CROP[:2] - 112.0
    np.testing.assert_allclose(kept.pixels[0, 3], corner + np.array([41.5, 81.5]))
    assert kept.depth[0, 3] == pytest.approx(0.3)
    assert kept.sigma[0, 3] == pytest.approx((0.01 + 0.01) * 224.0)
    # The left wrist 0.5 behind, the right one 0.7 before: the mean.
    assert kept.between == pytest.approx(0.6)
    assert np.isfinite(kept.points[1, 4]).all() and np.isnan(kept.points[0]).all()
    np.testing.assert_allclose(kept.points[1, 4], corner + np.array([12.5 * 8 - 0.5, 7.5 * 8 - 0.5]), atol=1e-6)
    assert kept.points_sigma[1, 4] == pytest.approx(224.0 * np.interp(0.8, CONSTANTS.heat, CONSTANTS.heat_error))


def test_depth_between_hands_follows_the_sign_rule() -> None:
    alike = made()
    alike["between"] = np.abs(alike["between"])
    assert thinned(alike, CROP, CONSTANTS).between == 0.0
    single = made()
    single["classes"][2] = 0.0
    kept = thinned(single, CROP, CONSTANTS)
    assert np.isnan(kept.between) and np.isnan(kept.pixels[1]).all()
    few = made()
    few["classes"][1] = 0.0
    few["classes"][1, 5, 5:16] = 0.9
    # Eleven cells are no hand.
    assert not np.unpackbits(thinned(few, CROP, CONSTANTS).regions[0]).any()


def test_a_turned_crop_turns_what_is_kept() -> None:
    turned = CROP + np.array([0.0, 0.0, 0.0, 0.0, 0.7])
    straight, other = thinned(made(), CROP, CONSTANTS), thinned(made(), turned, CONSTANTS)
    share = (straight.pixels[0, 3] - CROP[:2]) / 224.0 + 0.5
    np.testing.assert_allclose(other.pixels[0, 3], points_in_picture(share[None], turned)[0])


def test_peaks_between_cells() -> None:
    cells = (np.arange(28) + 0.5) / 28
    place = np.array([0.431, 0.622])
    heat = np.exp(-0.5 * (((cells[:, None] - place[1]) / 0.035) ** 2 + ((cells - place[0]) / 0.035) ** 2))
    found, height = peaks(heat[None])
    # The engine counts pixels from their middles, so shares are half a pixel less.
    np.testing.assert_allclose(found[0] + 0.5 / 224, place, atol=2e-3)
    assert height[0] > 0.9


def test_constants_are_read_back_and_nothing_else_is() -> None:
    again = MapsCalibration.from_text(CONSTANTS.to_text())
    np.testing.assert_allclose(again.code, CODES, atol=1e-5)
    for text in (None, "no", json.dumps({"code": [1]}), CONSTANTS.to_text().replace("0.01", "NaN", 1)):
        with pytest.raises(ModelFileError, match="install HandMocap again"):
            MapsCalibration.from_text(text)


def recorded(count: int = 4) -> dict[str, Any]:
    readings: list[MapsReading | None] = [thinned(made(), CROP, CONSTANTS) if k % 2 else None for k in range(count)]
    return maps.rows(readings)


def test_a_take_has_the_maps_of_pairs_that_are_trusted() -> None:
    take = scene(4).take
    pair = replace(PairTrack.absent(4), valid=np.array([True, True, True, False]))
    kept = maps.with_maps(replace(take, pair=pair), recorded(), CONSTANTS).maps
    assert kept is not None and kept.frame.tolist() == [1]
    assert kept.between[0] == pytest.approx(0.6)
    assert maps.with_maps(take, recorded(), CONSTANTS).maps is None
    assert maps.with_maps(replace(take, pair=pair), {}, CONSTANTS).maps is None


@pytest.fixture(scope="module")
def network() -> MapsNet:
    if maps.MAPS_MODEL not in model_cards():
        pytest.skip("there are no maps")
    return MapsNet.load(Runtime.choose("cpu", 1))


def test_the_network_that_ships_says_numbers_of_any_taps(network: MapsNet) -> None:
    sizes = {"features_56": (24, 56), "features_28": (40, 28), "features_14": (112, 14), "features_7": (192, 7)}
    for scale in (0.0, 1.0, 30.0):
        taps = {
            name: scale * RNG.normal(size=(1, width, side, side)).astype(np.float32)
            for name, (width, side) in sizes.items()
        }
        read = network.read(taps, CROP, [None, None])
        assert read is not None
        assert not np.isfinite(read.pixels[~np.isfinite(read.sigma)]).any()
    broken = {**taps, "features_7": np.full((1, 192, 7, 7), np.nan, np.float32)}
    assert network.read(broken, CROP, [None, None]) is None


def test_the_network_without_its_file_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maps, "model_cards", dict)
    assert maps.load_or_explain(Runtime.choose("cpu", 1)) == (None, "")
