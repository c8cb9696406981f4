# SPDX-License-Identifier: GPL-3.0-or-later
"""Recorded hands fitted to ours: known poses come back, the committed file is sound, so is the prior."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import FINGER_JOINTS
from training.footage import mocap, prior, split


@pytest.fixture(scope="module")
def recordings():
    return mocap.load()


def test_known_poses_come_back():
    random = np.random.default_rng(2)
    hinges, model = free_hinges("right"), free_hand("right")
    middle, half = hinges.limits.mean(-1), 0.5 * np.ptp(hinges.limits, axis=-1)
    angles = (middle + 0.7 * half * random.uniform(-1, 1, (40, 16, 3))) * hinges.free
    root = rotations.normalized(random.normal(size=(40, 4)))
    points = model.pose(
        rotations_from_angles(angles, hinges, root), random.normal(size=(40, 3)), model.rest()
    ).keypoints
    # Another unit and another size must not matter: only directions are compared.
    found, found_root, error = mocap.fit(points * 1300.0)
    # What is left is the weak pull to rest; a thumb's oblique axes feel it most.
    assert np.degrees(error).max() < 5.0 and np.degrees(error).mean() < 1.0
    fingers = [joint for finger, joints in FINGER_JOINTS.items() if finger != "thumb" for joint in joints]
    assert np.degrees(np.abs(found - angles)[:, fingers]).mean() < 1.0
    assert np.degrees(rotations.angle_between(found_root, root)).mean() < 2.0


def test_fits_stay_within_the_limits(recordings):
    limits = free_hinges("right").limits
    slack = 2 * mocap.ANGLE_UNIT
    assert (recordings.angles >= limits[..., 0] * free_hinges("right").free - slack).all()
    assert (recordings.angles <= limits[..., 1] * free_hinges("right").free + slack).all()


def test_the_committed_fit_is_close_and_whole(recordings):
    assert len(recordings.angles) > 9000
    assert np.degrees(np.median(recordings.error)) < 3.0
    assert np.allclose(np.linalg.norm(recordings.root, axis=-1), 1.0)
    assert {name.partition(":")[0] for name in recordings.names} == {"recording", "quest", "webxr"}


def test_both_hands_of_a_clap_meet(recordings):
    chosen = recordings.source == recordings.names.index("recording:three-claps")
    left, right = (chosen & (recordings.side == side) for side in (0, 1))
    both = np.intersect1d(recordings.frame[left], recordings.frame[right])
    wrists = [recordings.wrist[side][np.isin(recordings.frame[side], both)] for side in (left, right)]
    apart = np.linalg.norm(wrists[0] - wrists[1], axis=-1)
    assert apart.min() < 0.08 and apart.max() > 2.0 * apart.min()


def test_the_split_of_the_hands_is_the_committed_one(recordings):
    tested = {recordings.names[source] for source in np.unique(recordings.source[recordings.chosen(test=True)])}
    assert {name.partition(":")[2] for name in tested if name.startswith("recording:")} == set(
        split.load().names["recording"]
    )
    assert {name.partition(":")[2] for name in tested if name.startswith("quest:")} == set(split.load().names["quest"])
    together = np.sort(np.concatenate([recordings.chosen(test=True), recordings.chosen(test=False)]))
    assert np.array_equal(together, np.arange(len(recordings.angles)))


def test_the_prior_is_of_the_training_side_and_up_to_date(recordings):
    with np.load(prior.PRIOR_FILE) as file:
        mean, covariance, hand = file["mean"], file["covariance"], str(file["hand"])
    assert hand == free_hand("right").sha256, "the hand was baked again: run training.footage.mocap and .prior"
    poses = prior.training_poses()
    np.testing.assert_allclose(mean, poses.mean(0), atol=1e-9)
    np.testing.assert_allclose(covariance, np.cov(poses, rowvar=False), atol=1e-9)
    assert np.linalg.eigvalsh(covariance).min() > 0
    held = pack(recordings.angles[recordings.chosen(test=True)], free_hinges("right"))
    distance = np.einsum(
        "ni,ij,nj->n", held - mean, np.linalg.inv(covariance + np.radians(6) ** 2 * np.eye(len(mean))), held - mean
    )
    # Poses it has never seen are still hands to it: an isotropic stranger is not.
    strange = mean + np.random.default_rng(0).normal(size=(500, len(mean))) * np.sqrt(np.diag(covariance).mean())
    stranger = np.einsum(
        "ni,ij,nj->n",
        strange - mean,
        np.linalg.inv(covariance + np.radians(6) ** 2 * np.eye(len(mean))),
        strange - mean,
    )
    assert np.median(distance) < 0.5 * np.median(stranger)


def test_a_recording_reads_again_as_committed(recordings):
    data = os.environ.get("HANDMOCAP_DATA")
    if not data or not (Path(data) / "mocap_leap").is_dir():
        pytest.skip("HANDMOCAP_DATA does not name a folder with mocap_leap")
    with np.load(Path(data) / "mocap_leap" / "wave.npz") as file:
        points = file["joints"][:, 1].astype(float) * [-1.0, -1.0, 1.0]
    chosen = recordings.source == recordings.names.index("recording:wave")
    angles, _, _ = mocap.fit(points)
    np.testing.assert_allclose(angles[recordings.frame[chosen]], recordings.angles[chosen], atol=2 * mocap.ANGLE_UNIT)
