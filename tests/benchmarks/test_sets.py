# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading sets: good entries are used, bad ones are named and skipped."""

import json
import math

import cv2
import numpy as np
import pytest

from benchmarks.sets import frozen, index_set, named, plain, take_truth
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.rotations import IDENTITY
from blender_handmocap.engine.take import HandTrack, State, Take, save_take

K = [[500.0, 0.0, 159.5], [0.0, 500.0, 119.5], [0.0, 0.0, 1.0]]


def write_movie(path, frames=6):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30, (320, 240))
    for i in range(frames):
        writer.write(np.full((240, 320, 3), 20 * i, np.uint8))
    writer.release()


def entry(**changes):
    points = np.stack([np.linspace(-40, 40, 21), np.linspace(30, -30, 21), np.full(21, 600.0)], -1)
    pixels = points[:, :2] / points[:, 2:] * 500 + [159.5, 119.5]
    good = {
        "image": None,
        "video": "clip.mp4",
        "frame": 1,
        "hand": "right",
        "K": K,
        "dist": [0, 0, 0, 0, 0],
        "joints2d": pixels.tolist(),
        "joints3d": points.tolist(),
        "visible": [1] * 21,
    }
    return {**good, **changes}


def write_index(folder, entries):
    write_movie(folder / "clip.mp4")
    cv2.imwrite(str(folder / "still.png"), np.zeros((240, 320, 3), np.uint8))
    (folder / "index.json").write_text(json.dumps(entries))
    return folder / "index.json"


def test_good_entries(tmp_path):
    entries = [
        entry(),
        entry(hand="left"),
        entry(frame=3),
        entry(video=None, image="still.png"),
        entry(joints3d=None, K=None, dist=None, visible=None, frame=4),
        entry(joints2d=None, frame=5),
    ]
    loaded = index_set.load(write_index(tmp_path, entries))
    assert loaded.skipped == () and loaded.name == tmp_path.name and loaded.judges_2d
    movie, still = loaded.clips
    assert [frame.index for frame in movie.frames] == [1, 3, 4, 5] and movie.ordered
    assert [hand.side for hand in movie.frames[0].hands] == ["right", "left"]
    assert not still.ordered and len(still.frames) == 1
    assert np.isnan(movie.frames[2].hands[0].points3d).all()
    # Without joints2d the camera says where the hand is.
    np.testing.assert_allclose(movie.frames[3].hands[0].points2d, movie.frames[1].hands[0].points2d)
    assert [index for index, _ in movie.pictures()] == [0, 1, 2, 3, 4, 5]


BAD = {
    "there is no file": {"video": "missing.mp4"},
    "names neither": {"video": None},
    "joints3d has shape (20, 3)": {"joints3d": np.zeros((20, 3)).tolist()},
    "joints2d has shape (21, 3)": {"joints2d": np.zeros((21, 3)).tolist()},
    "joints3d holds NaN": {"joints3d": [[math.nan, 0, 1]] * 21},
    "joints2d is not made of numbers": {"joints2d": [["a", "b"]] * 21},
    "hand is 'both'": {"hand": "both"},
    "frame -1": {"frame": -1},
    "K has shape": {"K": [[1, 0], [0, 1]]},
    "K has no positive": {"K": np.zeros((3, 3)).tolist()},
    "visible has shape": {"visible": [1, 1]},
    "neither joints2d nor joints3d": {"joints2d": None, "joints3d": None},
    "cannot be read as a movie": {"video": "broken.mp4"},
}


@pytest.mark.parametrize("reason", BAD)
def test_bad_entries_are_named_and_skipped(tmp_path, reason):
    (tmp_path / "broken.mp4").write_bytes(b"not a movie")
    loaded = index_set.load(write_index(tmp_path, [entry(), entry(**BAD[reason])]))
    assert len(loaded.skipped) == 1
    assert reason in loaded.skipped[0] and loaded.skipped[0].startswith("Entry 1 of index.json")
    assert sum(len(frame.hands) for clip in loaded.clips for frame in clip.frames) == 1


def test_an_entry_that_is_no_object(tmp_path):
    assert len(index_set.load(write_index(tmp_path, [entry(), 7])).skipped) == 1


@pytest.mark.parametrize("content", ["{", '{"a": 1}'])
def test_an_index_that_is_none(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(BadInputError):
        index_set.load(tmp_path / "index.json")


def test_a_movie_that_breaks_off_ends_with_the_frames_so_far(tmp_path):
    path = write_index(tmp_path, [entry(), entry(frame=400)])
    loaded = index_set.load(path)
    assert len(list(loaded.clips[0].pictures())) == 6


def true_take(frames=5):
    """Both hands side by side, flat."""
    tracks = {}
    for side, x in (("left", -0.2), ("right", 0.2)):
        hand = free_hand(side)
        rotation = np.tile(IDENTITY, (frames, 16, 1))
        translation = np.tile([x, 0.0, 0.6], (frames, 1))
        track = HandTrack.absent(frames)
        values = {
            "state": np.full(frames, State.SEEN, np.uint8),
            "visibility": np.ones((frames, 21)),
            "rotation": rotation,
            "translation": translation,
            "points": hand.pose(rotation, translation, hand.rest()).keypoints,
        }
        tracks[side] = type(track)(**{**track.__dict__, **values})
    return Take(
        meta={"rate": [30, 1]},
        frame=np.arange(frames, dtype=np.int32),
        time=np.arange(frames) / 30,
        K=np.array(K),
        dist=np.zeros(5),
        betas=np.zeros(10),
        size=free_hand("right").palm_length,
        **tracks,
    )


def test_take_truth(tmp_path):
    movie = tmp_path / "two.mp4"
    write_movie(movie)
    save_take(true_take(), tmp_path / "two.truth.npz")
    loaded = named.load(str(movie), None)
    clip = loaded.clips[0]
    assert clip.complete and clip.palm_mm == pytest.approx(free_hand("right").palm_length * 1000)
    assert len(clip.frames) == 5 and [hand.side for hand in clip.frames[0].hands] == ["left", "right"]
    left, right = clip.frames[0].hands
    assert left.points3d[0, 0] == pytest.approx(-200) and right.points3d[0, 2] == pytest.approx(600)
    assert right.points2d[0, 0] == pytest.approx(200 / 600 * 500 + 159.5, abs=1e-3)
    assert not clip.frames[0].contact.any()


def test_touching_hands_are_found_on_the_meshes():
    take = true_take(1)
    near = HandTrack(**{**take.right.__dict__, "translation": take.left.translation + np.array([0.3, 0.0, 0.0])})
    frames = take_truth.true_frames(take.with_tracks(right=near))
    assert frames[0].contact.any() and len(frames[0].skin.left_vertex) > 0


def test_plain_movies_and_unreadable_ones(tmp_path):
    write_movie(tmp_path / "a.mp4")
    (tmp_path / "b.mp4").write_bytes(b"")
    loaded = plain.load(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert len(loaded.clips) == 1 and "b.mp4" in loaded.skipped[0]
    with pytest.raises(BadInputError):
        plain.load(tmp_path / "b.mp4")


def test_sets_of_real_footage_are_there_with_their_folder_alone(tmp_path):
    there = {name for name, one in named.NAMED.items() if one.available(None)}
    assert "example" in there and set(frozen.ABOUT) <= there and "two_views" not in there
    (tmp_path / "two_views").mkdir()
    (tmp_path / "two_views" / "index.json").write_text("{}")
    assert {name for name, one in named.NAMED.items() if one.available(tmp_path)} == there | {"two_views"}


def test_unknown_names_list_the_known_ones():
    with pytest.raises(BadInputError, match="two_views"):
        named.load("three_views", None)
    with pytest.raises(BadInputError, match="--data"):
        named.load("two_views", None)
