# SPDX-License-Identifier: GPL-3.0-or-later
"""A real camera device, where the system has the v4l2loopback module: a program sends pictures, the engine sees."""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path

import cv2
import pytest
from drawn_hands import FOCAL, HEIGHT, WIDTH, write_clip

from blender_handmocap.engine import live
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import load_take

SET_FORMAT = 0xC0D05605
"""VIDIOC_S_FMT"""
OUTPUT = 2
"""V4L2_BUF_TYPE_VIDEO_OUTPUT"""
YUYV = int.from_bytes(b"YUYV", "little")


def loopback() -> Path | None:
    """The first loopback device of this machine."""
    for name in sorted(Path("/sys/class/video4linux").glob("video*/name")):
        if (
            "loopback" in name.read_text(errors="replace").lower()
            or "dummy" in name.read_text(errors="replace").lower()
        ):
            return Path("/dev") / name.parent.name
    return None


def send(device: Path, clip: Path, stop: threading.Event) -> None:
    """Play a clip into the device until its end."""
    import fcntl

    with device.open("wb", buffering=0) as file:
        pixels = struct.pack("<7I", WIDTH, HEIGHT, YUYV, 1, 2 * WIDTH, 2 * WIDTH * HEIGHT, 8)
        fcntl.ioctl(file, SET_FORMAT, bytearray(struct.pack("<II", OUTPUT, 0) + pixels.ljust(200, b"\0")))
        capture = cv2.VideoCapture(str(clip))
        while not stop.is_set():
            found, image = capture.read()
            if not found:
                return
            os.write(file.fileno(), cv2.cvtColor(image, cv2.COLOR_BGR2YUV_YUYV).tobytes())
            time.sleep(1 / 30)


@pytest.mark.skipif(loopback() is None, reason="no v4l2loopback device here")
@pytest.mark.skipif(not hasattr(cv2, "COLOR_BGR2YUV_YUYV"), reason="this OpenCV cannot make YUYV pictures")
def test_a_camera_device_is_followed_and_recorded(tmp_path: Path) -> None:
    device = loopback()
    assert device is not None
    write_clip(tmp_path / "sent.mp4", frames=150)
    stop = threading.Event()
    sender = threading.Thread(target=send, args=(device, tmp_path / "sent.mp4", stop), daemon=True)
    sender.start()
    time.sleep(0.5)
    out = tmp_path / "camera.take.npz"
    number = device.name.removeprefix("video")
    report = live.live(f"camera:{number}", Settings(focal=FOCAL, device="cpu", threads=1), out=out, seconds=3.0)
    stop.set()
    sender.join()
    assert report.frames > 10
    take = load_take(out)
    assert take.meta["source"] == f"camera:{number}"
    assert take.left.present.any()
    assert take.right.present.any()
