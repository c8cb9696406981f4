# SPDX-License-Identifier: GPL-3.0-or-later
"""Every choice of a capture, frozen; the command line and Blender's properties both end here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Hands = Literal["auto", "both", "left", "right"]
Mode = Literal["best", "live", "stills"]
Device = Literal["auto", "cpu", "cuda"]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 as shares of the displayed picture, 0..1"""


@dataclass(frozen=True)
class Settings:
    """How to capture. Defaults are what a user gets without touching anything."""

    hands: Hands = "auto"
    mode: Mode = "best"
    start: str = ""
    """first frame, inclusive: a frame number, or seconds as `1.5s`; empty: the first there is"""
    end: str = ""
    """last frame, inclusive; empty: the last there is"""
    mirrored: bool = False
    """the picture is a mirror image, as many webcams record it"""
    region: Box | None = None
    """only hands inside this box belong to the performer"""
    ignore: tuple[Box, ...] = ()
    """hands inside these boxes are somebody else's"""
    fov: float | None = None
    """horizontal field of view, degrees"""
    focal: float | None = None
    """focal length, pixels of the displayed picture's width"""
    distortion: tuple[float, ...] = ()
    """lens distortion k1 k2 p1 p2 k3"""
    palm_mm: float | None = None
    """the performer's palm length, wrist joint to middle knuckle, millimetres"""
    calibrate: bool = False
    """estimate bone proportions from the clip, kept only when held-out frames agree better"""
    smoothing: float = 1.0
    """strength of the polish; 0 leaves the solved result as it is"""
    device: Device = "auto"
    threads: int = 0
    """threads a network may use; 0: chosen from the machine"""
