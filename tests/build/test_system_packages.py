# SPDX-License-Identifier: GPL-3.0-or-later
"""Missing system libraries are found by the real linker and named with the command that brings them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tools import system_packages
from tools.console import BuildError

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux leaves libraries to the user")


@pytest.fixture
def crippled(tmp_path: Path) -> Path:
    """OpenCV's module, made to ask for a library of Blender's that this machine surely lacks."""
    cv2 = pytest.importorskip("cv2")
    original = next(Path(cv2.__file__).parent.glob("cv2*.so"))
    copy = tmp_path / "crippled.so"
    data = original.read_bytes()
    assert b"libdl.so.2\0" in data
    copy.write_bytes(data.replace(b"libdl.so.2\0", b"libQQ.so.9\0"))
    return copy


def test_the_linker_names_what_is_missing(crippled: Path) -> None:
    assert "libQQ.so.9" in system_packages.not_found(crippled)
    assert system_packages.not_found(Path(sys.executable)) == []


def test_blenders_own_module_is_complete_here() -> None:
    pytest.importorskip("bpy")
    assert system_packages.missing_libraries(Path(sys.executable)) == []


def test_a_user_who_is_not_root_gets_the_exact_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if shutil.which("apt-get") is None:
        pytest.skip("the command is Debian's")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(system_packages, "missing_libraries", lambda _python: ["libSM.so.6", "libX11.so.6"])
    with pytest.raises(BuildError) as failure:
        system_packages.ensure_blender_libraries(Path(sys.executable), tmp_path)
    assert str(failure.value) == (
        "Blender's module misses system libraries; run `sudo apt-get install -y --no-install-recommends "
        "libsm6 libx11-6` and then the same command again."
    )
    assert not (tmp_path / system_packages.CHECKED).exists()


def test_a_library_of_no_known_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(system_packages, "missing_libraries", lambda _python: ["libQQ.so.9"])
    with pytest.raises(BuildError, match=r"missing: libQQ\.so\.9; install the packages that hold them\."):
        system_packages.ensure_blender_libraries(Path(sys.executable), tmp_path)
