# SPDX-License-Identifier: GPL-3.0-or-later
"""The strip in the timeline, as far as it goes without a window."""

import bpy
import numpy as np

from blender_handmocap.bridge import hand_rig
from blender_handmocap.panels import confidence_strip
from tests.bridge.test_review_operators import MakeTake, applied  # noqa: F401 - fixtures


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


def test_a_bar_is_as_wide_as_it_lasts_and_neighbours_alike_are_one() -> None:
    frames, confidence = np.arange(10.0, 16.0), np.array([0.9, 0.9, 0.9, 0.1, 0.0, 0.0])
    corners, painted = confidence_strip.bars(frames, confidence)
    corners = corners.reshape(3, 6, 2)
    assert np.ptp(corners[:, :, 0], axis=1).tolist() == [3.0, 1.0, 2.0]
    assert corners[0, 0].tolist() == [9.5, 0.0]
    assert corners[..., 1].max() == 1.0
    assert painted.reshape(3, 6, 4)[:, 0, 3].tolist() == [1.0, 1.0, 0.0]
    # A long take: sure for minutes, doubtful now and then.
    long = np.arange(3000.0)
    slow = 0.5 + 0.5 * np.sin(long / 200.0) ** 2
    assert len(confidence_strip.bars(long, slow)[0]) < 0.15 * 6 * len(long)


def test_nothing_is_made_anew_while_keys_stay(applied: bpy.types.Scene) -> None:  # noqa: F811
    """What a redraw costs: the keys are looked at; only changed ones are worked on."""
    made: list[int] = []

    def make(corners: np.ndarray, painted: np.ndarray) -> object:
        made.append(len(corners))
        assert len(corners) == len(painted)
        return object()

    rig = hand_rig.find_hands(applied)["left"].armature
    first = confidence_strip.prepared(rig, make)
    for frame in (3, 9, 20):
        applied.frame_set(frame)
        assert confidence_strip.prepared(rig, make) is first
    rig["confidence"] = 0.01
    rig.keyframe_insert('["confidence"]', frame=5)
    assert confidence_strip.prepared(rig, make) is not first
    assert len(made) == 2


def test_it_comes_and_goes_with_the_extension(enabled: bpy.types.Scene) -> None:
    assert confidence_strip._handle is not None
    confidence_strip.start()
    confidence_strip.stop()
    confidence_strip.stop()
    assert confidence_strip._handle is None
    confidence_strip.start()
