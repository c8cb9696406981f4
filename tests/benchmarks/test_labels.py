# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames labelled by eye: the file itself, and how methods are scored on it."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from test_sets import true_take, write_movie

from benchmarks import skin
from benchmarks.figures import Figures
from benchmarks.hands import Clip, Label
from benchmarks.label_figures import label_figures
from benchmarks.measures import contact, surface
from benchmarks.methods.engine import seen_of
from benchmarks.pair_figures import mesh_of
from benchmarks.sets import labelled
from benchmarks.table import tabled
from blender_handmocap.engine.hand.names import CONTACT_PARTS, KEYPOINT_NAMES, SIDES
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack


def test_the_labels_are_whole():
    told = json.loads(labelled.LABELS.read_text(encoding="utf-8"))
    frames = told["frames"]
    assert len(frames) >= 60 and len({(e["video"], e["frame"]) for e in frames}) == len(frames)
    width, height = told["size"]
    for entry in frames:
        assert entry["nearer"] in (None, *SIDES) and entry["touch"] in (None, True, False)
        for side in SIDES:
            x0, y0, x1, y1 = entry[side]["box"]
            assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
            assert all(name in KEYPOINT_NAMES for name in entry["hidden"][side])
        for pair in entry["parts"] or ():
            assert all(part in CONTACT_PARTS for part in pair)
            assert entry["touch"]
        # The signers face the camera with uncrossed arms: their right wrist is on the left of the picture.
        assert entry["right"]["wrist"][0] < entry["left"]["wrist"][0]


def test_missing_movies_are_named(tmp_path):
    write_movie(tmp_path / "again.mkv")
    loaded = labelled.load(tmp_path)
    assert [clip.name for clip in loaded.clips] == ["again"]
    assert len(loaded.skipped) == 3 and "brother.mkv" in loaded.skipped[0]


def test_which_mesh_is_in_front():
    grid = np.stack(np.meshgrid(np.arange(0, 60, 3.0), np.arange(0, 60, 3.0)), -1).reshape(-1, 2)
    near = np.concatenate([grid, np.full((len(grid), 1), 500.0)], 1)
    far = np.concatenate([grid, np.full((len(grid), 1), 520.0)], 1)
    assert contact.nearer_in_front(near, grid, far, grid) == 1.0
    assert contact.nearer_in_front(far, grid, near, grid) == 0.0
    # Half of the picture cells the other way round.
    mixed = far.copy()
    mixed[grid[:, 0] >= 30, 2] = 490.0
    assert contact.nearer_in_front(near, grid, mixed, grid) == pytest.approx(0.5)
    # Nothing shared: the mean decides.
    assert contact.nearer_in_front(near, grid, far, grid + 1000.0) == 1.0


def labelled_take(left_depth, shift=0.0):
    """Both flat hands over each other in the picture, the left one at `left_depth` metres, the right one at 0.6."""
    take = true_take(1)
    tracks = {}
    for side, depth in (("left", left_depth), ("right", 0.6)):
        track = take.track(side)
        # Wrists so far apart that the hands, which point at each other, overlap in the picture.
        move = np.array([(-0.12 if side == "left" else 0.12) - track.translation[0, 0], shift, depth - 0.6])
        tracks[side] = HandTrack(
            **{**track.__dict__, "translation": track.translation + move, "points": track.points + move}
        )
    return take.with_tracks(**tracks, betas=np.zeros(10))


def scored(take, label, tmp_path):
    clip = Clip("c", "all", tmp_path, True, Fraction(30), None, np.zeros(5), (), False, lambda: iter(()))
    result = Figures()
    label_figures(result, tabled([clip], {0: seen_of(take)}), ({0: label},))
    return result.values


def label_of(take, **changes):
    hands = {hand.side: hand for hand in seen_of(take).of(0)}
    label = Label(
        boxes={s: np.concatenate([h.points2d.min(0), h.points2d.max(0)]) for s, h in hands.items()},
        wrists={s: h.points2d[0] for s, h in hands.items()},
        nearer="left",
        touch=False,
        parts=None,
        hidden={"left": (), "right": ()},
    )
    return replace(label, **changes)


def test_order_touch_and_side(tmp_path):
    take = labelled_take(left_depth=0.4)
    values = scored(take, label_of(take), tmp_path)
    assert values["both_found"] == values["side_right"] == values["nearer_right"] == 1.0
    assert values["touch_precision"] is None and values["touch_recall"] is None
    assert scored(take, label_of(take, nearer="right"), tmp_path)["nearer_right"] == 0.0
    assert scored(take, label_of(take, touch=True), tmp_path)["touch_recall"] == 0.0


def test_hidden_points(tmp_path):
    take = labelled_take(left_depth=0.4)
    label = label_of(take)
    # What each hand hides of itself.
    own, seen = {}, seen_of(take)
    for hand in seen.of(0):
        mesh = mesh_of(hand, seen)
        hidden = surface.hidden(hand.points3d, mesh, skin.triangles(hand.side), skin.flesh_mm())
        own[hand.side] = tuple(int(k) for k in np.flatnonzero(hidden))
    everything = tuple(range(21))
    # The left hand lies in front: it hides some of the right one's points, and nothing hides more of its own.
    behind = scored(take, replace(label, hidden={"left": own["left"], "right": everything}), tmp_path)
    assert behind["hidden_precision"] == 1.0 and 0.0 < behind["hidden_recall"] < 1.0
    beside = scored(take, replace(label, hidden=own), tmp_path)
    assert beside["hidden_recall"] == 1.0 and beside["hidden_precision"] < 1.0
    # A pair that is not found hides nothing.
    gone = scored(
        labelled_take(left_depth=0.4, shift=0.3), replace(label, hidden={"left": (), "right": (3,)}), tmp_path
    )
    assert gone["hidden_recall"] == 0.0 and gone["hidden_precision"] is None


def test_touching_meshes_touch(tmp_path):
    take = labelled_take(left_depth=0.6)
    palms = np.zeros((6, 6), bool)
    palms[5, 5] = True
    values = scored(take, label_of(take, touch=True, parts=palms), tmp_path)
    assert values["touch_precision"] == values["touch_recall"] == 1.0
    assert scored(take, label_of(take), tmp_path)["touch_precision"] == 0.0


def test_skin_that_is_no_part_touches_as_well(tmp_path):
    # Contacts are reported, of parts that are apart in the label; the meshes touch all the same.
    take = labelled_take(left_depth=0.6)
    reported = np.array([(5, 0, 0, 0.9)], CONTACT_DTYPE)
    palms = np.zeros((6, 6), bool)
    palms[5, 5] = True
    values = scored(take.with_tracks(contacts=reported), label_of(take, touch=True, parts=palms), tmp_path)
    assert values["touch_recall"] == 1.0
    # ... but of parts only what is reported counts.
    assert values["parts_recall"] == 0.0


def test_swapped_sides_are_wrong(tmp_path):
    take = labelled_take(left_depth=0.4)
    label = label_of(take)
    swapped = replace(
        label,
        boxes={"left": label.boxes["right"], "right": label.boxes["left"]},
        wrists={"left": label.wrists["right"], "right": label.wrists["left"]},
    )
    values = scored(take, swapped, tmp_path)
    assert values["side_right"] == 0.0
