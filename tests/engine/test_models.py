# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.models import CARDS_FILE, MODELS_FOLDER, check_models, model_cards, model_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(MODELS_FOLDER / CARDS_FILE, tmp_path / CARDS_FILE)
    return tmp_path


def test_every_file_that_is_there_is_the_one_in_its_card() -> None:
    for card in model_cards().values():
        path = MODELS_FOLDER / card.file
        if path.exists():
            assert path.stat().st_size == card.bytes, card.name
            assert hashlib.sha256(path.read_bytes()).hexdigest() == card.sha256, card.name
        assert card.licence and card.source and card.made_by, card.name


def test_a_missing_model_file_is_one_sentence(folder: Path) -> None:
    with pytest.raises(ModelFileError, match=r"mediapipe_palm\.onnx is missing .* install HandMocap again"):
        model_file("mediapipe_palm", folder)


def test_a_wrong_sha256_is_one_sentence(folder: Path) -> None:
    (folder / "mediapipe_palm.onnx").write_bytes(b"something else")
    with pytest.raises(ModelFileError, match=r"mediapipe_palm\.onnx is damaged"):
        model_file("mediapipe_palm", folder)


def test_a_replaced_file_is_checked_again(folder: Path) -> None:
    content = b"a model"
    card = model_cards()["pose_prior"]
    cards = (folder / CARDS_FILE).read_text().replace(card.sha256, hashlib.sha256(content).hexdigest())
    (folder / CARDS_FILE).write_text(cards)
    (folder / card.file).write_bytes(content)
    assert model_file("pose_prior", folder) == folder / card.file
    (folder / card.file).write_bytes(b"replaced")
    with pytest.raises(ModelFileError, match="damaged"):
        model_file("pose_prior", folder)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ModelFileError, match=r"known are .*mediapipe_hand"):
        model_file("nothing")


def test_a_damaged_list_is_one_sentence(folder: Path) -> None:
    for text in ("model = 3", "[[model]]\nname = 'half'\n", "not toml ["):
        (folder / CARDS_FILE).write_text(text)
        with pytest.raises(ModelFileError, match=r"models\.toml is missing or damaged"):
            model_cards(folder)


def test_checking_tells_each_problem(folder: Path) -> None:
    checks = {check.name: check.problem for check in check_models(folder)}
    assert set(checks) == set(model_cards())
    assert "missing" in checks["mediapipe_hand"]
    (folder / CARDS_FILE).write_text("broken [")
    assert "damaged" in check_models(folder)[0].problem
