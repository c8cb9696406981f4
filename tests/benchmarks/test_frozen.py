# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen sets: sums for every clip, the same pictures from the same seed, and motion as promised."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from benchmarks.hands import Clip, TestSet
from benchmarks.measures import steadiness
from benchmarks.sets import frozen
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.take import HandTrack, Take, save_take

pytest.importorskip("numba")

from llvmlite import binding as llvm

from benchmarks.sets import frozen_cycles, frozen_draw, frozen_motion
from training.footage import scenery, split

DRAWN_ON = "cascadelake"
"""The processor, as numba's compiler calls it, on which the committed sums were made."""


def test_every_clip_has_a_sum():
    told = frozen.sums()
    assert set(told) == set(frozen.ABOUT) == set(frozen_draw.RECIPES)
    for name, rows in told.items():
        for row in frozen.ROWS:
            assert len(rows[row]) == frozen_draw.RECIPES[name].clips
        everything = [one for row in rows.values() for one in row]
        assert len(set(everything)) == len(everything) and all(len(one) == 64 for one in everything)


def test_seeds_are_apart():
    rows = (*frozen.ROWS, frozen.CYCLES_ROW)
    seeds = {frozen_draw.seed_of(name, row, k) for name in frozen.ABOUT for row in rows for k in range(5)}
    assert len(seeds) == len(frozen.ABOUT) * 3 * 5


def test_seen_contact_families_are_not_the_test_ones():
    assert not set(frozen_motion.SEEN_CONTACT) & split.load().names["family"]


def test_rows_by_skin(monkeypatch, tmp_path):
    clips = []
    tones = ((0.0, False), (0.3, False), (0.5, False), (0.9, False), (1.0, True), (0.1, False))
    for number, (tone, gloved) in enumerate(tones):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "pictures").mkdir()
        take = Take(
            meta={"tone": tone, "gloved": gloved}, frame=np.arange(1, dtype=np.int32), time=np.zeros(1), K=np.eye(3),
            dist=np.zeros(5), left=HandTrack.absent(1), right=HandTrack.absent(1), betas=np.zeros(10), size=0.09,
        )  # fmt: skip
        save_take(take, place / "truth.npz")
        row = frozen.CYCLES_ROW if number == 5 else frozen.ROWS[number % 2]
        clips.append(
            Clip(
                name=str(number), row=row, source=place / "pictures", ordered=True, rate=30, K=None, dist=np.zeros(5),
                frames=(), complete=True, pictures=lambda: iter(()),
            )
        )  # fmt: skip
    monkeypatch.setattr(frozen, "_BY_SKIN", ("one_hand",))
    monkeypatch.setattr(frozen, "load", lambda name: TestSet(name=name, clips=tuple(clips)))
    assert [clip.row for clip in frozen.by_skin().clips] == [
        "light skin", "light skin", "medium skin", "dark skin", "gloves",
    ]  # fmt: skip


def test_cycles_clips_are_short_and_of_their_own_kind():
    for name, recipe in frozen_draw.RECIPES.items():
        own = frozen_cycles.recipe_of(name)
        assert all(own.frames >= frozen_cycles.length_of(name, number) for number in range(frozen_cycles.CLIPS))
        assert own.longer_side <= recipe.longer_side
        assert (own.kind, own.style, own.nearest, own.farthest) == (
            recipe.kind, recipe.style, recipe.nearest, recipe.farthest,
        )  # fmt: skip
    # The first clip stays what it was when only one was drawn; a whole wave is needed to measure its swing.
    assert [frozen_cycles.length_of("small", number) for number in range(3)] == [4, 6, 6]
    assert frozen_cycles.length_of("fast", 1) == frozen_draw.RECIPES["fast"].frames
    clip = frozen_cycles.clip_of("small", 0)
    assert len(clip.scenes) == frozen_cycles.length_of("small", 0)
    # The same seed makes the same clip, so that a stopped run goes on with what it began.
    again = frozen_cycles.clip_of("small", 0)
    for one, other in zip(clip.scenes, again.scenes, strict=True):
        assert np.array_equal(one.hands[0].rotation, other.hands[0].rotation)
        assert one.look.skin == other.look.skin and one.look.backdrop == other.look.backdrop


def test_a_sheet_of_what_is_drawn(monkeypatch, tmp_path):
    monkeypatch.setattr(frozen, "folder", lambda: tmp_path)
    with pytest.raises(BadInputError):
        frozen_cycles.sheet(tmp_path / "sheet.jpg")
    for name, number, colour in (("small", 0, 40), ("small", 2, 120), ("dark", 1, 200)):
        place = frozen.clip_folder(name, frozen.CYCLES_ROW, number) / "pictures"
        place.mkdir(parents=True)
        for frame in range(3):
            cv2.imwrite(str(place / f"{frame:05d}.png"), np.full((60, 80, 3), colour if frame == 1 else 0, np.uint8))
    frozen_cycles.sheet(tmp_path / "sheet.jpg")
    shown = cv2.imread(str(tmp_path / "sheet.jpg"))
    assert shown.shape == (240, 6 * 240, 3)
    # In the order of the sets and clips, the middle of each; white below and after, where no picture is.
    assert [int(shown[90, x].mean()) for x in (120, 360, 600)] == pytest.approx([40, 120, 200], abs=2)
    assert shown[200].min() > 250 and shown[90, 900].min() > 250


def test_a_row_that_is_not_drawn_is_left_out_with_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(frozen, "folder", lambda: tmp_path)
    monkeypatch.setattr(frozen, "sums", lambda: {"small": {frozen.CYCLES_ROW: ["0" * 64, "1" * 64]}})
    loaded = frozen.load("small")
    assert loaded.clips == () and loaded.note.count("Cycles row") == 1


def test_a_set_without_sums(monkeypatch, tmp_path):
    monkeypatch.setattr(frozen, "SUMS", tmp_path / "none.json")
    with pytest.raises(BadInputError):
        frozen.load("one_hand")


@pytest.mark.slow
def test_a_frozen_clip_is_drawn_as_ever(tmp_path):
    if llvm.get_host_cpu_name() != DRAWN_ON or not scenery.pictures.fetched():
        pytest.skip("Another processor rounds otherwise, and without the photographs backdrops are other ones.")
    frozen_draw.draw_clip("small", frozen.ROWS[0], 0, tmp_path / "clip")
    assert frozen.sum_of(tmp_path / "clip") == frozen.sums()["small"][frozen.ROWS[0]][0]


@pytest.mark.slow
def test_the_same_seed_draws_the_same_clip(monkeypatch, tmp_path):
    recipe = frozen_draw.RECIPES["one_hand"]
    monkeypatch.setitem(frozen_draw.RECIPES, "one_hand", replace(recipe, frames=2))
    for place in ("a", "b"):
        frozen_draw.draw_clip("one_hand", frozen.ROWS[1], 0, tmp_path / place)
    assert frozen.sum_of(tmp_path / "a") == frozen.sum_of(tmp_path / "b")
    clip = frozen._clip(tmp_path / "a", "row")
    assert len(clip.frames) == 2 and len(clip.frames[0].hands) == 1
    hand = clip.frames[0].hands[0]
    assert hand.rotation is not None and hand.points3d[:, 2].min() > 100
    assert [index for index, _ in clip.pictures()] == [0, 1]


def test_waves_swing_at_their_frequency_and_stand_still_before():
    recipe = frozen_draw.RECIPES["fast"]
    for number, frequency in enumerate(frozen_motion.WAVES_HZ):
        clip = frozen_motion.made(recipe, (1, 2, 3, number), test=False, number=number)
        points = np.stack([frozen_motion.points_of(scene)[0] for scene in clip.scenes]) * 1000
        time = np.arange(len(points)) / frozen_motion.RATE
        flat = points.reshape(len(points), -1)
        assert steadiness.amplitude_kept(flat, flat, time, frequency) == pytest.approx(1.0)
        assert steadiness.still_frames(points)[3:5].all()
        assert np.ptp(points[:6], axis=0).max() < 1e-6
