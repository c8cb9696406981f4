# SPDX-License-Identifier: GPL-3.0-or-later
"""Painted backdrops: rooms, desks, shelves, windows, cloth, people, screens, gardens, clutter.

Each painter draws one sRGB picture (HEIGHT, WIDTH, 3) float32 0..1 from a generator.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import noise

FloatArray = NDArray[np.float32]
Random = np.random.Generator

WIDTH: Final = 640
HEIGHT: Final = 480


def _flat(colour: FloatArray) -> FloatArray:
    return np.broadcast_to(np.asarray(colour, np.float32), (HEIGHT, WIDTH, 3)).copy()


def _muted(random: Random, low: float = 0.1, high: float = 0.9) -> FloatArray:
    """A colour of a painted or woven thing: mostly earthen or bluish, seldom vivid."""
    kind = random.random()
    hue = random.normal(32, 14) if kind < 0.55 else random.normal(215, 22) if kind < 0.8 else random.uniform(0, 360)
    saturation, value = random.beta(1.1, 3.5), random.uniform(low, high)
    angles = np.deg2rad(hue - np.array([0.0, 120.0, 240.0]))
    return np.clip(value * (1 - saturation + saturation * (0.5 + 0.75 * np.cos(angles))), 0.01, 1.0).astype(np.float32)


def _field(random: Random, cell: float, octaves: int = 3) -> FloatArray:
    return noise.plane(random, HEIGHT, WIDTH, cell, octaves)


def _sloped(random: Random, image: FloatArray, strength: float = 0.5) -> FloatArray:
    """Uneven light across a picture."""
    x, y = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    a, b = random.normal(size=2) * strength * 0.35
    light = 1.0 + np.float32(a) * x + np.float32(b) * y + 0.1 * strength * _field(random, 250, 1)
    return image * np.clip(light, 0.25, 1.9)[:, :, None]


def _rectangle(image: FloatArray, corner: tuple[float, float], size: tuple[float, float], colour: FloatArray) -> None:
    x, y = (round(value) for value in corner)
    cv2.rectangle(image, (x, y), (round(x + size[0]), round(y + size[1])), [float(c) for c in colour], -1, cv2.LINE_AA)


def _boxed(
    random: Random, image: FloatArray, x: float, y: float, width: float, height: float, colour: FloatArray
) -> None:
    """A shaded solid rectangle: light from one side, a lighter top edge, a soft shadow beneath."""
    x0, y0, x1, y1 = (
        int(np.clip(v, 0, m)) for v, m in ((x, WIDTH), (y, HEIGHT), (x + width, WIDTH), (y + height, HEIGHT))
    )
    if x1 - x0 < 2 or y1 - y0 < 2:
        return
    below = image[y1 : min(y1 + 6, HEIGHT), x0:x1]
    below *= 0.7
    ramp = np.linspace(random.uniform(0.7, 1.1), random.uniform(0.7, 1.1), x1 - x0, dtype=np.float32)[None, :, None]
    image[y0:y1, x0:x1] = np.clip(colour * ramp, 0, 1)
    image[y0 : y0 + max((y1 - y0) // 40, 1), x0:x1] *= 1.25


def _wood(random: Random) -> FloatArray:
    grain = cv2.resize(noise.plane(random, HEIGHT, 48, 7, 4), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    waves = np.sin((np.linspace(0, random.uniform(20, 90), HEIGHT, dtype=np.float32)[:, None] + 2.5 * grain) * 1.0)
    base = (
        np.array([0.55, 0.38, 0.24], np.float32) * random.uniform(0.35, 1.6)
        + random.normal(size=3).astype(np.float32) * 0.04
    )
    image = base * (1.0 + 0.1 * grain + 0.08 * waves)[:, :, None]
    for y in np.arange(random.uniform(0, 80), HEIGHT, random.uniform(60, 200)):
        image[int(y) : int(y) + 2] *= 0.6
    return image if random.random() < 0.7 else cv2.resize(np.rot90(image), (WIDTH, HEIGHT))


def wall(random: Random) -> FloatArray:
    """A wall: plaster or paper, a picture or two, a switch."""
    image = _flat(_muted(random, 0.35, 0.95))
    image *= (1.0 + 0.03 * _field(random, random.uniform(3, 60), 3))[:, :, None]
    if random.random() < 0.3:
        period = random.uniform(10, 60)
        stripes = np.sin(np.arange(WIDTH, dtype=np.float32) * (2 * np.pi / period)) > random.uniform(-0.5, 0.5)
        image *= (1.0 - 0.12 * stripes.astype(np.float32))[None, :, None]
    for _ in range(int(random.integers(0, 4))):
        x, y, w, h = (
            random.uniform(0, WIDTH),
            random.uniform(0, HEIGHT * 0.7),
            random.uniform(40, 200),
            random.uniform(40, 200),
        )
        _boxed(random, image, x, y, w, h, _muted(random, 0.05, 0.5))
        inner = cv2.resize(wild(random), (max(int(w * 0.8), 2), max(int(h * 0.8), 2)), interpolation=cv2.INTER_AREA)
        _pasted(image, inner, int(x + w * 0.1), int(y + h * 0.1))
    return _sloped(random, image, 0.6)


def _pasted(image: FloatArray, patch: FloatArray, x: int, y: int) -> None:
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + patch.shape[1], image.shape[1]), min(y + patch.shape[0], image.shape[0])
    if x1 > x0 and y1 > y0:
        image[y0:y1, x0:x1] = patch[y0 - y : y1 - y, x0 - x : x1 - x]


def room(random: Random) -> FloatArray:
    """Walls, floor, a window, furniture."""
    image = wall(random)
    corner, floor = random.uniform(-0.3, 1.3) * WIDTH, random.uniform(0.5, 0.95) * HEIGHT
    side = np.arange(WIDTH) < corner
    image[:, side] *= np.float32(random.uniform(0.65, 1.2))
    ground = (
        _wood(random)
        if random.random() < 0.6
        else _flat(_muted(random, 0.1, 0.7)) * (1 + 0.08 * _field(random, 3, 2))[:, :, None]
    )
    slope = random.uniform(-0.25, 0.25)
    line = floor + slope * np.abs(np.arange(WIDTH) - corner)
    below = np.arange(HEIGHT)[:, None] > line[None]
    image[below] = ground[below]
    if random.random() < 0.6:
        _window(random, image, random.uniform(0, 0.8) * WIDTH, random.uniform(0, 0.35) * HEIGHT)
    for _ in range(int(random.integers(1, 7))):
        w, h = random.uniform(30, 260), random.uniform(30, 260)
        x, bottom = random.uniform(-60, WIDTH), floor + random.uniform(-10, 80)
        colour = _muted(random, 0.08, 0.7)
        _boxed(random, image, x, bottom - h, w, h, colour)
        for k in range(int(random.integers(0, 4))):
            _boxed(
                random,
                image,
                x + 4,
                bottom - h + (k + 0.1) * h / 4,
                w - 8,
                h / 5,
                colour * np.float32(random.uniform(0.8, 1.2)),
            )
    if random.random() < 0.4:
        x, y, r = random.uniform(0, WIDTH), random.uniform(0, HEIGHT * 0.5), random.uniform(15, 60)
        glow = np.exp(-((np.arange(WIDTH) - x) ** 2 + (np.arange(HEIGHT)[:, None] - y) ** 2) / (3 * r) ** 2).astype(
            np.float32
        )
        image += glow[:, :, None] * np.array([0.5, 0.42, 0.3], np.float32)
        cv2.ellipse(image, (int(x), int(y)), (int(r), int(r * 0.8)), 0, 0, 360, (1.0, 0.95, 0.8), -1, cv2.LINE_AA)
    return _sloped(random, image, 0.4)


def _window(random: Random, image: FloatArray, x: float, y: float) -> None:
    w, h = int(random.uniform(90, 330)), int(random.uniform(120, 330))
    outside = cv2.GaussianBlur(cv2.resize(garden(random), (w, h)), (0, 0), 4) * np.float32(random.uniform(1.0, 2.2))
    if random.random() < 0.35:
        slats = (np.arange(h) % int(random.integers(6, 16)) < 4).astype(np.float32)
        outside = outside * (1 - 0.75 * slats)[:, None, None] + 0.6 * slats[:, None, None]
    frame = _muted(random, 0.4, 0.95)
    _rectangle(image, (x - 8, y - 8), (w + 16, h + 16), frame)
    _pasted(image, np.minimum(outside, 1.3).astype(np.float32), int(x), int(y))
    _rectangle(image, (x + w / 2 - 3, y), (6, h), frame * np.float32(0.9))
    if random.random() < 0.5:
        curtain = _muted(random, 0.2, 0.9)
        width = int(random.uniform(0.15, 0.45) * w)
        folds = 1.0 + 0.25 * np.sin(np.arange(width) * random.uniform(0.2, 0.8) + random.normal())
        _pasted(
            image,
            np.broadcast_to(curtain * folds[None, :, None], (h + 60, width, 3)).astype(np.float32),
            int(x) - 10,
            int(y) - 15,
        )


def window(random: Random) -> FloatArray:
    """A bright window, the room round it dark."""
    image = wall(random) * np.float32(random.uniform(0.2, 0.8))
    for _ in range(int(random.integers(1, 3))):
        _window(random, image, random.uniform(0, 0.6) * WIDTH, random.uniform(-0.1, 0.3) * HEIGHT)
    return image


def shelf(random: Random) -> FloatArray:
    """Books."""
    image = _wood(random) * np.float32(random.uniform(0.3, 0.9))
    y = random.uniform(-60, 30)
    while y < HEIGHT:
        height = random.uniform(70, 170)
        x = random.uniform(-10, 20)
        while x < WIDTH:
            if random.random() < 0.08:
                x += random.uniform(15, 70)
                continue
            w, h = random.uniform(6, 34), height * random.uniform(0.65, 0.95)
            colour = _muted(random, 0.05, 0.9)
            _boxed(random, image, x, y + height - h, w, h, colour)
            mark = np.clip(1.0 - colour, 0, 1) * np.float32(random.uniform(0.4, 1.0))
            for _ in range(int(random.integers(0, 4))):
                _rectangle(
                    image,
                    (x + w * 0.3, y + height - h * random.uniform(0.2, 0.95)),
                    (w * 0.4, random.uniform(2, h * 0.3)),
                    mark,
                )
            x += w + 1
        _rectangle(image, (0, y + height), (WIDTH, random.uniform(5, 14)), _muted(random, 0.15, 0.8))
        y += height + 14
    return _sloped(random, image, 0.5)


def desk(random: Random) -> FloatArray:
    """A table top with a keyboard, paper, cables, cups; seen from above or aslant."""
    image = (
        _wood(random)
        if random.random() < 0.6
        else _flat(_muted(random, 0.05, 0.95)) * (1 + 0.04 * _field(random, 4, 3))[:, :, None]
    )
    for _ in range(int(random.integers(0, 4))):
        _tilted(random, image, _paper(random))
    if random.random() < 0.6:
        _tilted(random, image, _keyboard(random))
    for _ in range(int(random.integers(0, 6))):
        x, y, r = random.uniform(0, WIDTH), random.uniform(0, HEIGHT), random.uniform(12, 60)
        colour = _muted(random, 0.05, 0.95)
        cv2.circle(
            image,
            (int(x + r * 0.3), int(y + r * 0.3)),
            int(r),
            [float(c) for c in image[int(y) % HEIGHT, int(x) % WIDTH] * 0.5],
            -1,
            cv2.LINE_AA,
        )
        cv2.circle(image, (int(x), int(y)), int(r), [float(c) for c in colour], -1, cv2.LINE_AA)
        cv2.circle(
            image,
            (int(x), int(y)),
            int(r * 0.8),
            [float(c) for c in colour * random.uniform(0.3, 0.9)],
            -1,
            cv2.LINE_AA,
        )
    for _ in range(int(random.integers(0, 4))):
        t = np.linspace(0, 1, 40)
        a, b, c = (random.uniform(0, 1, 2) * [WIDTH, HEIGHT] for _ in range(3))
        curve = a * (1 - t[:, None]) ** 2 + 2 * b * (t * (1 - t))[:, None] + c * t[:, None] ** 2
        cv2.polylines(
            image,
            [curve.astype(np.int32)],
            False,
            [float(v) for v in _muted(random, 0.02, 0.9)],
            int(random.integers(2, 6)),
            cv2.LINE_AA,
        )
    return _sloped(random, image, 0.6)


def _tilted(random: Random, image: FloatArray, patch: FloatArray) -> None:
    height, width = patch.shape[:2]
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    angle, scale = random.uniform(-0.7, 0.7), random.uniform(0.5, 1.3)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    corners = (source - [width / 2, height / 2]) @ turn.T * scale * [1.0, random.uniform(0.5, 1.0)]
    corners = corners * (1 + random.normal(size=(4, 1)) * 0.08) + random.uniform(0, 1, 2) * [WIDTH, HEIGHT]
    matrix = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
    drawn = cv2.warpPerspective(patch, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, (WIDTH, HEIGHT))[:, :, None]
    shadow = cv2.GaussianBlur(np.roll(mask[:, :, 0], (5, 4), (0, 1)), (0, 0), 5)[:, :, None]
    image *= 1.0 - 0.4 * shadow * (1 - mask)
    image *= 1.0 - mask
    image += drawn * mask


def _paper(random: Random) -> FloatArray:
    page = np.ones((280, 200, 3), np.float32) * np.float32(random.uniform(0.75, 1.0))
    page *= 1.0 - random.random(3).astype(np.float32) * 0.15
    ink = _muted(random, 0.02, 0.3)
    for y in np.arange(20, 260, random.uniform(7, 14)):
        if random.random() < 0.12:
            continue
        x = 15.0
        stop = random.uniform(80, 185)
        while x < stop:
            w = random.uniform(4, 26)
            _rectangle(page, (x, y), (w, random.uniform(2, 4)), ink)
            x += w + 4
    return page


def _keyboard(random: Random) -> FloatArray:
    rows, columns, size = 5, 15, 26
    body, key = _muted(random, 0.03, 0.8), _muted(random, 0.03, 0.95)
    board = np.ones((rows * size + 20, columns * size + 20, 3), np.float32) * body
    legend = np.clip(1.0 - key, 0, 1)
    letters = np.zeros(board.shape[:2], np.uint8)
    for r in range(rows):
        for c in range(columns):
            x, y = 10 + c * size + (r * 7) % 13, 10 + r * size
            _rectangle(board, (x, y), (size - 4, size - 4), key * np.float32(random.uniform(0.93, 1.0)))
            letter = chr(int(random.integers(65, 91)))
            # OpenCV writes letters into 8-bit pictures only.
            cv2.putText(letters, letter, (x + 5, y + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.35, 255, 1, cv2.LINE_AA)
    ink = (letters / np.float32(255.0))[:, :, None]
    return board * (1 - ink) + legend * ink


def screen(random: Random) -> FloatArray:
    """A computer's screen or a poster: windows, text, plots."""
    image = _flat(_muted(random, 0.02, 1.0))
    for _ in range(int(random.integers(2, 7))):
        x, y, w, h = (
            random.uniform(-50, 500),
            random.uniform(-50, 380),
            random.uniform(120, 420),
            random.uniform(90, 330),
        )
        page = _muted(random, 0.0, 1.0)
        _rectangle(image, (x, y), (w, h), page)
        _rectangle(image, (x, y), (w, 14), _muted(random, 0.1, 0.9))
        ink = np.float32(1.0) - page
        for line in np.arange(y + 24, y + h - 8, random.uniform(8, 16)):
            start = x + 10 + 12 * float(random.integers(0, 4))
            _rectangle(
                image,
                (start, line),
                (random.uniform(10, max(w * 0.8, 12)), 3),
                ink * np.float32(random.uniform(0.3, 1.0)),
            )
    return image


def cloth(random: Random) -> FloatArray:
    """Fabric with folds: a shirt, a bed, a curtain."""
    pattern = _flat(_muted(random, 0.03, 0.95))
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    folds = _field(random, random.uniform(60, 200), 3)
    shift = 18 * folds
    for _ in range(int(random.integers(0, 4))):
        angle, period = random.choice([0.0, np.pi / 2, random.uniform(0, np.pi)]), random.uniform(6, 70)
        wave = np.sin(((x + shift) * np.cos(angle) + (y + shift) * np.sin(angle)) * np.float32(2 * np.pi / period))
        mix = (wave > random.uniform(-0.3, 0.9)).astype(np.float32)[:, :, None] * np.float32(random.uniform(0.3, 1.0))
        pattern = pattern * (1 - mix) + _muted(random, 0.03, 0.95) * mix
    slope = cv2.Sobel(folds, cv2.CV_32F, 1, 0, ksize=5) + cv2.Sobel(folds, cv2.CV_32F, 0, 1, ksize=5)
    light = 1.0 + np.clip(slope * random.uniform(0.05, 0.25), -0.6, 0.5)
    weave = 1.0 + 0.05 * _field(random, 2, 1)
    return _sloped(random, pattern * (light * weave)[:, :, None], 0.4)


def garden(random: Random) -> FloatArray:
    """Sky, leaves, grass, houses."""
    down = np.linspace(0, 1, HEIGHT, dtype=np.float32)[:, None, None]
    sky = np.array([0.45, 0.62, 0.9], np.float32) * (1 - down) + np.array([0.85, 0.88, 0.92], np.float32) * down
    clouds = np.clip(_field(random, 120, 4) * 0.3, 0, 1)[:, :, None]
    image = sky * (1 - clouds) + clouds * np.float32(0.95)
    image = np.broadcast_to(image, (HEIGHT, WIDTH, 3)).copy() * np.float32(random.uniform(0.5, 1.1))
    horizon = random.uniform(0.3, 0.8) * HEIGHT
    for _ in range(int(random.integers(0, 5))):
        w, h, x = random.uniform(40, 200), random.uniform(40, 260), random.uniform(-50, WIDTH)
        colour = _muted(random, 0.2, 0.8)
        _boxed(random, image, x, horizon - h, w, h, colour)
        for wx in np.arange(x + 6, x + w - 10, 18):
            for wy in np.arange(horizon - h + 8, horizon - 14, 24):
                _rectangle(image, (wx, wy), (9, 13), colour * np.float32(random.uniform(0.2, 1.4)))
    leaves = _field(random, 70, 5)
    green = (
        np.array([0.22, 0.34, 0.12], np.float32) * random.uniform(0.5, 1.7)
        + random.normal(size=3).astype(np.float32) * 0.04
    )
    tree = (leaves > random.uniform(-0.6, 1.0)) & (np.arange(HEIGHT)[:, None] < horizon + 40)
    shade = (1.0 + 0.35 * _field(random, 6, 3))[:, :, None]
    image[tree] = (green * shade)[tree]
    ground = np.arange(HEIGHT)[:, None] + 12 * _field(random, 80, 2) > horizon
    image[ground] = (np.clip(green * random.uniform(0.8, 1.6), 0, 1) * (1.0 + 0.2 * _field(random, 4, 3))[:, :, None])[
        ground
    ]
    return image


def person(random: Random) -> FloatArray:
    """Someone's chest in clothes, perhaps a neck and part of a face, before a room."""
    image = cv2.GaussianBlur(room(random), (0, 0), random.uniform(1, 6))
    shirt = cloth(random)
    centre, top = random.uniform(0.2, 0.8) * WIDTH, random.uniform(-0.1, 0.6) * HEIGHT
    width = random.uniform(0.35, 0.8) * WIDTH
    outline = np.array([[-0.5, 3], [-0.5, 0.35], [-0.3, 0.05], [-0.1, 0], [0.1, 0], [0.3, 0.05], [0.5, 0.35], [0.5, 3]])
    mask = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.fillPoly(mask, [(outline * width + [centre, top]).astype(np.int32)], 1.0, cv2.LINE_AA)
    mask = cv2.GaussianBlur(mask, (0, 0), 2.0)[:, :, None]
    round_light = 1.15 - 0.5 * ((np.arange(WIDTH, dtype=np.float32) - centre) / width)[None, :, None] ** 2 * 4
    image = image * (1 - mask) + shirt * np.clip(round_light, 0.3, 1.2) * mask
    tone = (
        np.array([0.85, 0.64, 0.52], np.float32)
        * (1 - random.random() * 0.75)
        * np.array([1.0, 0.97, 0.93], np.float32)
    )
    head = width * random.uniform(0.2, 0.28)
    _head(random, image, centre + random.normal() * 0.05 * width, top - head * 0.75, head, tone)
    return image


def _head(random: Random, image: FloatArray, x: float, y: float, size: float, tone: FloatArray) -> None:
    layer, mask = image.copy(), np.zeros((HEIGHT, WIDTH), np.float32)
    middle = (int(x), int(y))

    def oval(colour: FloatArray, dx: float, dy: float, w: float, h: float) -> None:
        place = (int(x + dx * size), int(y + dy * size))
        axes = (max(int(w * size), 1), max(int(h * size), 1))
        cv2.ellipse(layer, place, axes, 0, 0, 360, [float(c) for c in np.asarray(colour)], -1, cv2.LINE_AA)
        cv2.ellipse(mask, place, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)

    hair = np.array([0.12, 0.08, 0.06], np.float32) * random.uniform(0.2, 4.0)
    oval(hair, 0, -0.15, 0.8, 1.0)
    oval(tone * 0.8, 0, 0.9, 0.38, 0.6)
    oval(tone, 0, 0.05, 0.66, 0.88)
    for side in (-0.27, 0.27):
        oval(tone * 0.75, side, -0.1, 0.16, 0.1)
        oval(np.full(3, 0.9), side, -0.08, 0.11, 0.05)
        oval(hair * 0.5, side, -0.08, 0.05, 0.05)
        oval(hair, side, -0.26, 0.17, 0.035)
    oval(tone * 0.88, 0, 0.2, 0.11, 0.12)
    oval(tone * np.array([0.95, 0.6, 0.6], np.float32), 0, 0.48, 0.2, 0.06)
    x_light = 1.1 - 0.4 * ((np.arange(WIDTH, dtype=np.float32) - middle[0]) / size)[None, :, None] * random.choice(
        [-1, 1]
    )
    layer = cv2.GaussianBlur(layer, (0, 0), max(size * 0.05, 0.6)) * np.clip(x_light, 0.4, 1.4)
    soft = cv2.GaussianBlur(mask, (0, 0), 1.5)[:, :, None]
    image *= 1 - soft
    image += layer * soft


def wild(random: Random) -> FloatArray:
    """No scene at all: noise, stripes, blots, so that nothing is learnt from tidy rooms alone."""
    image = _flat(_muted(random, 0.0, 1.0))
    for cell in random.uniform(2, 200, int(random.integers(1, 4))):
        image += (
            _field(random, float(cell), 2)[:, :, None] * (random.random(3).astype(np.float32) - 0.3) * np.float32(0.25)
        )
    for _ in range(int(random.integers(3, 30))):
        x, y = random.uniform(0, WIDTH), random.uniform(0, HEIGHT)
        size = tuple(int(v) for v in random.uniform(4, 130, 2))
        angle, stop = float(random.uniform(0, 180)), float(random.choice([360, 180, 90]))
        cv2.ellipse(
            image, (int(x), int(y)), size, angle, 0, stop, [float(c) for c in _muted(random, 0, 1)], -1, cv2.LINE_AA
        )
    return image


PAINTERS: Final[dict[str, Callable[[Random], FloatArray]]] = {
    "wall": wall,
    "room": room,
    "window": window,
    "shelf": shelf,
    "desk": desk,
    "screen": screen,
    "cloth": cloth,
    "garden": garden,
    "person": person,
    "wild": wild,
}


def painted(kind: str, seed: int) -> NDArray[np.uint8]:
    """One painted backdrop (HEIGHT, WIDTH, 3) sRGB."""
    if kind not in PAINTERS:
        raise KeyError(f"There is no painter {kind!r}; known are {', '.join(PAINTERS)}.")
    random = np.random.default_rng([seed, sorted(PAINTERS).index(kind)])
    image = PAINTERS[kind](random)
    # A little grain, so that nothing is smoother than a camera would show it.
    image = image + 0.008 * noise.plane(random, HEIGHT, WIDTH, 1.5, 1)[:, :, None]
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
