# SPDX-License-Identifier: GPL-3.0-or-later
"""The cameras of this machine by name. OpenCV knows only their numbers, so each system is asked in its own way."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

log = logging.getLogger("handmocap.cameras")

LINUX_DEVICES: Final = Path("/sys/class/video4linux")
_SECONDS: Final = 15.0
_MAC_COMMAND: Final = ("system_profiler", "SPCameraDataType", "-json")
_WINDOWS_COMMAND: Final = (
    "powershell",
    "-NoProfile",
    "-Command",
    "Get-CimInstance Win32_PnPEntity | Where-Object { $_.PNPClass -in 'Camera','Image' } "
    "| ForEach-Object { $_.Name } | ConvertTo-Json",
)


@dataclass(frozen=True)
class CameraName:
    """A camera as OpenCV counts it and as its maker calls it."""

    number: int
    name: str

    def as_json(self) -> dict[str, Any]:
        """Plain values for messages."""
        return asdict(self)


def list_cameras() -> list[CameraName]:
    """Cameras in the order of their numbers; empty when there is none or the system does not say.

    macOS and Windows list cameras in the order in which OpenCV usually, but not always, counts them.
    """
    if sys.platform == "darwin":
        return from_mac(_output(_MAC_COMMAND))
    if sys.platform == "win32":
        return from_windows(_output(_WINDOWS_COMMAND))
    return from_linux(LINUX_DEVICES)


def from_linux(devices: Path) -> list[CameraName]:
    """From the folder of video devices; only a camera's first node gives pictures, the others metadata."""
    found = []
    for device in devices.glob("video*"):
        number = device.name.removeprefix("video")
        try:
            first = (device / "index").read_text(encoding="utf-8").strip() == "0"
            name = (device / "name").read_text(encoding="utf-8").strip()
        except OSError:
            # Unplugged while it was read.
            continue
        if first and number.isdigit():
            found.append(CameraName(int(number), name.partition(":")[0] or f"Camera {number}"))
    return sorted(found, key=lambda camera: camera.number)


def from_mac(text: str) -> list[CameraName]:
    """From what system_profiler says."""
    content = _read(text)
    entries = content.get("SPCameraDataType", []) if isinstance(content, dict) else []
    return [CameraName(number, str(entry.get("_name", "Camera"))) for number, entry in enumerate(entries)]


def from_windows(text: str) -> list[CameraName]:
    """From the names PowerShell lists: a list, or one text when there is one camera."""
    content = _read(text)
    names = [content] if isinstance(content, str) else content if isinstance(content, list) else []
    return [CameraName(number, str(name)) for number, name in enumerate(names)]


def _read(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else None
    except ValueError:
        log.warning("the system's list of cameras could not be read: %s", text[:200])
        return None


def _output(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.TimeoutExpired):
        log.warning("the system did not list its cameras", exc_info=True)
        return ""
    return done.stdout
