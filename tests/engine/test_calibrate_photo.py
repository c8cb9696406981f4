# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer measured from one photo: against hands whose every bone is known, in millimetres."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from calibration_photos import FOCAL, HEIGHT, WIDTH, Photo, bones_of, lying, photo, rectangle, view

from blender_handmocap.engine import cli
from blender_handmocap.engine.calibrate.outline import find_outline
from blender_handmocap.engine.calibrate.photo import Measured, measure, plane_of
from blender_handmocap.engine.calibrate.rectangle import find_rectangle
from blender_handmocap.engine.calibrate.references import REFERENCES
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError, NothingFoundError
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.performer import load_performer

GUESSED = Camera.estimated(WIDTH, HEIGHT)


def bones(found: Measured) -> np.ndarray:
    return np.array([length for finger in found.bones_mm.values() for length in finger])


@pytest.fixture(scope="module")
def sheet() -> Photo:
    return photo(0, REFERENCES["a4"])


@pytest.fixture(scope="module")
def measured(sheet: Photo) -> Measured:
    return measure(sheet.image, REFERENCES["a4"], GUESSED)


def test_bones_are_known_far_better_than_without_a_photo(sheet: Photo, measured: Measured) -> None:
    off = np.abs(bones(measured) - sheet.bones * 1e3)
    assert off.mean() < 1.5 and off.max() < 4.0
    unmeasured = np.abs(bones_of_mean(sheet.side, free_hand("right").palm_length) - sheet.bones) * 1e3
    assert off.mean() < 0.5 * unmeasured.mean()
    assert measured.side == sheet.side
    assert measured.palm_mm == pytest.approx(sheet.size * 1e3, abs=4.0)


def bones_of_mean(side: str, size: float) -> np.ndarray:
    return bones_of(replace(lying(0, REFERENCES["a4"]), side=side, betas=np.zeros(10), size=size))


def test_a_bank_card_will_do(tmp_path: Path) -> None:
    shot = photo(2, REFERENCES["card"])
    found = measure(shot.image, REFERENCES["card"], GUESSED)
    off = np.abs(bones(found) - shot.bones * 1e3)
    assert off.mean() < 2.0
    assert found.side == shot.side


@pytest.mark.parametrize("name", REFERENCES)
def test_the_rectangle_is_found_to_a_pixel(name: str) -> None:
    shot = photo(2, REFERENCES[name])
    turn, away = view(2)
    hand = lying(2, REFERENCES[name])
    model = free_hand(hand.side)
    joints = model.pose(hand.rotation[None], hand.translation[None], model.rest(hand.betas, hand.size)).keypoints[0]
    camera = Camera.from_focal(WIDTH, HEIGHT, FOCAL)
    seen = camera.project(joints @ turn.T + away)
    found = find_rectangle(shot.image, REFERENCES[name], seen)
    apart = np.linalg.norm(found[:, None] - shot.corners[None], axis=-1)
    assert sorted(apart.argmin(1)) == [0, 1, 2, 3]
    assert apart.min(1).max() < 1.5
    plane = plane_of(found, REFERENCES[name], camera)
    known = rectangle(REFERENCES[name], hand.side)
    assert np.abs(plane.project(np.array([0.0, 0.0, 0.0])) - camera.project(known.mean(0) @ turn.T + away)).max() < 2.0
    outline = find_outline(shot.image, seen)
    assert (outline.at(seen[[6, 10, 14]]) < 0).all()
    assert outline.at(np.array([[5.0, 5.0]]))[0] > 0


def test_what_cannot_be_measured_is_a_sentence(sheet: Photo) -> None:
    empty = np.full((480, 640, 3), 120, np.uint8)
    with pytest.raises(NothingFoundError, match="spread fingers"):
        measure(empty, REFERENCES["a4"], Camera.estimated(640, 480))
    bare = photo(1, REFERENCES["card"]).image
    with pytest.raises(BadInputError, match="No A4 Sheet was found under the hand"):
        measure(bare, REFERENCES["a4"], GUESSED)
    steep = np.array([[100.0, 500.0], [1100.0, 500.0], [700.0, 560.0], [500.0, 560.0]])
    with pytest.raises(BadInputError, match="from above"):
        plane_of(steep, REFERENCES["a4"], GUESSED)


def test_the_command_line_writes_a_performer(sheet: Photo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "ada.png"
    cv2.imwrite(str(source), sheet.image[..., ::-1])
    picture = tmp_path / "seen.jpg"
    assert cli.main(["calibrate-photo", str(source), "--json", "--picture", str(picture)]) == 0
    said = json.loads(capsys.readouterr().out.rpartition("\n" + str(tmp_path))[0])
    performer = load_performer(tmp_path / "ada.performer.json")
    assert performer.name == "ada" and performer.palm_mm == pytest.approx(said["palm_mm"], abs=0.01)
    assert cv2.imread(str(picture)).shape == (360, 480, 3)
    assert cli.main(["calibrate-photo", str(source)]) == 2
