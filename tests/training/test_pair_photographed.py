# SPDX-License-Identifier: GPL-3.0-or-later
"""Real pairs as they were filmed: only frames that can be trusted, and labels of the fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("torch")

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import HandTrack, State, Take
from training.footage.render import draw
from training.maps.ablation import HEAD, RUNS, line, table
from training.pair import photographed
from training.pair.losses import targets
from training.pair.pictures import Laid
from training.pair.shards import LABELS, LAID

UPRIGHT = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
K = np.array([[600.0, 0, 319.5], [0, 600.0, 239.5], [0, 0, 1.0]])
FRAMES = 3


def taken(apart: float) -> Take:
    """Two upright hands this far beside each other, metres; the last frame shows only one."""
    tracks = {}
    for sign, side in zip((-0.5, 0.5), SIDES, strict=True):
        track = HandTrack.absent(FRAMES)
        rotation = np.tile(rotations.IDENTITY, (FRAMES, 16, 1))
        rotation[:, 0] = rotations.quaternion_from_matrix(UPRIGHT if side == "right" else UPRIGHT * [1, -1, -1])
        place = np.tile([sign * apart, 0.06, 0.6], (FRAMES, 1))
        hand = free_hand(side)
        points = hand.pose(rotation, place, hand.rest()).keypoints
        state = np.full(FRAMES, State.SEEN, track.state.dtype)
        state[-1] = State.SEEN if side == "left" else State.ABSENT
        tracks[side] = replace(
            track,
            rotation=rotation,
            translation=place,
            points=points,
            state=state,
            confidence=np.full(FRAMES, 0.9),
            seen2d=points[..., :2] / points[..., 2:] * 600.0 + [319.5, 239.5],
        )
    size = float(np.linalg.norm(free_hand("right").rest().joints[4]))
    return Take(
        meta={}, frame=np.arange(FRAMES, dtype=np.int32), time=np.arange(FRAMES) / 30.0, K=K, dist=np.zeros(5),
        left=tracks["left"], right=tracks["right"], betas=np.zeros(10), size=size,
    )  # fmt: skip


def test_frames_are_trusted_where_both_hands_were_seen_and_the_fit_lies_on_them() -> None:
    take = taken(0.25)
    assert photographed.trusted(take).tolist() == [0, 1]
    moved = take.left.seen2d.copy()
    moved[0] += 40.0
    assert photographed.trusted(replace(take, left=replace(take.left, seen2d=moved))).tolist() == [1]
    unsure = np.array([0.9, 0.5, 0.9])
    assert photographed.trusted(replace(take, right=replace(take.right, confidence=unsure))).tolist() == [0]


def test_labels_are_those_of_the_fit_and_how_the_hands_stand_is_masked() -> None:
    scene = photographed.scene_of(taken(0.2), 0, 640, 480)
    picture = draw(scene, quality="plain")
    image = np.where(picture.side[..., None] > 0, (220, 160, 120), (40, 60, 90)).astype(np.uint8)
    rows = list(photographed.rows(image, scene, np.random.default_rng(4), 8))
    assert len(rows) == 8
    pairs = [(shown, truth) for shown, truth in rows if truth.pair]
    assert pairs
    for shown, truth in pairs:
        assert truth.laid is Laid.PHOTOGRAPHED
        for slot in range(2):
            columns, lines = np.rint(truth.points2d[slot][truth.visible[slot] > 0]).astype(int).T
            # Tips lie on the outline.
            on_hand = shown[np.clip(lines, 0, 223), np.clip(columns, 0, 223)].astype(int)
            assert (on_hand[:, 0] > on_hand[:, 2]).mean() > 0.7
    labels = {name: np.array([getattr(truth, name) for _, truth in rows], np.float32) for name in (*LABELS, LAID)}
    truth = targets(labels)
    assert truth.pair.sum() == len(pairs) and not truth.placed.any() and not truth.nearer.any()
    assert not truth.contact_known[truth.pair > 0].any()


def test_hands_that_cover_each_other_are_left_out() -> None:
    scene = photographed.scene_of(taken(0.02), 0, 640, 480)
    image = np.zeros((480, 640, 3), np.uint8)
    assert not list(photographed.rows(image, scene, np.random.default_rng(0), 2))


def test_the_table_of_real_and_drawn_pictures() -> None:
    errors = dict.fromkeys(("overlap", "wrong_side", "code_median", "within", "pixels", "pixels_hidden"), 0.25)
    assert line("both", "real", errors) == "| both | real | 0.25 | 25 % | 0.250 | 0.25 | 0.2 | 0.2 |"
    told = table({name: {"drawn": errors, "real": errors} for name in RUNS}).splitlines()
    assert len(told) == 2 + 2 * len(RUNS) and told[0] == HEAD.splitlines()[0]
    # Each of the other two is what is left of the first without the one or the other.
    both, drawn, real = RUNS.values()
    assert set(both) == {*drawn, *real} and not set(drawn) & set(real)
