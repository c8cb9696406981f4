# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine.errors import BadInputError, ModelFileError
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.runtime import Runtime, cuda_is_available, usable_cores

made = pytest.mark.skipif(
    not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(), reason="the networks are made by `build.py models`"
)


def test_threads_are_bounded_by_the_machine() -> None:
    assert 1 <= Runtime.choose("cpu").threads <= usable_cores()
    assert Runtime.choose("cpu", 1).threads == 1
    with pytest.raises(BadInputError, match="-1 threads"):
        Runtime.choose("cpu", -1)


@pytest.mark.skipif(cuda_is_available(), reason="this machine has CUDA")
def test_cuda_that_is_missing_falls_back_with_one_sentence() -> None:
    runtime = Runtime.choose("cuda", 1)
    assert runtime.device == "cpu"
    assert "processor is used instead" in runtime.note
    assert Runtime.choose("auto", 1).note == ""


@made
def test_only_the_outputs_asked_for_come_back() -> None:
    network = Runtime.choose("cpu", 1).network("mediapipe_hand", outputs=("presence", "features_7"))
    found = network(np.zeros((2, 224, 224, 3), np.uint8))
    assert {name: value.shape for name, value in found.items()} == {"presence": (2, 1), "features_7": (2, 192, 7, 7)}


def test_a_file_that_is_no_network_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x00\x01 not a network")
    with pytest.raises(ModelFileError, match=r"broken\.onnx could not be loaded"):
        Runtime.choose("cpu", 1).network_from(path)
