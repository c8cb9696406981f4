# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operating system itself must have: found, and installed where build.py may."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .console import LOGS, BuildError, call_logged, child_environment, say, shown

CHECKED: Final = "handmocap-libraries"
"""A file in an environment: its Blender module found all its libraries."""

DEBIAN_PACKAGES: Final = {
    "libX11.so.6": "libx11-6",
    "libXext.so.6": "libxext6",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libXrender.so.1": "libxrender1",
    "libXt.so.6": "libxt6",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libICE.so.6": "libice6",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libGLX.so.0": "libglx0",
    "libOpenGL.so.0": "libopengl0",
    "libEGL.so.1": "libegl1",
    "libgomp.so.1": "libgomp1",
    "libdl.so.2": "libc6",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-server.so.0": "libwayland-server0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libwayland-egl.so.1": "libwayland-egl1",
    "libdrm.so.2": "libdrm2",
    "libuuid.so.1": "libuuid1",
    "libz.so.1": "zlib1g",
}


def ensure_venv_module() -> None:
    """Debian keeps what `python -m venv` needs in a package of its own."""
    if importlib.util.find_spec("ensurepip") is not None:
        return
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    install([f"python{version}-venv"], "Python's venv module is missing")
    importlib.invalidate_caches()
    if importlib.util.find_spec("ensurepip") is None:
        raise BuildError(f"Python {version} still has no venv module; install a complete Python {version}.")


def ensure_blender_libraries(python: Path, environment: Path) -> None:
    """Every shared library that Blender's module links to is there, or is installed, or named."""
    if not sys.platform.startswith("linux") or (environment / CHECKED).exists():
        return
    missing = missing_libraries(python)
    if missing:
        unknown = [name for name in missing if name not in DEBIAN_PACKAGES]
        if unknown:
            raise BuildError(
                f"Blender's module needs system libraries that are missing: {', '.join(missing)}; "
                "install the packages that hold them."
            )
        install(sorted({DEBIAN_PACKAGES[name] for name in missing}), "Blender's module misses system libraries")
        missing = missing_libraries(python)
    if missing:
        raise BuildError(f"Blender's module still misses {', '.join(missing)}; install the packages that hold them.")
    (environment / CHECKED).write_text("", encoding="utf-8")


def missing_libraries(python: Path) -> list[str]:
    """Names of the libraries that the dynamic linker does not find for bpy."""
    where = "import importlib.util; print(importlib.util.find_spec('bpy').origin)"
    found = subprocess.run(
        [python, "-c", where], env=child_environment(), capture_output=True, text=True, check=True
    ).stdout.strip()
    return not_found(Path(found))


def not_found(library: Path) -> list[str]:
    """Names of the libraries a shared library links to, itself or through others, and that are not there."""
    listed = subprocess.run(["ldd", library], env=child_environment(), capture_output=True, text=True, check=False)
    lines = (line.split() for line in listed.stdout.splitlines())
    return sorted({words[0] for words in lines if words[-2:] == ["not", "found"]})


def install(packages: Sequence[str], reason: str) -> None:
    """Install Debian packages when root; else one sentence with the command."""
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    written = " ".join(command)
    if shutil.which("apt-get") is None:
        raise BuildError(f"{reason}; install what Debian calls {' '.join(packages)} and run the same command again.")
    if os.geteuid() != 0:
        raise BuildError(f"{reason}; run `sudo {written}` and then the same command again.")
    say(f"{reason}; installing {' '.join(packages)}.")
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    log = LOGS / "apt.log"
    call_logged(["apt-get", "update"], log, changes=quiet)
    done = call_logged(command, log, changes=quiet)
    if done.returncode != 0:
        raise BuildError(f"{reason}, and `{written}` failed; its output is in {shown(done.log)}.")
