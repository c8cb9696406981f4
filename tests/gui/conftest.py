# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Blender window on a display without a screen, with a real mouse pointer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tools import real_blender
from tools.console import OUT

SCREEN = (1600, 900)
PATIENCE_SECONDS = 180.0
SECONDS_TO_START = 900.0
"""a first start installs 80 MB of wheels, perhaps on a busy machine"""
TICKS_TO_NOTICE = 4
TICKS_TO_DRAW = 40
ROW = 14
"""pixels; a button is higher"""
STARTUP = Path(__file__).parent / "inside_window.py"


@dataclass
class Window:
    """Blender's window as the test sees it: its own telling, and the display it is on."""

    display: str
    state_file: Path
    process: subprocess.Popen[bytes]
    log: Path
    within: Path
    """the folder of `state_file` as Blender names it"""

    def state(self) -> dict[str, Any]:
        """What Blender last told."""
        try:
            found: dict[str, Any] = json.loads(self.state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found

    def wait(
        self, what: str, until: Callable[[dict[str, Any]], bool], seconds: float = PATIENCE_SECONDS
    ) -> dict[str, Any]:
        """The first state for which `until` holds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                pytest.fail(f"Blender ended while waiting for {what}:\n{self.log.read_text(errors='replace')}")
            state = self.state()
            if state and until(state):
                return state
            time.sleep(0.1)
        pytest.fail(f"no {what} in time; Blender told {self.state()}\n{self.log.read_text(errors='replace')}")

    def ask(self, function: str, *arguments: Any) -> None:
        """Let a function of inside_window.py run in Blender, and wait until it has."""
        asked = self.state().get("asked", 0)
        request = self.state_file.with_name("request.json")
        temporary = request.with_suffix(".tmp")
        temporary.write_text(json.dumps({"number": asked + 1, "function": function, "arguments": arguments}))
        temporary.replace(request)
        self.wait(f"{function} to be done", lambda state: state.get("asked", 0) > asked)

    def worked(self) -> float:
        """Seconds of processor time that Blender and its engines have used, however busy the machine is."""
        ticks, family = 0, {self.process.pid}
        for path in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
            try:
                after_name = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(path.parent.name) in family or int(after_name[1]) in family:
                family.add(int(path.parent.name))
                # Its own time in and outside the kernel, and that of children that have ended.
                ticks += sum(int(value) for value in after_name[11:15])
        return ticks / os.sysconf("SC_CLK_TCK")

    def find(self, command: str) -> None:
        """Run the pointer down the sidebar until it is over the button of a command."""
        x, y, width, height = self.state()["sidebar"]
        for down in range(2 * ROW, height, ROW):
            self.point(x + width // 3, y + height - down)
            if self.state()["hovered"].startswith(command):
                return
        pytest.fail(f"there is no button for {command} in the sidebar; see {self.screenshot('no_button.png')}")

    def key(self, name: str) -> None:
        """Press a key over the 3D View, as xdotool names it."""
        x, y, _, height = self.state()["sidebar"]
        self.point(x - 200, y + height // 2)
        self._xdotool("key", name)

    def inside(self, path: Path) -> str:
        """A file brought to where Blender can read it, as Blender names it."""
        shutil.copy(path, self.state_file.parent / path.name)
        return str(self.within / path.name)

    def point(self, x: float, y: float) -> None:
        """Move the pointer to window coordinates as Blender counts them, from the lower left."""
        left, bottom, _, _ = self.state()["window"]
        self._xdotool("mousemove", str(round(left + x)), str(round(SCREEN[1] - bottom - y)))
        time.sleep(0.1)
        # Blender wakes up a button only when the pointer moves over it.
        self._xdotool("mousemove_relative", "1", "0")
        # However busy the machine: Blender has handled the move and told of it.
        seen = self.state()["ticks"] + TICKS_TO_NOTICE
        self.wait("an answer to the pointer", lambda state: state["ticks"] >= seen)

    def press(self) -> None:
        """Press and release the left button as slowly as a hand does."""
        self._xdotool("mousedown", "1")
        time.sleep(0.15)
        self._xdotool("mouseup", "1")

    def screenshot(self, name: str) -> Path:
        """The display as a picture in out/gui/, once Blender has had time to draw what it did last."""
        drawn = self.state()["ticks"] + TICKS_TO_DRAW
        self.wait("a redraw", lambda state: state["ticks"] >= drawn)
        path = OUT / "gui" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["import", "-window", "root", path], env=self._variables(), check=True)
        return path

    def _xdotool(self, *arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=self._variables(), check=True)

    def _variables(self) -> dict[str, str]:
        return os.environ | {"DISPLAY": self.display}


@pytest.fixture(scope="session")
def display() -> Iterator[str]:
    """A display of our own."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    reading, writing = os.pipe()
    size = f"{SCREEN[0]}x{SCREEN[1]}x24"
    command = [
        "Xvfb",
        "-displayfd",
        str(writing),
        "-screen",
        "0",
        size,
        "+extension",
        "GLX",
        "+render",
        "-noreset",
        "-ac",
    ]
    server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as number:
        name = f":{number.readline().strip()}"
    yield name
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def window(display: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """Blender's window, new for each file of tests, with our package installed and our tab open."""
    package = os.environ.get("HANDMOCAP_PACKAGE")
    root, own = os.environ.get(real_blender.ROOT_VARIABLE), os.environ.get(real_blender.PATH_VARIABLE)
    if not package or not (root or own):
        pytest.skip("`build.py test --all` sets up a Blender with a window")
    outside = Path(tempfile.mkdtemp(dir=Path(root) / "tmp" if root else None))
    within = Path("/tmp") / outside.name if root else outside
    for path in (STARTUP, Path(package)):
        shutil.copy(path, outside / path.name)
    variables = {"DISPLAY": display, "LIBGL_ALWAYS_SOFTWARE": "1", "BLENDER_USER_RESOURCES": str(within / "blender")}
    blender = [*(f"{key}={value}" for key, value in variables.items()), own or "blender", "--factory-startup"]
    blender += [
        "--no-window-focus",
        "--window-geometry",
        "0",
        "0",
        "1500",
        "860",
        "--python",
        str(within / STARTUP.name),
    ]
    blender += ["--", str(within / Path(package).name), str(within / "state.json")]
    command = real_blender.inside(Path(root), ["env", *blender]) if root else ["env", *blender]
    log = tmp_path_factory.mktemp("window") / "blender.log"
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    found = Window(display, outside / "state.json", process, log, within)
    state = found.wait("window", lambda state: state.get("tab") or len(state["problems"]) > 9, SECONDS_TO_START)
    assert state.get("tab") == "HandMocap", state["problems"]
    yield found
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    shutil.rmtree(outside, ignore_errors=True)
