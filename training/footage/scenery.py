# SPDX-License-Identifier: GPL-3.0-or-later
"""Backdrops: painted ones, photographs, views into all-round pictures; and the light those places give."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import cache, pictures, pixels, rooms, split
from .scene import AMBIENT_DIRECTIONS, Backdrop

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]

PAINTED_COUNT: Final = 24
"""Seeds of each kind of painted backdrop that are used; more would bake too."""
_VERSION: Final = 1
_REFERENCE: Final = 224.0
_LINEAR: Final = (np.arange(256) / 255.0).astype(np.float32) ** np.float32(2.2)


@lru_cache(maxsize=2)
def keys(*, test: bool) -> dict[str, tuple[str, ...]]:
    """Backdrops there are on one side of the split, by source: painted, photo (those fetched), place."""
    painted = tuple(f"{kind}:{seed}" for kind in sorted(rooms.PAINTERS) for seed in range(PAINTED_COUNT))
    photos = tuple(f"photo:{name}" for name in pictures.fetched())
    places = tuple(f"place:{name}" for name in pictures.places())
    sources = {"painted": painted, "photo": photos, "place": places}
    return {
        source: tuple(key for key in names if split.is_test("background", key) == test)
        for source, names in sources.items()
    }


@lru_cache(maxsize=1024)
def source(key: str) -> NDArray[np.uint8]:
    """RGB (h, w, 3) sRGB of a key other than plain."""
    kind, _, name = key.partition(":")
    if kind == "photo":
        return cache.array(f"photo-{name}", lambda: pictures.photograph(name))  # type: ignore[return-value]
    if kind == "place":
        return cache.array(f"place-{name}", lambda: pictures.place(name))  # type: ignore[return-value]
    made = cache.array(f"painted-{_VERSION}-{kind}-{name}", lambda: rooms.painted(kind, int(name)))
    return made  # type: ignore[return-value]


def backdrop(choice: Backdrop, width: int, height: int) -> FloatArray:
    """What stands behind everything, linear RGB (height, width, 3)."""
    kind, _, name = choice.key.partition(":")
    if kind == "plain":
        colour = np.random.default_rng(int(name)).uniform(0.05, 0.8, 3) if name != "0" else np.full(3, 0.3)
        return np.broadcast_to(np.float32(colour * choice.gain), (height, width, 3)).copy()
    image = source(choice.key)
    view = _looked_round(image, choice, width, height) if kind == "place" else _cut(image, choice, width, height)
    linear = cv2.LUT(
        view, np.ascontiguousarray(np.broadcast_to(_LINEAR[:, None, None], (256, 1, 3))).reshape(1, 256, 3)
    )
    if choice.blur > 0:
        linear = _blurred(linear, choice.blur * max(width, height) / _REFERENCE)
    pixels.scale(linear, np.array(choice.gain, np.float32))
    return linear


def _blurred(linear: FloatArray, deviation: float) -> FloatArray:
    """Gaussian blur; wide ones on a smaller picture."""
    step = int(deviation // 2.5)
    if step < 2:
        return cv2.GaussianBlur(linear, (0, 0), deviation)
    height, width = linear.shape[:2]
    small = cv2.resize(linear, (max(width // step, 8), max(height // step, 8)), interpolation=cv2.INTER_AREA)
    return cv2.resize(
        cv2.GaussianBlur(small, (0, 0), deviation / step), (width, height), interpolation=cv2.INTER_LINEAR
    )


def _cut(image: NDArray[np.uint8], choice: Backdrop, width: int, height: int) -> NDArray[np.uint8]:
    """A turned and scaled part of a picture; beyond its edge it goes on mirrored."""
    rows, columns = image.shape[:2]
    step = choice.zoom * min(rows, columns) / max(width, height)
    cos, sin = step * np.cos(choice.angle), step * np.sin(choice.angle)
    turn = np.array([[cos, -sin], [sin, cos]]) * ([-1.0, 1.0] if choice.flip else [1.0, 1.0])
    centre = np.array([choice.centre[0] * columns, choice.centre[1] * rows])
    matrix = np.concatenate([turn, (centre - turn @ [width / 2, height / 2])[:, None]], axis=1)
    if step > 1.6:
        # Shrink the source first, lest fine detail flicker.
        shrink = 1.0 / step
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        matrix *= shrink
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT_101)


def _looked_round(image: NDArray[np.uint8], choice: Backdrop, width: int, height: int) -> NDArray[np.uint8]:
    """A view into an all-round picture: centre is the direction, zoom the tangent of half the view."""
    scale = 2.0 * choice.zoom / max(width, height)
    # The map is smooth, so every fourth pixel of it is enough.
    x = (np.arange(0, width + 4, 4) - width / 2) * scale
    y = (np.arange(0, height + 4, 4) - height / 2) * scale
    rays = np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), axis=-1) @ place_rotation(choice).T
    rows, columns = image.shape[:2]
    turn = np.arctan2(rays[..., 0], rays[..., 2])
    # Unwrapped about the middle, so that interpolation never crosses the picture's seam.
    middle = turn[turn.shape[0] // 2, turn.shape[1] // 2]
    turn = middle + (turn - middle + np.pi) % (2 * np.pi) - np.pi
    rise = np.arctan2(rays[..., 1], np.hypot(rays[..., 0], rays[..., 2]))
    maps = np.stack([turn / (2 * np.pi) * columns, (rise / np.pi + 0.5) * rows], axis=-1).astype(np.float32)
    full = (maps.shape[1] * 4, maps.shape[0] * 4)
    grown = cv2.resize(maps, full, interpolation=cv2.INTER_LINEAR)[:height, :width]
    return cv2.remap(image, grown[..., 0], grown[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def place_rotation(choice: Backdrop) -> Array:
    """(3, 3) camera axes to the axes of the all-round picture: x right, y down, z its left edge's direction."""
    turn, rise = choice.centre[0] * 2 * np.pi, (choice.centre[1] - 0.5) * np.pi
    about_x = np.array([[1, 0, 0], [0, np.cos(rise), np.sin(rise)], [0, -np.sin(rise), np.cos(rise)]])
    about_y = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    roll = np.array(
        [[np.cos(choice.angle), -np.sin(choice.angle), 0], [np.sin(choice.angle), np.cos(choice.angle), 0], [0, 0, 1]]
    )
    return about_y @ about_x @ roll


def place_lights(choice: Backdrop) -> tuple[Array, Array, Array]:
    """The light of a place seen as `choice` sees it.

    Returns the ambient light (12, 3) from AMBIENT_DIRECTIONS without the sun or lamp, and the
    direction (3,) and colour (3,) of that: the brightest patch, as one distant light.
    """
    light = pictures.place_light(choice.key.partition(":")[2]).astype(np.float64)
    rows, columns = light.shape[:2]
    turn = (np.arange(columns) + 0.5) / columns * 2 * np.pi
    rise = ((np.arange(rows) + 0.5) / rows - 0.5) * np.pi
    directions = np.stack(
        [
            np.outer(np.cos(rise), np.sin(turn)),
            np.outer(np.sin(rise), np.ones(columns)),
            np.outer(np.cos(rise), np.cos(turn)),
        ],
        axis=-1,
    ) @ place_rotation(choice)
    area = np.repeat(np.cos(rise)[:, None], columns, axis=1) * (2 * np.pi / columns) * (np.pi / rows)
    luminance = light.mean(2)
    peak = np.unravel_index(int(luminance.argmax()), luminance.shape)
    near = (directions @ directions[peak]) > np.cos(np.deg2rad(14.0))
    around = np.median(light[~near], axis=0)
    excess = np.maximum(light - around, 0.0) * near[:, :, None]
    # A surface facing a distant light of irradiance E shows E / pi of a white sky's radiance.
    lamp = (excess * area[:, :, None]).sum((0, 1)) / np.pi
    lobes = np.clip(AMBIENT_DIRECTIONS @ directions.reshape(-1, 3).T, 0.0, None) ** 6
    weight = lobes * area.ravel()
    ambient = weight @ (light - excess).reshape(-1, 3) / weight.sum(1, keepdims=True)
    return ambient, directions[peak], lamp
