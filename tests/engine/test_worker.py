# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker as its parent meets it: a child process and JSON lines."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.worker import PROTOCOL, settings_from_message

PACKAGE = Path(__file__).resolve().parents[2] / "blender_handmocap"
SECONDS = 60


class Worker:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", "worker"],
            cwd=PACKAGE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, **message: Any) -> None:
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def read(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these types."""
        for line in self.process.stdout:
            message = json.loads(line)
            if not kinds or message["type"] in kinds:
                return message
        raise AssertionError(self.process.stderr.read())


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    try:
        yield worker
    finally:
        worker.process.kill()
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
            pipe.close()


def test_it_says_hello_answers_and_shuts_down(worker: Worker) -> None:
    hello = worker.read()
    assert hello["type"] == "hello" and hello["protocol"] == PROTOCOL
    worker.send(type="info", id=7)
    answer = worker.read()
    assert answer["type"] == "info" and answer["id"] == 7 and answer["facts"]["libraries"]["cv2"]["found"]
    worker.send(type="shutdown")
    assert worker.process.wait(SECONDS) == 0


def test_it_dies_with_its_parent(worker: Worker) -> None:
    worker.read("hello")
    worker.process.stdin.close()
    assert worker.process.wait(SECONDS) in (0, 1)


def test_errors_are_sentences_and_the_worker_goes_on(worker: Worker, tmp_path: Path) -> None:
    worker.read("hello")
    worker.process.stdin.write("this is no JSON\n[1, 2]\n")
    worker.process.stdin.flush()
    assert worker.read()["type"] == "error" and worker.read()["type"] == "error"
    worker.send(type="dance", id=1)
    assert "capture" in worker.read("error")["message"]
    worker.send(type="capture", id=2, source=str(tmp_path / "none.mp4"), out=str(tmp_path / "t.npz"))
    error = worker.read("error")
    assert error["id"] == 2 and "\n" not in error["message"] and "Traceback" not in error["message"]
    worker.send(type="capture", id=3, source="x", out=str(tmp_path / "t.npz"), settings={"smothing": 1})
    assert "smoothing" in worker.read("error")["message"]
    worker.send(type="info", id=4)
    assert worker.read("info")["id"] == 4


def test_settings_travel_as_json() -> None:
    settings = Settings(region=(0.0, 0.0, 0.5, 1.0), ignore=((0.5, 0.0, 1.0, 1.0),), distortion=(0.1, 0, 0, 0, 0))
    sent = json.loads(
        json.dumps({"region": settings.region, "ignore": settings.ignore, "distortion": settings.distortion})
    )
    assert settings_from_message(sent) == settings
    with pytest.raises(BadInputError, match="no setting 'colour'"):
        settings_from_message({"colour": 1})
