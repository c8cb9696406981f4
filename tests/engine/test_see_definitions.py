# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.hand.names import JOINT_NAMES, KEYPOINT_NAMES
from blender_handmocap.engine.see import definitions


def test_each_keypoint_moves_with_its_parent_joint() -> None:
    joints = {name: JOINT_NAMES[joint] for name, joint in zip(KEYPOINT_NAMES, definitions.OFFSET_JOINTS, strict=True)}
    assert joints["wrist"] == joints["thumb1"] == joints["middle1"] == "wrist"
    assert (joints["index2"], joints["pinky4"], joints["thumb4"]) == ("index1", "pinky3", "thumb3")


def test_the_model_definition_has_no_offsets() -> None:
    assert not definitions.offsets("model").any()


def test_mediapipe_sees_tips_short_of_the_fingertip() -> None:
    table = definitions.offsets("mediapipe")
    tips = [KEYPOINT_NAMES.index(f"{finger}4") for finger in ("index", "middle", "ring", "pinky")]
    assert table.shape == (21, 3)
    assert (table[tips, 2] < -0.002).all()
    assert np.abs(table).max() < 0.02


def test_left_offsets_are_the_mirror_image_of_the_right() -> None:
    right = definitions.rest_offsets("mediapipe", free_hinges("right"), "right")
    left = definitions.rest_offsets("mediapipe", free_hinges("left"), "left")
    np.testing.assert_allclose(left, right * [-1.0, 1.0, 1.0], atol=1e-12)


def test_wrist_offset_is_in_canonical_axes() -> None:
    right = definitions.rest_offsets("mediapipe", free_hinges("right"), "right")
    np.testing.assert_allclose(right[0], definitions.offsets("mediapipe")[0], atol=1e-6)


def test_an_unknown_definition_is_one_sentence() -> None:
    with pytest.raises(ModelFileError, match="'nobody' are missing"):
        definitions.offsets("nobody")
