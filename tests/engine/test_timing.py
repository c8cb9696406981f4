# SPDX-License-Identifier: GPL-3.0-or-later
"""Means over the frames around each, by seconds."""

import numpy as np

from blender_handmocap.engine.timing import mean_around


def test_a_mean_is_over_the_frames_that_are_near_in_time() -> None:
    random = np.random.default_rng(0)
    time = np.cumsum(random.uniform(0.01, 0.2, 40))
    values = random.normal(size=40)
    expected = [values[abs(time - now) <= 0.3].mean() for now in time]
    np.testing.assert_allclose(mean_around(values, time, 0.3), expected)


def test_a_share_of_frames_is_a_mean_and_a_frame_alone_is_its_own() -> None:
    chosen = np.array([True, False, True, True])
    np.testing.assert_allclose(mean_around(chosen, np.arange(4.0), 1.0), [0.5, 2 / 3, 2 / 3, 1.0])
    np.testing.assert_array_equal(mean_around(chosen, np.arange(4.0), 0.5), chosen)
