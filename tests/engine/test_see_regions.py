# SPDX-License-Identifier: GPL-3.0-or-later
"""The region finder and the judge in the engine: on a drawn picture, in the mirror, on nothing, and when damaged."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import runtime as runtime_module
from blender_handmocap.engine.footage_pictures import read_picture
from blender_handmocap.engine.models import MODELS_FOLDER, model_file
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see import judge, regions
from blender_handmocap.engine.see.crops import difference, square_around
from blender_handmocap.engine.see.landmarks import HandNetwork
from blender_handmocap.engine.see.palms import PalmDetector
from blender_handmocap.engine.see.regions import decoded

pytestmark = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    image = read_picture(Path(__file__).parent / "data" / "see" / "two_hands.png")
    assert image is not None
    return image


@pytest.fixture(scope="module")
def palms() -> PalmDetector:
    runtime = Runtime.choose("cpu", 1)
    return PalmDetector(runtime, regions.RegionFinder(runtime))


@pytest.fixture(scope="module")
def hands() -> HandNetwork:
    runtime = Runtime.choose("cpu", 1)
    return HandNetwork(runtime, judge=judge.Judge(runtime))


def test_each_side_is_found_where_its_palm_is(picture: np.ndarray, palms: PalmDetector, hands: HandNetwork) -> None:
    found_palms, found = palms.search(picture, threshold=0.5)
    # Drawn with the right hand on the left.
    right, left = sorted(found_palms, key=lambda palm: palm.box[0])
    for palm, side in ((right, "right"), (left, "left")):
        fitting = hands.look(picture, [palm.crop])[0].next_crop
        nearest = min(difference(region.crop, fitting)[:2] for region in found if region.side == side)
        assert nearest[0] < 0.2 and nearest[1] < 0.4


def test_the_mirrored_picture_has_the_sides_exchanged(picture: np.ndarray, palms: PalmDetector) -> None:
    _, found = palms.search(picture, threshold=0.5)
    _, mirrored = palms.search(np.ascontiguousarray(picture[:, ::-1]), threshold=0.5)
    assert len(found) >= 2 and len(found) == len(mirrored)
    for region in found:
        crop = region.crop.copy()
        crop[0], crop[4] = picture.shape[1] - 1 - crop[0], -crop[4]
        # Which of both sides is marked more is left to the judge.
        assert min(difference(one.crop, crop)[0] for one in mirrored if one.side != region.side) < 0.15


def test_the_judge_knows_hands_sides_and_nothing(picture: np.ndarray, palms: PalmDetector, hands: HandNetwork) -> None:
    for palm in palms.detect(picture, threshold=0.5):
        said = hands.look(picture, [palm.crop])[0]
        # Drawn with the right hand on the left.
        assert said.there > 0.9 and abs(said.is_right - float(palm.box[0] < 220)) < 0.2
    empty = np.full_like(picture, 120)
    assert hands.look(empty, [square_around(480, 360)])[0].there < 0.5
    assert palms.search(empty, threshold=0.5) == ([], [])


def test_maps_without_a_peak_hold_nothing() -> None:
    centres, shapes = np.full((2, 24, 24), 0.2, np.float32), np.zeros((2, 5, 24, 24), np.float32)
    assert decoded(centres, shapes, square_around(480, 360), 0.25) == []
    centres[1, 3, 20] = 0.9
    (region,) = decoded(centres, shapes, square_around(480, 360), 0.25)
    assert region.side == "right" and region.crop[0] > 360 and region.crop[1] < 60
    # An absurd size is not believed.
    shapes[1, 2, 3, 20] = 50.0
    (region,) = decoded(centres, shapes, square_around(480, 360), 0.25)
    assert region.crop[2] < 5 * 480


@pytest.mark.parametrize(("module", "name"), [(judge, "judge"), (regions, "regions")])
def test_a_damaged_file_is_said_in_one_sentence(module, name: str, tmp_path: Path, monkeypatch) -> None:
    for file in MODELS_FOLDER.iterdir():
        shutil.copy(file, tmp_path / file.name)
    (tmp_path / f"{name}.onnx").write_bytes(b"no network")
    monkeypatch.setattr(runtime_module, "model_file", partial(model_file, folder=tmp_path))
    loaded, note = module.load_or_explain(Runtime.choose("cpu", 1))
    assert loaded is None and note.count("\n") == 0 and name in note
