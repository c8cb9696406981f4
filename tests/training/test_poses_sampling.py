# SPDX-License-Identifier: GPL-3.0-or-later
"""Sampled hand poses: within limits, free of self-collision, varied, from their side of the split alone."""

from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import KEYPOINT_NAMES
from training.footage import mocap, poses


def keypoints(angles):
    model = free_hand("right")
    rotation = rotations_from_angles(angles, free_hinges("right"))
    return model.pose(rotation, np.zeros((len(angles), 3)), model.rest()).keypoints


@pytest.mark.parametrize("test", [False, True])
def test_samples_are_anatomical(test):
    angles = poses.sample(np.random.default_rng(1), 300, test=test)
    hinges = free_hinges("right")
    assert angles.shape == (300, 16, 3)
    assert (angles >= hinges.limits[..., 0] * hinges.free - 1e-9).all()
    assert (angles <= hinges.limits[..., 1] * hinges.free + 1e-9).all()
    assert poses.self_overlap(angles).max() < 0.004


def test_the_same_seed_gives_the_same_poses():
    first, second = (poses.sample(np.random.default_rng(9), 40) for _ in range(2))
    assert np.array_equal(first, second)


def test_samples_are_varied():
    points = keypoints(poses.sample(np.random.default_rng(3), 300))[:, 1:].reshape(300, -1, 3)
    apart = np.linalg.norm(points[:, None] - points[None], axis=-1).mean(-1)
    nearest = np.where(np.eye(300, dtype=bool), np.inf, apart).min(1)
    assert np.median(nearest) > 0.003


def test_only_the_wanted_side_is_drawn(monkeypatch):
    recordings = mocap.load()
    asked = []
    monkeypatch.setattr(
        mocap.Mocap,
        "chosen",
        lambda self, *, test: asked.append(test) or np.flatnonzero(self.test_sources()[self.source] == test),
    )
    poses.sample(np.random.default_rng(0), 20, test=True)
    assert asked and recordings.test_sources().any()
    # Random poses borrow the thumb's spread from training hands; what is drawn whole is test only.
    assert asked[0] is True


def test_recorded_poses_can_be_left_out():
    known = {row.tobytes() for row in mocap.load().angles.astype(np.float64)}

    def recorded(recorded):
        drawn = poses._from_sources(np.random.default_rng(2), 200, test=False, recorded=recorded)
        return sum(row.tobytes() in known for row in drawn)

    assert 60 < recorded(True) < 150
    assert recorded(False) == 0
    assert len(poses.sample(np.random.default_rng(3), 20, recorded=False)) == 20


def test_counts_show_as_many_fingers():
    for number, name in enumerate(poses.COUNTS):
        points = keypoints(poses.named(name)[None])[0]
        long = 0
        for finger in ("index", "middle", "ring", "pinky"):
            tip, base = (points[KEYPOINT_NAMES.index(f"{finger}{level}")] for level in (4, 1))
            length = np.linalg.norm(
                np.diff(points[[KEYPOINT_NAMES.index(f"{finger}{n}") for n in (1, 2, 3, 4)]], axis=0), axis=-1
            )
            long += np.linalg.norm(tip - base) > 0.9 * length.sum()
        assert long == min(number, 4)


def test_named_shapes_do_not_collide():
    depth = {name: poses.self_overlap(poses.named(name)[None])[0] for name in poses.SHAPES}
    assert max(depth.values()) < 0.006, depth


def test_spreading_parts_the_fingertips():
    points = {name: keypoints(poses.named(name)[None])[0] for name in ("spread", "together")}
    index, pinky = KEYPOINT_NAMES.index("index4"), KEYPOINT_NAMES.index("pinky4")
    width = {name: np.linalg.norm(p[index] - p[pinky]) for name, p in points.items()}
    assert width["spread"] > width["together"] + 0.02


def test_a_collision_is_seen():
    angles = poses.named("open")
    angles[[1, 4], 1] = free_hinges("right").limits[[1, 4], 1].max(-1) * [1, -1]
    crossed = poses.self_overlap(np.array([angles, -angles * [1, 1, 1] + 2 * poses.named("open")]))
    assert crossed.max() > 0.004


def test_an_unknown_shape_names_the_known_ones():
    with pytest.raises(KeyError, match="thumbs_up"):
        poses.named("rabbit")
