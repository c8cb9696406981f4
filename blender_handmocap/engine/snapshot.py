# SPDX-License-Identifier: GPL-3.0-or-later
"""One picture into a take of one frame: what poses a hand without a capture."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from .camera import choose_camera
from .errors import BadInputError, NothingFoundError
from .footage import Footage, open_footage
from .footage_stream import Frame
from .hand.hands import free_hands
from .hand.spheres import fitted_spheres
from .overlay import draw_points
from .pipeline import PreviewFile, solved
from .see.clip import Seer, take_from
from .see.records import Records
from .settings import Settings
from .take import Take

_SETTLING_SECONDS: Final = 0.5
"""A camera that has just been switched on first finds its exposure."""


def capture_snapshot(source: str, settings: Settings, *, frame: int | None = None, picture: Path | None = None) -> Take:
    """The hands of one picture: a still, frame number `frame` of a movie or folder, or what a camera sees now.

    `picture` gets a small JPEG of what was seen, with the points drawn.
    """
    chosen = replace(settings, mode="stills", start="", end="", smoothing=0.0)
    footage = open_footage(source, mirrored=settings.mirrored)
    one = _newest(footage) if footage.kind == "camera" else _numbered(footage, frame)
    camera = choose_camera(footage.width, footage.height, chosen, film_focal=footage.film_focal)
    seer = Seer(camera, chosen)
    hands = seer.step(one.image, time=0.0)
    if picture is not None:
        PreviewFile(picture, 0.0).write(draw_points(one.image, [hand.points2d for _, hand in hands]))
    records = Records()
    records.append(one.index, one.time, hands)
    take = take_from(records.arrays(), footage, camera, chosen, seer=seer)
    if not (take.left.present.any() or take.right.present.any()):
        raise NothingFoundError(
            "No hand was found in the picture; hold the whole hand into it, well lit, and try again."
        )
    return solved(take, chosen)


def warm_up() -> None:
    """Load and prepare all that the first picture would have to wait for."""
    chosen = Settings(mode="stills")
    side = 256
    Seer(choose_camera(side, side, chosen), chosen).step(np.zeros((side, side, 3), np.uint8), time=0.0)
    for model in free_hands().models.values():
        fitted_spheres(model)


def _newest(footage: Footage) -> Frame:
    began = time.monotonic()
    for frame in footage.frames():
        if time.monotonic() - began >= _SETTLING_SECONDS:
            return frame
    raise BadInputError(f"{footage.source} sends no pictures; connect it again, or choose another camera.")


def _numbered(footage: Footage, number: int | None) -> Frame:
    start = "" if number is None else str(max(0, number))
    return next(iter(footage.frames(start, start)))
