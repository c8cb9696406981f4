# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m benchmarks: exit codes, JSON, MediaPipe missing or there."""

import json
from pathlib import Path

import pytest
from test_sets import entry, true_take, write_index, write_movie

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.methods import mediapipe_hands
from blender_handmocap.engine.errors import HandMocapError
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


@pytest.mark.slow
def test_mediapipe_finds_a_thumb(data, capsys, monkeypatch):
    monkeypatch.setenv(mediapipe_hands.PYTHON_VARIABLE, str(mediapipe_python()))
    still = data / "stills" / "mp_thumb_up.jpg"
    assert main(["--set", str(still), "--json", "--methods", "mediapipe", "--mode", "stills"]) == 0
    assert json.loads(capsys.readouterr().out)["mediapipe"]["hands_per_frame"] >= 1
