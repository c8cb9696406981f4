# SPDX-License-Identifier: GPL-3.0-or-later
"""A Blender with a window for `build.py test --all`: the bpy module can never open one.

On Debian, as root, Blender of the next Debian goes into a folder of its own; nothing is mounted
outside a private mount namespace, so the folder can be deleted like any other.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .console import LOGS, VENV, BuildError, call_logged, say, shown
from .system_packages import install

SUITE: Final = "trixie"
FOLDER: Final = VENV / "real-blender"
READY: Final = FOLDER / "handmocap-ready"
PATH_VARIABLE: Final = "HANDMOCAP_BLENDER"
"""A Blender of the user's own to test with."""
ROOT_VARIABLE: Final = "HANDMOCAP_BLENDER_ROOT"
"""The folder above, for the tests."""

TOOLS: Final = {"debootstrap": "debootstrap", "Xvfb": "xvfb", "xdotool": "xdotool", "import": "imagemagick"}
INSIDE: Final = (
    "blender",
    "python3-numpy",
    "libgl1",
    "libgl1-mesa-dri",
    "libegl1",
    "libegl-mesa0",
    "libglx-mesa0",
    "fonts-dejavu-core",
)


def ensure_real_blender() -> dict[str, str]:
    """Variables that tell the tests where a Blender with a window is; empty where there can be none."""
    if os.environ.get(PATH_VARIABLE):
        return {}
    if not sys.platform.startswith("linux") or os.geteuid() != 0 or shutil.which("apt-get") is None:
        say(f"No window is tested: name a Blender in {PATH_VARIABLE}, or run as root on Debian.")
        return {}
    missing = [package for program, package in TOOLS.items() if shutil.which(program) is None]
    if missing:
        install(missing, "The window test needs a display without a screen")
    if not READY.exists():
        _make()
    return {ROOT_VARIABLE: str(FOLDER)}


def _make() -> None:
    say(f"Setting up a Blender with a window in {shown(FOLDER)} (about three minutes, 1.5 GB).")
    shutil.rmtree(FOLDER, ignore_errors=True)
    _run(["debootstrap", "--variant=minbase", "--include=ca-certificates", SUITE, FOLDER])
    # The network inside is the network outside.
    for name in ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt"):
        if (Path("/") / name).exists():
            shutil.copy(Path("/") / name, FOLDER / name)
    _run(inside(FOLDER, ["apt-get", "update"]))
    _run(inside(FOLDER, ["apt-get", "install", "-y", "--no-install-recommends", *INSIDE]))
    _run(inside(FOLDER, ["apt-get", "clean"]))
    READY.write_text("", encoding="utf-8")


def inside(root: Path, command: Sequence[str]) -> list[str | Path]:
    """The command line that runs a program inside the folder, with its own mounts that end with it."""
    mounts = """
        mkdir -p /tmp/.X11-unix "$0/tmp/.X11-unix"
        mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
        mount --bind /tmp/.X11-unix "$0/tmp/.X11-unix" &&
        exec chroot "$0" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive "$@"
    """
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", mounts, root, *command]


def _run(command: Sequence[str | Path]) -> None:
    done = call_logged(command, LOGS / "real-blender.log", seconds=1800)
    if done.returncode != 0:
        raise BuildError(f"A Blender with a window could not be set up; the output is in {shown(done.log)}.")
