# SPDX-License-Identifier: GPL-3.0-or-later
"""Steadiness and bootstrap on tracks made by hand."""

import numpy as np
import pytest

from benchmarks.measures import bootstrap, steadiness

TIME = np.arange(120) / 30.0


def track(x):
    """(T, 21, 3): all points move along x together."""
    hand = np.zeros((len(x), 21, 3))
    hand += np.arange(21)[None, :, None] * 10.0
    hand[..., 0] += np.asarray(x)[:, None]
    return hand


def test_jitter_by_hand():
    # 0, 1, 0, 1 ...: every second difference is 2.
    shaking = track(np.arange(20) % 2)
    np.testing.assert_allclose(steadiness.jitter_mm(shaking, np.ones(20, bool)), np.full(18, 2.0))
    drifting = track(np.arange(20) * 5.0)
    np.testing.assert_allclose(steadiness.jitter_mm(drifting, np.ones(20, bool)), 0.0, atol=1e-9)


def test_jitter_only_where_still_and_seen():
    still = np.ones(10, bool)
    still[5] = False
    hand = track(np.zeros(10))
    hand[2] = np.nan
    # Middles 1..8; frame 2 spoils 1, 2, 3 and 5 is not still: 4, 6, 7, 8 remain.
    assert len(steadiness.jitter_mm(hand, still)) == 4
    assert len(steadiness.jitter_mm(hand[:2], still[:2])) == 0


def test_acceleration_error_by_hand():
    # x = t^2 has second difference 2 everywhere; a standing hand has 0.
    fast, standing = track(np.arange(6.0) ** 2), track(np.zeros(6))
    np.testing.assert_allclose(steadiness.acceleration_error_mm(standing, fast), np.full(4, 2.0))
    np.testing.assert_allclose(steadiness.acceleration_error_mm(fast + 50.0, fast), np.zeros(4), atol=1e-9)


def test_still_frames():
    x = np.concatenate([np.zeros(15), np.arange(1, 20) * 10.0, np.full(15, 190.0)])
    still = steadiness.still_frames(track(x))
    # Three frames are needed on both sides, and the mean of the three after frame 12 is 10 / 3 mm away, 0.8 mm a frame.
    assert np.flatnonzero(still[:20]).tolist() == list(range(3, 13))
    assert not still[13:34].any()
    # Trembling by 1 mm a frame does not hide that the hand stands.
    assert steadiness.still_frames(track(np.arange(30) % 2))[3:27].all()


def test_amplitude_kept_by_hand():
    # One point: x swings at 3 Hz, y at 6 Hz, nothing at 8 Hz.
    truth = np.stack([8 * np.sin(2 * np.pi * 3 * TIME), 6 * np.cos(2 * np.pi * 6 * TIME), 0 * TIME], -1)
    shown = np.stack([4 * np.sin(2 * np.pi * 3 * TIME + 0.5) + 30 + 7 * TIME, 0 * TIME, 0 * TIME], -1)
    assert steadiness.amplitude_kept(shown, truth, TIME, 3.0) == pytest.approx(0.5, abs=0.01)
    assert steadiness.amplitude_kept(shown, truth, TIME, 6.0) == pytest.approx(0.0, abs=0.02)
    assert np.isnan(steadiness.amplitude_kept(shown, truth, TIME, 8.0))


def test_lag_by_hand():
    def motion(time):
        return np.stack([20 * np.sin(4.3 * time) + 9 * np.sin(9.1 * time), 10 * np.cos(3.1 * time), 0 * time], -1)

    assert steadiness.lag_ms(motion(TIME - 0.05), motion(TIME), TIME) == pytest.approx(50.0, abs=3.0)
    assert steadiness.lag_ms(motion(TIME), motion(TIME), TIME) == pytest.approx(0.0, abs=3.0)
    assert steadiness.lag_ms(motion(TIME + 0.1), motion(TIME), TIME) == pytest.approx(-100.0, abs=3.0)
    assert np.isnan(steadiness.lag_ms(motion(TIME), np.zeros((120, 3)), TIME))


def test_bone_lengths():
    hand = track(np.arange(4) * 3.0)
    assert steadiness.bone_length_variation(hand) == pytest.approx(0.0, abs=1e-12)
    # Every bone of length L is 0.9 L and 1.1 L in turn: sd / mean = 0.1.
    breathing = hand * np.array([0.9, 1.1, 0.9, 1.1])[:, None, None]
    assert steadiness.bone_length_variation(breathing - breathing[:, :1]) == pytest.approx(0.1, abs=0.02)
    assert np.isnan(steadiness.bone_length_variation(hand[:1]))


def test_interval_draws_clips_not_frames():
    clip = np.repeat(np.arange(10), 100)
    values = np.repeat(np.arange(10.0), 100)
    low, high = bootstrap.interval(values, clip)
    # Ten clips with means 0..9: sd of the mean is 2.87 / sqrt(10) = 0.91.
    assert low == pytest.approx(4.5 - 1.96 * 0.91, abs=0.3) and high == pytest.approx(4.5 + 1.96 * 0.91, abs=0.3)
    assert bootstrap.interval(values, clip) == (low, high)


def test_interval_needs_two_clips():
    assert np.isnan(bootstrap.interval(np.arange(5.0), np.zeros(5, np.int64))).all()


def test_difference_inside_the_interval_is_a_tie():
    rng = np.random.default_rng(0)
    clip = np.repeat(np.arange(20), 10)
    base = rng.normal(10, 3, 200)
    assert bootstrap.compare(base - 1, base, clip) == "better"
    assert bootstrap.compare(base + 1, base, clip) == "worse"
    assert bootstrap.compare(base + 1, base, clip, less_is_better=False) == "better"
    assert bootstrap.compare(base + rng.normal(0, 1, 200) - 0.0, base, clip) == "tie"
    assert bootstrap.compare(base[:10] - 1, base[:10], clip[:10]) == "tie"
