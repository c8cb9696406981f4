# SPDX-License-Identifier: GPL-3.0-or-later
"""The strip in the timeline, as far as it goes without a window."""

import bpy
import numpy as np
import pytest

from blender_handmocap.bridge import hand_rig
from blender_handmocap.panels import confidence_strip
from tests.bridge.test_review_operators import MakeTake, applied, enabled  # noqa: F401 - fixtures


def test_the_strip_shows_the_takes_confidence(applied: bpy.types.Scene) -> None:  # noqa: F811
    rig = hand_rig.find_hands(applied)["left"]
    frames, confidence = confidence_strip.confidence_of(rig.armature)
    assert frames.tolist() == list(range(1, 25))
    np.testing.assert_allclose(confidence, np.linspace(0.4, 0.9, 24), atol=1e-6)
    rig.armature.animation_data_clear()
    assert len(confidence_strip.confidence_of(rig.armature)[0]) == 0


def test_red_is_doubt_green_is_sure_and_an_absent_hand_has_no_colour() -> None:
    low, middle, high, away = confidence_strip.colours(np.array([0.05, 0.5, 1.0, 0.0]))
    assert low[0] > 3 * low[1]
    assert middle[0] > 0.8
    assert middle[1] > 0.5
    assert high[1] > 2 * high[0]
    assert (low[3], away[3]) == (1.0, 0.0)


def test_every_frame_is_a_bar_as_wide_as_it_lasts() -> None:
    corners = confidence_strip.bars(np.array([0.0, 10.0, 14.0]), 5.0, 2.0).reshape(2, 6, 2)
    assert np.ptp(corners[0], axis=0).tolist() == [10.0, 2.0]
    assert np.ptp(corners[1], axis=0).tolist() == [4.0, 2.0]
    assert corners[:, :, 1].min() == pytest.approx(5.0)


def test_it_comes_and_goes_with_the_extension(enabled: bpy.types.Scene) -> None:  # noqa: F811
    assert confidence_strip._handle is not None
    confidence_strip.start()
    confidence_strip.stop()
    confidence_strip.stop()
    assert confidence_strip._handle is None
    confidence_strip.start()
