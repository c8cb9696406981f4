# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: exit codes, one sentence for every bad input, nothing overwritten."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import cli
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.settings import Settings, box_from_text

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = cli.main(arguments)
    said = capsys.readouterr()
    return code, said.out, said.err


def test_settings_come_from_options() -> None:
    options = cli.build_parser().parse_args(
        ["capture", "x.mp4", "--hands", "left", "--palm-mm", "88", "--region", "0,0,0.5,1", "--ignore", "0.5,0,1,1"]
    )
    settings = cli.settings_from(options)
    assert settings == Settings(hands="left", palm_mm=88.0, region=(0, 0, 0.5, 1), ignore=((0.5, 0, 1, 1),))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: None, "no file"),
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("this is no movie"), "could not be read"),
        (lambda p: p.mkdir(), "picture"),
    ],
)
def test_footage_that_is_none_is_one_sentence_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: object, words: str
) -> None:
    source = tmp_path / "clip.mp4"
    make(source)
    code, out, err = run("capture", str(source), "--out", str(tmp_path / "t.npz"), capsys=capsys)
    assert code == 2 and out == ""
    assert len(err.strip().splitlines()) == 1 and words in err
    assert "Traceback" not in err and not (tmp_path / "t.npz").exists()


def write_movie(path: Path, frames: int = 6, size: tuple[int, int] = (96, 64)) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, size)
    for k in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 * k, np.uint8))
    writer.release()


def test_footage_without_hands_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_movie(tmp_path / "empty.avi")
    code, _, err = run("capture", str(tmp_path / "empty.avi"), "--out", str(tmp_path / "t.npz"), capsys=capsys)
    assert code == 1 and "No hand was found" in err.splitlines()[-1]
    assert not (tmp_path / "t.npz.partial").exists()
    _, _, err = run(
        "capture", str(tmp_path / "empty.avi"), "--out", str(tmp_path / "t.npz"), "--hands", "left", capsys=capsys
    )
    assert "No left hand was found" in err.splitlines()[-1]


def test_nothing_is_overwritten_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_movie(tmp_path / "clip.avi")
    (tmp_path / "t.npz").write_text("mine")
    code, _, err = run("capture", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "t.npz"), capsys=capsys)
    assert code == 2 and "--force" in err
    assert (tmp_path / "t.npz").read_text() == "mine"


def write_pan(path: Path) -> None:
    """The camera pans along a wall with plenty to see."""
    random = np.random.default_rng(3)
    wall = np.full((240, 900, 3), 120, np.uint8)
    for _ in range(220):
        x, y, w, h = (int(v) for v in random.integers((0, 0, 8, 8), (900, 240, 60, 60)))
        cv2.rectangle(wall, (x, y), (x + w, y + h), random.integers(0, 256, 3).tolist(), cv2.FILLED)
    wall = cv2.GaussianBlur(wall, (0, 0), 1.2)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30.0, (320, 240))
    for k in range(100):
        writer.write(wall[:, 4 * k : 4 * k + 320])
    writer.release()


def test_a_moving_camera_is_refused_unless_its_path_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pan(tmp_path / "pan.avi")
    command = ["capture", str(tmp_path / "pan.avi"), "--out", str(tmp_path / "t.npz"), "--progress", "none"]
    code, _, err = run(*command, capsys=capsys)
    assert code == 2 and err.startswith("The camera moves") and len(err.splitlines()) == 1
    assert not (tmp_path / "t.npz.partial").exists()
    still = np.tile(np.eye(3), (100, 1, 1))
    np.savez(tmp_path / "path.npz", K=np.diag([300.0, 300.0, 1.0]), rotation=still, translation=np.zeros((100, 3)))
    code, _, err = run(*command, "--camera-path", str(tmp_path / "path.npz"), capsys=capsys)
    assert code == 1 and "No hand was found" in err


def test_a_camera_path_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_movie(tmp_path / "clip.avi")
    command = ["capture", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "t.npz"), "--camera-path"]
    code, _, err = run(*command, str(tmp_path / "clip.avi"), capsys=capsys)
    assert code == 2 and "camera path" in err and "no .npz file" in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "t.npz.partial").exists()


def test_an_overlay_is_not_overwritten_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_movie(tmp_path / "clip.avi")
    (tmp_path / "o.mp4").write_text("mine")
    command = ["capture", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "t.npz")]
    code, _, err = run(*command, "--overlay", str(tmp_path / "o.mp4"), capsys=capsys)
    assert code == 2 and "--force" in err and (tmp_path / "o.mp4").read_text() == "mine"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--fov", "300"],
        ["--focal", "-3"],
        ["--palm-mm", "900"],
        ["--smoothing", "-1"],
        ["--region", "0,0,2,1"],
        ["--region", "a,b"],
        ["--distortion", "1,2"],
        ["--threads", "-2"],
        ["--start", "x"],
        ["--start", "5", "--end", "2"],
    ],
)
def test_values_that_cannot_be_meant_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    write_movie(tmp_path / "clip.avi")
    code, _, err = run(
        "capture", str(tmp_path / "clip.avi"), "--out", str(tmp_path / "t.npz"), *arguments, capsys=capsys
    )
    assert code == 2 and len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["polish", "t.npz", "--out", "p.npz", "--smoothing", "-1"], "smoothing of -1"),
        (["polish", "t.npz", "--out", "p.npz", "--longest-gap", "-1"], "gap of -1 seconds"),
        (["polish", "t.npz", "--out", "p.npz", "--longest-gap", "nan"], "gap of nan seconds"),
        (["polish", "t.npz", "--out", "folder", "--force"], "is a folder"),
        (["capture", "clip.avi", "--out", "folder", "--force"], "is a folder"),
        (["capture", "clip.avi", "--out", "t.npz", "--overlay", "o.xyz"], "end in .mp4"),
        (["live", "clip.avi", "--seconds", "-1"], "-1 seconds"),
    ],
)
def test_what_cannot_be_done_is_told_before_anything_is_done(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_movie(tmp_path / "clip.avi")
    (tmp_path / "folder").mkdir()
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 2 and words in err and len(err.strip().splitlines()) == 1 and not out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.avi", "folder"]


def test_a_box_is_left_top_right_bottom() -> None:
    assert box_from_text("0.1,0.2,0.3,0.4") == (0.1, 0.2, 0.3, 0.4)
    with pytest.raises(BadInputError, match="not inside"):
        box_from_text("0.5,0,0.4,1")


def test_info_tells_libraries_and_models(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("info", "--json", capsys=capsys)
    facts = json.loads(out)
    assert code == 0 and facts["ready"]
    assert {"cv2", "numpy", "onnxruntime"} == set(facts["libraries"])
    assert str(Path.home()) not in out


def test_the_report_tests_the_engine_itself(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("info", "--report", capsys=capsys)
    assert code == 0 and "self-test: hand model and networks answered" in out


@pytest.mark.parametrize("module", ["blender_handmocap.engine", "engine"])
def test_it_runs_as_a_module_under_either_name(module: str) -> None:
    folder = ROOT if module.startswith("blender") else ROOT / "blender_handmocap"
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("HandMocap ")
