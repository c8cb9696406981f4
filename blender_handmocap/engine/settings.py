# SPDX-License-Identifier: GPL-3.0-or-later
"""Every choice of a capture, frozen; the command line and Blender's properties both end here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from .errors import BadInputError

BETA_COUNT: Final = 10
"""shape components of a hand"""

Hands = Literal["auto", "both", "left", "right"]
Mode = Literal["best", "live", "stills"]
Device = Literal["auto", "cpu", "cuda"]
Eyes = Literal["both", "detnet", "mediapipe"]
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
    camera_path: str = ""
    """file with the path of a camera that moves (see `camera.load_camera_path`); empty: the camera stands still"""
    palm_mm: float | None = None
    """the performer's palm length, wrist joint to middle knuckle, millimetres"""
    betas: tuple[float, ...] = ()
    """the performer's measured shape, ten numbers; empty: the mean hand"""
    calibrate: bool = False
    """estimate bone proportions from the clip, kept only when held-out frames agree better"""
    mano_right: str = ""
    """the user's own MANO_RIGHT file to solve with; empty, as the left one: the free hand"""
    mano_left: str = ""
    """MANO_LEFT; one of the two is enough"""
    smoothing: float = 1.0
    """strength of the polish; 0 leaves the solved result as it is"""
    eyes: Eyes = "both"
    """who sees: MediaPipe hands that it is sure of and both the others; both every hand; MediaPipe alone"""
    pair_eyes: bool = True
    """look at both hands at once where they are near each other"""
    maps: bool = False
    """... and at every cell of that crop: slower, and no better yet"""
    device: Device = "auto"
    threads: int = 0
    """threads a network may use; 0: chosen from the machine"""

    def __post_init__(self) -> None:
        """Refuse values that cannot be meant, each in one sentence."""
        if self.fov is not None and not 1.0 <= self.fov <= 175.0:
            raise BadInputError(f"A field of view of {self.fov:g} degrees is not possible; give 1 to 175.")
        if self.focal is not None and not self.focal > 0:
            raise BadInputError(f"A focal length of {self.focal:g} pixels is not possible; give a positive number.")
        if self.palm_mm is not None and not 30.0 <= self.palm_mm <= 150.0:
            raise BadInputError(
                f"A palm of {self.palm_mm:g} mm is not a human hand's; measure from the wrist crease to the "
                "knuckle of the middle finger in millimetres (60 to 115)."
            )
        if self.betas and (len(self.betas) != BETA_COUNT or not all(abs(value) <= 10.0 for value in self.betas)):
            raise BadInputError(
                f"A hand's shape is {BETA_COUNT} numbers from -10 to 10; measure the performer again, or leave it out."
            )
        if not 0.0 <= self.smoothing <= 10.0:
            raise BadInputError(f"A smoothing of {self.smoothing:g} is out of range; give 0 to 10.")


def numbers_from_text(text: str, count: int) -> tuple[float, ...]:
    """`"1,2,3"` -> (1.0, 2.0, 3.0); anything but `count` numbers is refused."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(abs(value) < 1e6 for value in values):
        raise BadInputError(
            f"{text!r} is not {count} numbers with commas between them; write for example {','.join(['0.1'] * count)}."
        )
    return values


def box_from_text(text: str) -> Box:
    """`"x0,y0,x1,y1"` as shares of the picture -> a box with x0 < x1 and y0 < y1."""
    x0, y0, x1, y1 = numbers_from_text(text, 4)
    if not (0.0 <= x0 < x1 <= 1.0 and 0.0 <= y0 < y1 <= 1.0):
        raise BadInputError(
            f"The box {text} is not inside the picture; give shares from 0 to 1, left,top,right,bottom."
        )
    return x0, y0, x1, y1
