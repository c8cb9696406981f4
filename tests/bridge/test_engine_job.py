# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs in the engine's real process: done, stopped, killed, refused."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.bridge import engine_job
from blender_handmocap.engine.take import Take, load_take, save_take

MakeTake = Callable[..., Take]
PATIENCE = 120.0


@pytest.fixture(autouse=True)
def no_jobs_left() -> Iterator[None]:
    yield
    engine_job.stop_all()


@pytest.fixture(scope="module")
def empty_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip without hands, long enough to be stopped in the middle."""
    path = tmp_path_factory.mktemp("clip") / "empty.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 30.0, (320, 240))
    picture = np.full((240, 320, 3), 90, np.uint8)
    for _ in range(3000):
        writer.write(picture)
    writer.release()
    return path


def capture(source: Path, out: Path, **more: object) -> dict[str, object]:
    return {"type": "capture", "source": str(source), "out": str(out), "settings": {}, **more}


def test_a_job_is_done_and_its_process_gone(tmp_path: Path, make_take: MakeTake) -> None:
    save_take(make_take(30), tmp_path / "a.take.npz")
    command = {"type": "polish", "take": str(tmp_path / "a.take.npz"), "out": str(tmp_path / "b.take.npz")}
    job = engine_job.start("polish", command, tmp_path / "log.txt")
    state = job.wait(PATIENCE)
    assert state.error == ""
    assert state.take == tmp_path / "b.take.npz"
    assert "30 frames" in state.summary
    assert len(load_take(state.take)) == 30
    assert job.child is not None
    assert job.child.process.wait(20) == 0
    assert not engine_job.running("polish")


def test_an_error_is_the_engines_sentence(tmp_path: Path) -> None:
    job = engine_job.start("capture", capture(tmp_path / "no.mp4", tmp_path / "o.take.npz"), tmp_path / "log.txt")
    state = job.wait(PATIENCE)
    assert state.finished
    assert "no.mp4" in state.error
    assert "Traceback" not in state.error


def test_stopping_in_the_middle(tmp_path: Path, empty_clip: Path) -> None:
    job = engine_job.start("capture", capture(empty_clip, tmp_path / "o.take.npz"), tmp_path / "log.txt")
    while job.poll().done == 0 and not job.state.finished:
        time.sleep(0.02)
    assert job.state.total == 3000
    assert "Seeing" in job.state.line
    job.cancel()
    job.cancel()
    assert "Stopping" in job.state.line
    state = job.wait(PATIENCE)
    assert state.finished
    assert state.cancelled or "before it was stopped" in state.error
    assert state.done < 3000


def test_an_engine_that_dies_is_one_sentence_with_the_log(tmp_path: Path, empty_clip: Path) -> None:
    job = engine_job.start("capture", capture(empty_clip, tmp_path / "o.take.npz"), tmp_path / "log.txt")
    while job.poll().done < 20 and not job.state.finished:
        time.sleep(0.02)
    assert job.child is not None
    os.kill(job.child.process.pid, signal.SIGKILL)
    state = job.wait(PATIENCE)
    assert "stopped unexpectedly" in state.error
    assert str(tmp_path / "log.txt") in state.error
    assert list((tmp_path / "o.take.npz.partial").glob("chunk_*.npz"))


def test_an_engine_without_its_parent_ends(tmp_path: Path, empty_clip: Path) -> None:
    job = engine_job.start("capture", capture(empty_clip, tmp_path / "o.take.npz"), tmp_path / "log.txt")
    while job.poll().done == 0 and not job.state.finished:
        time.sleep(0.02)
    assert job.child is not None
    process = job.child.process
    engine_job.stop_all()
    assert process.wait(60) is not None
    assert engine_job.current("capture") is None


def test_an_engine_that_cannot_start_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "no python"))
    job = engine_job.start("capture", {"type": "info"}, tmp_path / "log.txt")
    assert job.state.finished
    assert "install HandMocap again" in job.state.error


def test_polling_costs_nothing_to_speak_of(tmp_path: Path, empty_clip: Path) -> None:
    """Polls far outnumber messages: thousands pass while a single frame is seen."""
    job = engine_job.start("capture", capture(empty_clip, tmp_path / "o.take.npz"), tmp_path / "log.txt")
    while job.poll().done == 0 and not job.state.finished:
        time.sleep(0.02)
    seen = job.state.done
    for _ in range(2000):
        job.poll()
    assert job.state.done - seen < 200


def test_an_engine_that_stands_ready_takes_the_job_on_and_the_next_one(tmp_path: Path, make_take: MakeTake) -> None:
    save_take(make_take(10), tmp_path / "a.take.npz")
    log = tmp_path / "log.txt"
    engine_job.make_ready("polish", {"type": "warm_up"}, log)
    assert engine_job.is_ready("polish")
    processes = []
    for name in ("b", "c"):
        command = {"type": "polish", "take": str(tmp_path / "a.take.npz"), "out": str(tmp_path / f"{name}.take.npz")}
        # What the engine said of warming up and of the job before is not taken for an answer to this one.
        job = engine_job.start("polish", command, log, keep_engine=True)
        assert job.child is not None
        processes.append(job.child.process)
        assert not engine_job.is_ready("polish")
        assert job.wait(PATIENCE).take == tmp_path / f"{name}.take.npz"
        assert engine_job.is_ready("polish")
    assert processes[0] is processes[1]
    engine_job.dismiss("polish")
    assert processes[0].wait(20) == 0
    assert not engine_job.is_ready("polish")


def test_an_engine_that_died_while_it_waited_is_replaced(tmp_path: Path, make_take: MakeTake) -> None:
    save_take(make_take(10), tmp_path / "a.take.npz")
    engine_job.make_ready("polish", {"type": "warm_up"}, tmp_path / "log.txt")
    engine_job._ready["polish"].kill()
    engine_job._ready["polish"].process.wait(20)
    assert not engine_job.is_ready("polish")
    command = {"type": "polish", "take": str(tmp_path / "a.take.npz"), "out": str(tmp_path / "b.take.npz")}
    assert engine_job.start("polish", command, tmp_path / "log.txt").wait(PATIENCE).error == ""
