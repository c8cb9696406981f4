# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer's hand from one photo: the flat hand, and something beside it whose size is known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..camera import Camera, choose_camera
from ..errors import BadInputError, NothingFoundError
from ..footage import open_footage
from ..hand.free import free_hand
from ..hand.names import Side
from ..performer import Performer
from ..see.clip import Seer
from ..see.observation import Observation
from ..settings import Settings
from .flat_hand import FlatHand, Plane, lay_flat
from .outline import Outline, find_outline
from .rectangle import find_rectangle
from .references import REFERENCES, Reference

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_WORST: Final = 0.0045
"""metres between the outlines from which the result is not to be trusted"""
_STEEPEST: Final = np.cos(np.radians(40.0))
_PICTURE_SIDE: Final = 640
_RECTANGLE_COLOUR: Final = (40, 200, 255)
_MEASURED_COLOUR: Final = (60, 255, 120)
_FITTED_COLOUR: Final = (255, 90, 60)


@dataclass(frozen=True)
class Measured:
    """What a photo says about a hand."""

    side: Side
    betas: tuple[float, ...]
    palm_mm: float
    bones_mm: dict[str, tuple[float, ...]]
    """for each finger its four bones from the wrist outwards"""
    error_mm: float
    """between the hand's outline and the fitted hand's"""
    picture: Image
    """the photo with rectangle, outline (green) and fitted hand (red), RGB"""

    def performer(self, name: str) -> Performer:
        """The hand under a name."""
        return Performer(name, self.palm_mm, self.betas)

    def sentence(self) -> str:
        """One sentence for people."""
        middle = sum(self.bones_mm["middle"][1:])
        return (
            f"The palm is {self.palm_mm:.1f} mm and the middle finger {middle:.1f} mm long; "
            f"the outlines agree to {self.error_mm:.1f} mm."
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values for messages and files."""
        return {
            "side": self.side,
            "palm_mm": round(self.palm_mm, 2),
            "betas": [round(value, 4) for value in self.betas],
            "bones_mm": {finger: [round(v, 2) for v in values] for finger, values in self.bones_mm.items()},
            "error_mm": round(self.error_mm, 2),
        }


def measure_photo(source: str | Path, reference: str, settings: Settings | None = None) -> Measured:
    """Measure the hand in a photo beside the reference of this name (see `references`)."""
    if reference not in REFERENCES:
        raise BadInputError(f"There is no reference {reference!r}; there are {', '.join(REFERENCES)}.")
    choices = settings or Settings(mode="stills")
    footage = open_footage(source)
    image = next(iter(footage.frames())).image
    camera = choose_camera(footage.width, footage.height, choices, film_focal=footage.film_focal)
    return measure(image, REFERENCES[reference], camera, settings=choices)


def measure(image: Image, reference: Reference, camera: Camera, *, settings: Settings | None = None) -> Measured:
    """The same for an RGB picture (H, W, 3) and its camera; a guessed lens is good enough from above."""
    hand = _only_hand(image, camera, settings or Settings(mode="stills"))
    corners = find_rectangle(image, reference, hand.points2d)
    plane = plane_of(corners, reference, camera)
    outline = find_outline(image, hand.points2d, sheet=corners if reference.under_hand else None)
    found = lay_flat(plane, outline, hand.points2d)
    if found.error > _WORST:
        raise BadInputError(
            f"The hand's outline could not be followed (off by {found.error * 1e3:.1f} mm); lay the hand flat with "
            "spread fingers, the sleeve back, without hard shadows, and photograph it again from above."
        )
    return Measured(
        side=found.side,
        betas=tuple(float(value) for value in found.betas),
        palm_mm=found.size * 1e3,
        bones_mm={
            finger: tuple(float(v) * 1e3 for v in found.bones[4 * i : 4 * i + 4]) for i, finger in enumerate(_ORDER)
        },
        error_mm=found.error * 1e3,
        picture=_drawn(image, corners, outline, found),
    )


_ORDER: Final = ("thumb", "index", "middle", "ring", "pinky")
"""fingers as keypoints are counted"""


def plane_of(corners: Array, reference: Reference, camera: Camera) -> Plane:
    """Where a rectangle with these corners (4, 2), the first two on a longer side, lies before the camera."""
    w, h = reference.width / 2.0, reference.height / 2.0
    known = np.array([[-w, -h, 0.0], [w, -h, 0.0], [w, h, 0.0], [-w, h, 0.0]])
    solved, turn, place = cv2.solvePnP(known, corners, camera.K, camera.dist, flags=cv2.SOLVEPNP_IPPE)
    rotation, _ = cv2.Rodrigues(turn)
    if not solved or not np.isfinite(rotation).all() or rotation[2, 2] < _STEEPEST:
        raise BadInputError(f"The {reference.title} is seen too much from the side; photograph it from above.")
    return Plane(
        camera=camera, rotation=np.asarray(rotation, np.float64), translation=np.asarray(place, np.float64).ravel()
    )


def _only_hand(image: Image, camera: Camera, settings: Settings) -> Observation:
    seen = [observation for _, observation in Seer(camera, settings).step(image, time=0.0)]
    if not seen:
        raise NothingFoundError(
            "No hand was found in the photo; lay the whole hand flat, with spread fingers, and try again."
        )
    return max(seen, key=lambda observation: observation.confidence)


def _drawn(image: Image, corners: Array, outline: Outline, found: FlatHand) -> Image:
    """The photo, smaller, with what was measured and what was fitted."""
    scale = min(1.0, _PICTURE_SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1.0 else image.copy()
    canvas = np.ascontiguousarray(small)
    cv2.polylines(canvas, [np.round(corners * scale).astype(np.int32)], True, _RECTANGLE_COLOUR, 2, cv2.LINE_AA)
    lines = [np.round(line * scale).astype(np.int32) for line in outline.contours()]
    cv2.polylines(canvas, lines, True, _MEASURED_COLOUR, 1, cv2.LINE_AA)
    mask = np.zeros(canvas.shape[:2], np.uint8)
    for triangle in np.round(found.vertices * scale).astype(np.int32)[free_hand(found.side).triangles]:
        cv2.fillConvexPoly(mask, triangle, (1,))
    fitted, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, fitted, -1, _FITTED_COLOUR, 1, cv2.LINE_AA)
    for point in found.keypoints * scale:
        cv2.circle(canvas, tuple(np.round(point).astype(int).tolist()), 2, _FITTED_COLOUR, -1, cv2.LINE_AA)
    return np.asarray(canvas, np.uint8)
