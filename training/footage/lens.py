# SPDX-License-Identifier: GPL-3.0-or-later
"""From linear light to the picture a webcam delivers: glass, sensor, the camera's own processing, the codec."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import pixels
from .scene import Lens

FloatArray = NDArray[np.float32]

_REFERENCE: Final = 224.0
"""Blurs in a Lens are pixels of a picture this large."""
_CURVE_STEPS: Final = 4096
_BRIGHTEST: Final = np.float32(3.99)
_GRAIN_STOCK: Final = 2**22
_BLOCK: Final = 8
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def develop(linear: FloatArray, lens: Lens, random: np.random.Generator, *, quick: bool = False) -> NDArray[np.uint8]:
    """Linear RGB (H, W, 3) float32 -> RGB (H, W, 3) uint8. Changes `linear`. `quick` cuts grain from a stock of it."""
    height, width = linear.shape[:2]
    unit = max(height, width) / _REFERENCE
    light = linear
    pixels.scale(light, np.array(lens.white, np.float32) * np.float32(lens.exposure))
    if lens.defocus > 0:
        light = cv2.GaussianBlur(light, (0, 0), lens.defocus * unit)
    if lens.bloom > 0:
        bright = np.minimum(np.maximum(light - 0.8, 0.0), 4.0)
        light += cv2.GaussianBlur(bright, (0, 0), 6.0 * unit) * np.float32(lens.bloom)
    if lens.vignette > 0:
        pixels.darken(light, _vignette(height, width) * np.float32(-lens.vignette) + np.float32(1.0))
    small = lens.scale < 0.98
    if small:
        light = cv2.resize(light, None, fx=lens.scale, fy=lens.scale, interpolation=cv2.INTER_AREA)
    if lens.flicker > 0:
        rows = np.arange(light.shape[0], dtype=np.float32)[:, None, None] / light.shape[0]
        phase, waves = random.uniform(0, 2 * np.pi), random.uniform(0.7, 5.0)
        light *= 1.0 - np.float32(lens.flicker) * (0.5 + 0.5 * np.sin(2 * np.pi * waves * rows + phase))
    if lens.shot_noise > 0 or lens.read_noise > 0 or lens.row_noise > 0:
        light = _noisy(light, lens, random, quick=quick)
    image = _toned(light, lens)
    if lens.saturation != 1.0 or lens.grey:
        pixels.saturate(image, image @ _LUMA, np.float32(0.0 if lens.grey else lens.saturation))
    if lens.sharpen > 0:
        pixels.sharpen(image, cv2.GaussianBlur(image, (0, 0), 1.1), np.float32(lens.sharpen))
    if small:
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    out = np.empty(image.shape, np.uint8)
    pixels.to_bytes(image, out)
    if lens.blocks == "jpeg":
        _, coded = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, lens.quality])
        out = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    elif lens.blocks == "video":
        out = video_coded(out, 100 - lens.quality, random)
    return out


@lru_cache(maxsize=8)
def _vignette(height: int, width: int) -> FloatArray:
    y, x = np.mgrid[-1 : 1 : complex(0, height), -1 : 1 : complex(0, width)]
    return (0.5 * (x * x + y * y)).astype(np.float32)


@lru_cache(maxsize=1)
def _grain_stock() -> FloatArray:
    """Unit white noise, 4 million numbers of which a picture takes a random piece."""
    return np.random.default_rng(20251121).standard_normal(_GRAIN_STOCK, dtype=np.float32)


def _white_noise(shape: tuple[int, ...], random: np.random.Generator, *, quick: bool) -> FloatArray:
    count = int(np.prod(shape))
    if not quick or count > _GRAIN_STOCK // 2:
        return random.standard_normal(shape, dtype=np.float32)
    begin = int(random.integers(_GRAIN_STOCK - count))
    return _grain_stock()[begin : begin + count].reshape(shape).copy()


def _noisy(light: FloatArray, lens: Lens, random: np.random.Generator, *, quick: bool) -> FloatArray:
    shape = light.shape
    grain = _white_noise(shape, random, quick=quick)
    if lens.grain_size > 0:
        grain = cv2.GaussianBlur(grain, (0, 0), lens.grain_size)
        grain *= np.float32(1.0) / max(float(grain.std()), 1e-6)
    pixels.add_noise(light, grain, np.float32(lens.shot_noise**2), np.float32(lens.read_noise**2))
    if lens.row_noise > 0:
        light += random.standard_normal((shape[0], 1, 1), dtype=np.float32) * np.float32(lens.row_noise)
    return light


def _toned(light: FloatArray, lens: Lens) -> FloatArray:
    """Gamma, a shoulder for highlights and contrast, through a table of the square root of light."""
    steps = np.linspace(0.0, 2.0, _CURVE_STEPS, dtype=np.float64) ** 2
    # Straight up to 0.7 of full, then bending towards it: highlights roll off instead of burning flat.
    knee = 0.7
    over = np.maximum(steps - knee, 0.0)
    soft = np.minimum(steps, knee) + (1.0 - knee) * (1.0 - np.exp(-over / (1.0 - knee)))
    curve = soft ** (lens.gamma / 2.2)
    curve = 0.46 + (curve - 0.46) * lens.contrast
    out = np.empty_like(light)
    pixels.toned(light, curve.astype(np.float32), _BRIGHTEST, np.float32((_CURVE_STEPS - 1) / 2.0), out)
    return out


def video_coded(image: NDArray[np.uint8], strength: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Looks like a frame from a video codec: halved colour, coarse blocks smoothed at their edges, blocks left unsent.

    strength 0 none .. 100 as coarse as codecs go.
    """
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % 16, 0, -width % 16, cv2.BORDER_REPLICATE)
    luma, red, blue = cv2.split(cv2.cvtColor(padded, cv2.COLOR_RGB2YCrCb))
    step = 2.0 + strength * 0.5
    luma = _quantised(luma, step)
    half = (luma.shape[1] // 2, luma.shape[0] // 2)
    planes = [_quantised(cv2.resize(p, half, interpolation=cv2.INTER_AREA), step * 1.3) for p in (red, blue)]
    planes = [cv2.resize(p, luma.shape[::-1], interpolation=cv2.INTER_LINEAR) for p in planes]
    # Macroblocks the coder skipped show what was there before: here their blurred selves.
    rows, columns = luma.shape[0] // 16, luma.shape[1] // 16
    skipped = (random.random((rows, columns)) < 0.004 * strength).astype(np.uint8)
    mask = cv2.resize(skipped, luma.shape[::-1], interpolation=cv2.INTER_NEAREST) > 0
    luma = np.where(mask, cv2.GaussianBlur(luma, (0, 0), 1.5), luma)
    merged = cv2.merge([np.clip(p + 0.5, 0, 255).astype(np.uint8) for p in (luma, *planes)])
    return np.ascontiguousarray(cv2.cvtColor(merged, cv2.COLOR_YCrCb2RGB)[:height, :width])


@lru_cache(maxsize=1)
def _cosines() -> FloatArray:
    """The orthonormal 8-point cosine transform (8, 8)."""
    k, n = np.mgrid[0:_BLOCK, 0:_BLOCK]
    basis = np.cos(np.pi * (2 * n + 1) * k / (2 * _BLOCK)) * np.sqrt(2.0 / _BLOCK)
    basis[0] /= np.sqrt(2.0)
    return basis.astype(np.float32)


def _quantised(plane: NDArray[np.uint8], step: float) -> FloatArray:
    height, width = plane.shape
    basis = _cosines()
    blocks = plane.astype(np.float32).reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(0, 2, 1, 3)
    spectrum = basis @ blocks @ basis.T
    frequency = np.add.outer(np.arange(_BLOCK), np.arange(_BLOCK))
    steps = (step * (0.6 + 0.13 * frequency)).astype(np.float32)
    # A dead zone wider than half a step, as coders use: small detail is dropped first.
    levels = np.trunc(spectrum / steps + np.sign(spectrum) * np.float32(0.33))
    out = (basis.T @ (levels * steps) @ basis).transpose(0, 2, 1, 3).reshape(height, width)
    _smoothed_edges(out, step)
    _smoothed_edges(out.T, step)
    return out


def _smoothed_edges(plane: FloatArray, step: float) -> None:
    """Deblocking across the columns' block edges, where the jump is small enough to be the coder's own."""
    left, right = plane[:, _BLOCK - 1 : -1 : _BLOCK], plane[:, _BLOCK::_BLOCK]
    jump = right - left
    own = np.where(np.abs(jump) < 1.5 * step, jump, np.float32(0.0)) * np.float32(0.25)
    left += own
    right -= own


def shadowed(
    backdrop: FloatArray, coverage: FloatArray, shift: NDArray[np.float64], width: float, share: float
) -> FloatArray:
    """The backdrop darkened where the hands' outline, shifted and blurred by pixels, falls on it."""
    matrix = np.array([[1.0, 0.0, shift[0]], [0.0, 1.0, shift[1]]])
    moved = cv2.warpAffine(coverage, matrix, coverage.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    soft = cv2.GaussianBlur(moved, (0, 0), min(max(width, 0.7), 40.0))
    return backdrop * (1.0 - np.float32(share) * soft)[:, :, None]
