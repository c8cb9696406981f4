# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m benchmarks: exit codes, JSON, MediaPipe missing or there."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from test_sets import entry, true_take, write_index, write_movie

from benchmarks import report, revision
from benchmarks.__main__ import main
from benchmarks.hands import TestSet
from benchmarks.keys import MEASURES
from benchmarks.methods import mediapipe_hands
from benchmarks.run import measure
from benchmarks.sets import take_truth
from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.models import MODELS_FOLDER
from blender_handmocap.engine.take import save_take


def test_json_of_a_clip_with_truth(tmp_path, capsys):
    write_movie(tmp_path / "two.mp4")
    save_take(true_take(), tmp_path / "two.truth.npz")
    code = main(["--set", str(tmp_path / "two.mp4"), "--json", "--methods", "floor"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0
    assert told["set"] == "two" and told["n"] == 10
    assert told["ours"] is None and told["mediapipe"] is None
    assert told["floor"]["pa_mpjpe_mm"] == pytest.approx(0.0, abs=1e-3)
    assert told["floor"]["angle_rmse_deg"] == pytest.approx(0.0, abs=0.1)


def test_skipped_entries_end_in_a_failure(tmp_path, capsys, caplog):
    index = write_index(tmp_path, [entry(), entry(video="gone.mp4"), entry(joints3d=[[float("nan")] * 3] * 21)])
    code = main(["--set", str(index), "--json", "--methods", "floor"])
    told = json.loads(capsys.readouterr().out)
    assert code == 2 and told["n"] == 1
    assert len(told["skipped"]) == 2 and "gone.mp4" in told["skipped"][0] and "NaN" in told["skipped"][1]
    assert "gone.mp4" in caplog.text


def test_labels_behind_the_end_of_a_movie_are_skipped(tmp_path, capsys, monkeypatch):
    python = mediapipe_python()
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, str(python))
    index = write_index(tmp_path, [entry(), entry(frame=400)])
    code = main(["--set", str(index), "--json", "--methods", "mediapipe"])
    told = json.loads(capsys.readouterr().out)
    assert code == 2 and told["n"] == 1
    assert "1 labelled frames of clip.mp4, from 400 on" in told["skipped"][0]
    assert told["mediapipe"]["found"] == 0.0 and told["mediapipe"]["pa_mpjpe_mm"] == 50.0


def test_without_mediapipe_its_rows_are_empty(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, str(tmp_path / "python"))
    write_movie(tmp_path / "two.mp4")
    save_take(true_take(), tmp_path / "two.truth.npz")
    code = main(["--set", str(tmp_path / "two.mp4"), "--json", "--methods", "mediapipe,floor"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0 and told["mediapipe"] is None
    assert any("MediaPipe's rows are left out" in note for note in told["notes"])


def test_a_python_without_mediapipe_says_why_and_leaves_its_rows_empty(tmp_path, capsys, monkeypatch):
    if importlib.util.find_spec("mediapipe") is not None:
        pytest.skip("this environment has MediaPipe itself")
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, sys.executable)
    write_movie(tmp_path / "two.mp4")
    code = main(["--set", str(tmp_path / "two.mp4"), "--json", "--methods", "mediapipe"])
    told = json.loads(capsys.readouterr().out)
    assert code == 0 and told["mediapipe"] is None
    (note,) = told["notes"]
    assert "stopped by itself" in note and "No module named 'mediapipe'" in note


def test_mediapipe_may_die_in_the_middle(tmp_path, monkeypatch):
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, str(mediapipe_python()))
    take = true_take()
    for name in ("a", "b"):
        write_movie(tmp_path / f"{name}.mp4")
    clips = tuple(take_truth.clip_of(tmp_path / f"{name}.mp4", take, row="all") for name in ("a", "b"))

    def dying(peer, clip, *, static):
        if clip.name == "b":
            peer._process.kill()
            peer._process.wait()
        return see_clip(peer, clip, static=static)

    see_clip = mediapipe_hands.see_clip
    monkeypatch.setattr(mediapipe_hands, "see_clip", dying)
    outcome = measure(TestSet("two", clips), mode="best", methods=("mediapipe", "floor"))
    assert set(outcome.figures) == {"floor"} and outcome.figures["floor"].values["n"] == 20
    assert any("stopped by itself" in note for note in outcome.notes)


def test_a_row_apart_is_told_and_not_counted(tmp_path):
    take = true_take()
    for name in ("a", "b", "c"):
        write_movie(tmp_path / f"{name}.mp4")
    clips = tuple(
        take_truth.clip_of(tmp_path / f"{name}.mp4", take, row=row)
        for name, row in (("a", "seen"), ("b", "unseen"), ("c", "cycles"))
    )
    outcome = measure(TestSet("three", clips, apart=("cycles",)), mode="best", methods=("floor",))
    assert outcome.figures["floor"].values["n"] == 20 and outcome.as_json()["clips"] == 2
    counts = {row: told["floor"]["n"] for row, told in outcome.as_json()["rows"].items()}
    assert counts == {"seen": 10, "unseen": 10, "cycles": 10}


def test_figures_belong_to_the_tree_the_run_began_with(tmp_path, monkeypatch):
    commits = iter(("first", "committed meanwhile"))
    monkeypatch.setattr(revision, "of_the_tree", lambda: next(commits))
    write_movie(tmp_path / "two.mp4")
    clip = take_truth.clip_of(tmp_path / "two.mp4", true_take(), row="all")
    assert measure(TestSet("two", (clip,)), mode="best", methods=("floor",)).as_json()["revision"] == "first"


def test_our_engine_sees_nothing_where_nothing_is(tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    if not all((MODELS_FOLDER / f"mediapipe_{name}.onnx").exists() for name in ("palm", "hand")):
        pytest.skip("the networks are not made yet: build.py models")
    write_movie(tmp_path / "two.mp4")
    save_take(true_take(), tmp_path / "two.truth.npz")
    for mode in ("best", "live", "stills"):
        code = main(["--set", str(tmp_path / "two.mp4"), "--json", "--methods", "ours", "--mode", mode])
        told = json.loads(capsys.readouterr().out)
        assert code == 0 and set(MEASURES) <= set(told["ours"])
        assert told["ours"]["found"] == 0.0 and told["ours"]["false_hands"] == 0.0
        assert told["ours"]["nearer_right"] is None and told["mediapipe"] is None


def test_a_truth_that_is_broken(tmp_path, capsys, caplog):
    write_movie(tmp_path / "two.mp4")
    (tmp_path / "two.truth.npz").write_bytes(b"not a take")
    assert main(["--set", str(tmp_path / "two.mp4"), "--json", "--methods", "floor"]) == 2
    assert capsys.readouterr().out == ""
    assert "two.truth.npz" in caplog.text and "Traceback" not in caplog.text


def test_an_unknown_set(capsys):
    assert main(["--set", "no such set", "--json"]) == 2
    assert capsys.readouterr().out == ""


def mediapipe_python() -> Path:
    try:
        return mediapipe_hands.python_with_mediapipe()
    except HandMocapError:
        pytest.skip("there is no environment with MediaPipe")


def test_a_section_is_replaced_in_place():
    document = "# Title\n\n<!-- a -->\nold\n<!-- end of a -->\n\ntail\n"
    once = report.replaced(document, "a", "new \\1 text")
    assert "old" not in once and "new \\1 text" in once and once.endswith("tail\n")
    twice = report.replaced(once, "b", "more")
    assert twice.index("tail") < twice.index("more")
    assert report.replaced(twice, "b", "more") == twice
    marked = report.replaced(f"head\n\n{report.END_OF_SETS}\n\ntail\n", "c", "section")
    assert marked.index("section") < marked.index(report.END_OF_SETS) < marked.index("tail")


@pytest.mark.slow
def test_mediapipe_finds_a_thumb(data, capsys, monkeypatch):
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, str(mediapipe_python()))
    still = data / "stills" / "mp_thumb_up.jpg"
    assert main(["--set", str(still), "--json", "--methods", "mediapipe", "--mode", "stills"]) == 0
    assert json.loads(capsys.readouterr().out)["mediapipe"]["hands_per_frame"] >= 1
