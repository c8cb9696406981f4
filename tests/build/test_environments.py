# SPDX-License-Identifier: GPL-3.0-or-later
"""An environment is good only when it is whole; failures are one sentence. With the real pip."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tools import environments, pins
from tools.console import BuildError, Logged

WHEEL = "tinyhand-1.0-py3-none-any.whl"


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for environments, and pins with one small environment; pip sees only a folder beside it."""
    place = tmp_path / ".venv"
    monkeypatch.setattr(environments, "VENV", place)
    monkeypatch.setattr(environments, "LOGS", place / "logs")
    loaded = pins.Pins(
        groups={"tiny": ["tinyhand==1.0"]},
        environments={"tiny": ["tiny"]},
        constraints=["iniconfig==2.3.1"],
        package={},
    )
    monkeypatch.setattr(pins, "load", lambda: loaded)
    (tmp_path / "index").mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    return tmp_path


def put_wheel(folder: Path) -> None:
    with zipfile.ZipFile(folder / WHEEL, "w") as wheel:
        wheel.writestr("tinyhand.py", "FINGERS = 5\n")
        wheel.writestr("tinyhand-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tinyhand\nVersion: 1.0\n")
        wheel.writestr("tinyhand-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("tinyhand-1.0.dist-info/RECORD", "")


def fingers(python: Path) -> str:
    return subprocess.run(
        [python, "-c", "import tinyhand; print(tinyhand.FINGERS)"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_failed_environment_is_not_taken_for_a_good_one_and_is_made_whole_later(tiny: Path) -> None:
    with pytest.raises(BuildError, match=r"could not be installed: .*tinyhand==1\.0.*; run the same command again"):
        environments.ensure("tiny")
    assert environments.python_of("tiny").exists()
    assert not environments.is_ready("tiny")

    put_wheel(tiny / "index")
    (python,) = environments.ensure("tiny")
    assert environments.is_ready("tiny")
    assert fingers(python) == "5"

    # Nothing is made a second time: the environment is used although its source is gone.
    (tiny / "index" / WHEEL).unlink()
    assert environments.ensure("tiny") == [python]


def test_a_changed_pin_or_a_lost_stamp_makes_it_anew(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tiny / ".venv" / "tiny"
    folder.mkdir(parents=True)
    stamp = folder / environments.READY
    stamp.write_text(environments._fingerprint("tiny"), encoding="utf-8")
    assert environments.is_ready("tiny")
    changed = pins.Pins(groups={"tiny": ["tinyhand==2.0"]}, environments={"tiny": ["tiny"]}, constraints=[], package={})
    monkeypatch.setattr(pins, "load", lambda: changed)
    assert not environments.is_ready("tiny")
    monkeypatch.undo()
    stamp.unlink()
    assert not environments.is_ready("tiny")


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("WARNING: Retrying ... NewConnectionError('...')\nERROR: No matching distribution found for bpy", "network"),
        ("WARNING: ... NameResolutionError(...)\nERROR: Could not find a version", "network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk space"),
        ("ERROR: ResolutionImpossible: for help visit", "ResolutionImpossible"),
    ],
)
def test_pip_failures_are_one_sentence(tmp_path: Path, output: str, says: str) -> None:
    log = tmp_path / "pip.log"
    log.write_text(output, encoding="utf-8")
    sentence = environments.pip_failure("The packages for .venv/tiny", Logged(1, log))
    assert says in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "pip.log" in sentence


def test_two_at_once_wait_for_each_other(tiny: Path) -> None:
    put_wheel(tiny / "index")
    held = environments._lock()
    held.__enter__()
    other = subprocess.Popen(
        ["flock", "--nonblock", tiny / ".venv" / "lock", "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert other.wait() == 1
    held.__exit__(None, None, None)
    assert subprocess.run(["flock", "--nonblock", tiny / ".venv" / "lock", "true"], check=False).returncode == 0
