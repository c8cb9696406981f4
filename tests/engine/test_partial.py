# SPDX-License-Identifier: GPL-3.0-or-later
"""Unfinished work survives: whole chunks only, only for the same request, nothing lost."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.partial import PartialWork

REQUEST = {"source": "clip.mp4", "size": 12}


def filled(folder: Path, chunks: int = 3) -> PartialWork:
    work = PartialWork(folder, REQUEST, resume=False)
    for k in range(chunks):
        work.append({"frame": np.arange(k * 10, k * 10 + 10)}, {"next": np.array(k * 10 + 10)})
    return work


def test_resuming_finds_every_chunk_and_the_last_state(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    again = PartialWork(tmp_path / "p", REQUEST, resume=True)
    np.testing.assert_array_equal(again.records()["frame"], np.arange(30))
    assert again.state["next"] == 30
    again.append({"frame": np.array([30])}, {"next": np.array(31)})
    assert len(PartialWork(tmp_path / "p", REQUEST, resume=True).records()["frame"]) == 31


def test_another_request_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    with pytest.raises(BadInputError, match="other footage or other settings"):
        PartialWork(tmp_path / "p", {**REQUEST, "size": 13}, resume=True)
    assert len(PartialWork(tmp_path / "p", REQUEST, resume=True).lengths) == 3


def test_a_damaged_chunk_ends_what_can_be_used(tmp_path: Path) -> None:
    filled(tmp_path / "p")
    (tmp_path / "p" / "chunk_00001.npz").write_bytes(b"PK broken")
    again = PartialWork(tmp_path / "p", REQUEST, resume=True)
    assert len(again.lengths) == 1 and again.state["next"] == 10
    assert not (tmp_path / "p" / "chunk_00002.npz").exists()


def test_a_last_chunk_that_was_cut_short_is_seen_again(tmp_path: Path) -> None:
    work = filled(tmp_path / "p")
    work.append({"frame": np.arange(30, 34)}, {"next": np.array(34)})
    assert len(work) == 34
    again = PartialWork(tmp_path / "p", REQUEST, resume=True, whole=10)
    assert len(again) == 30 and again.last == 29 and again.state["next"] == 30
    assert not (tmp_path / "p" / "chunk_00003.npz").exists()


def test_a_half_written_chunk_is_no_chunk(tmp_path: Path) -> None:
    filled(tmp_path / "p", chunks=1)
    (tmp_path / "p" / "chunk_00001.npz.77.tmp").write_bytes(b"half")
    assert len(PartialWork(tmp_path / "p", REQUEST, resume=True).lengths) == 1


def test_starting_anew_throws_the_old_away_and_discard_removes_it(tmp_path: Path) -> None:
    work = filled(tmp_path / "p")
    fresh = PartialWork(tmp_path / "p", REQUEST, resume=False)
    assert fresh.records() == {} and not list((tmp_path / "p").glob("chunk*"))
    work.discard()
    assert not (tmp_path / "p").exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInputError, match="cannot be kept"):
        PartialWork(tmp_path / "file" / "p", REQUEST, resume=False)


def test_memory_does_not_grow_with_what_is_kept(tmp_path: Path) -> None:
    work = PartialWork(tmp_path / "p", REQUEST, resume=False)
    tracemalloc.start()
    for k in range(20):
        work.append({"frame": np.arange(k, k + 1), "seen": np.full((1, 50_000), k, np.float64)}, {})
    held, _ = tracemalloc.get_traced_memory()
    assert held < 400_000
    records = work.records()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * records["seen"].nbytes
    np.testing.assert_array_equal(records["seen"][:, 0], np.arange(20))


def test_frames_that_vanish_from_the_disk_are_one_sentence(tmp_path: Path) -> None:
    work = filled(tmp_path / "p")
    (tmp_path / "p" / "chunk_00001.npz").write_bytes(b"PK broken")
    with pytest.raises(BadInputError, match="--resume"):
        work.records()
    assert len(PartialWork(tmp_path / "p", REQUEST, resume=True)) == 10
