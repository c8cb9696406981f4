# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole clips with known truth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import CancelledError
from blender_handmocap.engine.fit.clip import nearest, solve
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import CORRECTION_DTYPE, CorrectionKind, HandTrack, State, Take, load_take, save_take
from tests.engine.fit_scenes import K, rotation_error, scene


def correction(
    frame: int, side: str, kind: CorrectionKind, index: int = 0, value: tuple[float, ...] = ()
) -> np.ndarray:
    padded = np.zeros(4)
    padded[: len(value)] = value
    return np.array([(frame, SIDES.index(side), int(kind), index, padded)], dtype=CORRECTION_DTYPE)


def without(take: Take, side: str, frames: np.ndarray | slice) -> Take:
    """The same take with the hand away in some frames."""
    track = take.track(side)
    away = HandTrack.absent(len(take))
    changed = {}
    for key in ("state", "confidence", "seen2d", "seen2d_sigma", "seen3d", "seen3d_sigma", "visibility"):
        values = getattr(track, key).copy()
        values[frames] = getattr(away, key)[frames]
        changed[key] = values
    return replace(take, **{side: replace(track, **changed)})


SHARP = FitSettings(prior_weight=1e-3, coupling_sigma=10.0)


@pytest.mark.parametrize("side", SIDES)
def test_a_clean_clip_is_solved_exactly_enough(side: str) -> None:
    made = scene(40, sides=(side,), noise=0.05)
    # A detector that is this good would say so, and the prior would step back.
    track = solve(made.take, fit=SHARP).track(side)
    error = rotation_error(track, made.truth[side])
    assert error[:, 0].max() < 1.0
    assert error[:, 1:].mean() < 1.0
    assert np.linalg.norm(track.translation - made.truth[side].translation, axis=1).mean() < 0.005
    assert (track.state == State.SEEN).all()
    model = free_hand(side)
    posed = model.pose(track.rotation, track.translation, model.rest(made.take.betas, made.take.size))
    np.testing.assert_allclose(track.points, posed.keypoints, atol=1e-9)


def test_time_helps_where_frames_are_noisy() -> None:
    made = scene(60, noise=1.0, seed=1)
    stills = solve(made.take, settings=Settings(mode="stills")).right
    best = solve(made.take).right
    truth = made.truth["right"]

    def trembling(track: HandTrack) -> float:
        return float(np.linalg.norm(np.diff(track.points - truth.points, 2, axis=0), axis=-1).mean())

    assert trembling(best) < 0.35 * trembling(stills)
    assert rotation_error(best, truth).mean() < rotation_error(stills, truth).mean()


def test_both_hands_are_solved_and_keep_their_side() -> None:
    made = scene(30, sides=SIDES, noise=0.3, seed=2)
    found = solve(made.take)
    for side in SIDES:
        assert np.linalg.norm(found.track(side).points - made.truth[side].points, axis=-1).mean() < 0.015


def test_an_absent_hand_stays_absent() -> None:
    made = scene(50, noise=0.3, seed=3)
    take = without(made.take, "right", slice(10, 35))
    track = solve(take).right
    gone = np.arange(50)
    gone = (gone >= 10) & (gone < 35)
    assert (track.state[gone] == State.ABSENT).all() and (track.state[~gone] == State.SEEN).all()
    assert np.isnan(track.translation[gone]).all() and np.isnan(track.points[gone]).all()
    np.testing.assert_array_equal(track.rotation[gone], np.tile(rotations.IDENTITY, (25, 16, 1)))
    assert not solve(take).left.present.any()
    np.testing.assert_allclose(np.linalg.norm(track.rotation, axis=-1), 1.0, atol=1e-9)


def test_an_empty_take_comes_back_empty() -> None:
    made = scene(5)
    found = solve(without(made.take, "right", slice(None)))
    assert not found.right.present.any() and not found.left.present.any()


def test_single_frame() -> None:
    made = scene(1, noise=0.05)
    assert rotation_error(solve(made.take, fit=SHARP).right, made.truth["right"]).mean() < 1.5


def test_solving_again_gives_the_same(tmp_path) -> None:
    made = scene(40, sides=SIDES, noise=1.0, seed=4, apart=0.12)
    first = solve(made.take)
    save_take(first, tmp_path / "take.npz")
    again = solve(load_take(tmp_path / "take.npz"))
    for side in SIDES:
        assert rotation_error(again.track(side), first.track(side)).max() < 0.1
    np.testing.assert_array_equal(solve(made.take).right.rotation, first.right.rotation)


@pytest.mark.parametrize("sides", [("right",), SIDES])
def test_windows_agree_with_one_solve(sides: tuple[str, ...]) -> None:
    made = scene(150, sides=sides, noise=0.3, seed=5)
    whole = solve(made.take, fit=FitSettings(window=1000, clip_steps=20))
    split = solve(made.take, fit=FitSettings(window=90, overlap=60, clip_steps=20))
    for side in sides:
        assert rotation_error(split.track(side), whole.track(side)).max() < 0.1


def test_hands_do_not_pass_through_each_other() -> None:
    from blender_handmocap.engine.hand.spheres import fitted_spheres

    made = scene(12, sides=SIDES, noise=0.3, seed=6, apart=0.03)

    def overlap(take: Take) -> np.ndarray:
        centres = {}
        for side in SIDES:
            model, track = free_hand(side), take.track(side)
            rest = model.rest(None, take.size)
            spheres = fitted_spheres(model, rest)
            centres[side] = spheres.centres(model.pose(track.rotation, track.translation, rest))
            radius = spheres.radius
        apart = np.linalg.norm(centres["right"][:, :, None] - centres["left"][:, None], axis=-1)
        return np.maximum(radius[:, None] + radius - apart, 0.0).max((1, 2))

    free = overlap(solve(made.take, fit=FitSettings(collision_gate=0.0)))
    pushed = overlap(solve(made.take, fit=FitSettings(clip_steps=25)))
    assert free.mean() > 0.005
    assert pushed.mean() < 0.4 * free.mean()


def test_one_wrong_point_is_let_go() -> None:
    made = scene(20, noise=0.1, seed=7)
    good = solve(made.take).right
    pixels = made.take.right.seen2d.copy()
    pixels[8, 12] += 80.0
    bad = solve(replace(made.take, right=replace(made.take.right, seen2d=pixels))).right
    assert rotation_error(bad, good)[8].max() < 5.0


def test_points_that_are_not_finite_do_no_harm() -> None:
    made = scene(10, noise=0.2, seed=8)
    track = made.take.right
    pixels, shape = track.seen2d.copy(), track.seen3d.copy()
    pixels[3, 5:9], shape[3, 5:9], shape[5] = np.nan, np.nan, np.nan
    found = solve(replace(made.take, right=replace(track, seen2d=pixels, seen3d=shape))).right
    assert np.isfinite(found.translation).all()
    assert rotation_error(found, made.truth["right"])[:, 0].max() < 15.0


def test_a_corrected_rotation_is_kept_and_followed() -> None:
    made = scene(40, noise=0.3, seed=9)
    before = solve(made.take)
    # Turned as the hinge cannot: a twist of a finger's middle joint on top of what was found.
    wanted = rotations.multiply(before.right.rotation[20, 5], rotations.quaternion_from_vector([0.3, 0.2, 0.4]))
    take = before.with_tracks(corrections=correction(20, "right", CorrectionKind.ROTATION, 5, tuple(wanted)))
    after = solve(take)
    np.testing.assert_allclose(np.abs((after.right.rotation[20, 5] * wanted).sum()), 1.0, atol=1e-12)
    assert after.right.state[20] == State.CORRECTED
    turn = np.degrees(rotations.angle_between(after.right.rotation[:, 5], before.right.rotation[:, 5]))
    # It leads up to the correction, and what is far from it stays.
    assert turn[20] > 20.0 and 0.4 * turn[20] < turn[19] and 0.4 * turn[20] < turn[21]
    assert turn[:8].max() < 1.0 and turn[-8:].max() < 1.0
    assert np.abs(np.diff(turn)).max() < 0.5 * turn[20]


def test_a_corrected_point_is_kept() -> None:
    made = scene(30, sides=("left",), noise=0.3, seed=10)
    before = solve(made.take)
    tip = before.left.points[15, 8]
    pixel = (K @ tip)[:2] / tip[2] + [12.0, -9.0]
    after = solve(before.with_tracks(corrections=correction(15, "left", CorrectionKind.POINT, 8, tuple(pixel))))
    found = after.left.points[15, 8]
    np.testing.assert_allclose((K @ found)[:2] / found[2], pixel, atol=0.3)
    assert after.left.state[15] == State.CORRECTED


def test_a_corrected_place_is_kept() -> None:
    made = scene(20, noise=0.3, seed=11)
    before = solve(made.take)
    place = before.right.translation[9] + [0.0, 0.01, 0.04]
    after = solve(before.with_tracks(corrections=correction(9, "right", CorrectionKind.TRANSLATION, 0, tuple(place))))
    np.testing.assert_allclose(after.right.translation[9], place, atol=1e-12)
    assert np.linalg.norm(after.right.translation[8] - place) < 0.05


def test_hidden_and_absent_frames() -> None:
    made = scene(30, noise=0.3, seed=12)
    pixels = made.take.right.seen2d.copy()
    pixels[14] += 90.0
    wrong = replace(made.take, right=replace(made.take.right, seen2d=pixels))
    hidden = correction(14, "right", CorrectionKind.HIDDEN)
    absent = correction(20, "right", CorrectionKind.ABSENT)
    found = solve(wrong.with_tracks(corrections=np.concatenate([hidden, absent]))).right
    assert found.state[14] == State.FILLED and found.state[20] == State.ABSENT
    assert np.linalg.norm(found.points[14] - made.truth["right"].points[14], axis=1).mean() < 0.02


def test_a_moving_camera_and_a_lens_are_undone() -> None:
    made = scene(10, noise=0.05, seed=13)
    moved = np.repeat(K[None], 10, axis=0)
    moved[:, 0, 2] += np.arange(10) * 5.0
    pixels = made.take.right.seen2d + np.stack([np.arange(10) * 5.0, np.zeros(10)], axis=-1)[:, None]
    found = solve(replace(made.take, K=moved, right=replace(made.take.right, seen2d=pixels))).right
    still = solve(made.take).right
    np.testing.assert_allclose(found.points, still.points, atol=1e-6)


def test_frames_at_uneven_times() -> None:
    made = scene(60, noise=0.5, seed=14, rate=60.0)
    keep = np.sort(np.random.default_rng(0).choice(60, 35, replace=False))
    track = made.take.right
    some = replace(
        made.take,
        frame=made.take.frame[keep],
        time=made.take.time[keep],
        right=HandTrack(**{key: getattr(track, key)[keep] for key in HandTrack.__dataclass_fields__}),
        left=HandTrack.absent(len(keep)),
    )
    found = solve(some).right
    assert np.linalg.norm(found.points - made.truth["right"].points[keep], axis=-1).mean() < 0.02


def test_cancelling_stops_with_a_sentence_and_progress_counts_up() -> None:
    made = scene(30, noise=0.3)
    counts: list[int] = []
    solve(made.take, on_progress=lambda progress: counts.append(progress.done))
    assert counts == sorted(counts) and counts[-1] == 30
    with pytest.raises(CancelledError, match="start it again"):
        solve(made.take, cancelled=lambda: True)


def test_the_nearest_frame_is_found_without_comparing_all_with_all() -> None:
    random = np.random.default_rng(5)
    time = np.sort(random.uniform(0, 3, 60))
    for known in (time[[7]], time[::9], time[3:50:4], time):
        expected = np.abs(known[None] - time[:, None]).argmin(1)
        np.testing.assert_array_equal(nearest(time, known), expected)
    assert nearest(np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0])).tolist() == [0, 0, 1]
