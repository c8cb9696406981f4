# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the sheet or the card in a photo, to a fraction of a pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import BadInputError
from ..hand.names import PALM_KEYPOINTS
from .references import Reference

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_SIDE: Final = 900
"""longer side of the picture that is searched, pixels"""
_THRESHOLDS: Final = 12
"""levels between the picture's darkest and brightest that may part the rectangle from what is around it"""
_FILL: Final = 0.9
"""share of the four-sided outline that the region must fill, hull against hull"""
_CARD_TOLERANCE: Final = 0.45
"""by which a card's sides, as seen, may differ from what the hand's size lets expect"""
_TYPICAL_PALM: Final = 0.085
"""metres from the wrist to the middle knuckle, for a first guess at the picture's scale"""
_SAMPLES: Final = 80
"""places along each side at which its edge is measured"""
_MIDDLE: Final = 0.1
"""share of a side left out at both ends: corners are round, or bent"""
_LEAST_SUPPORT: Final = 0.35
"""share of those places that must agree on a line"""


def find_rectangle(image: Image, reference: Reference, hand: Array) -> Array:
    """Corners (4, 2) of the sheet or card in an RGB photo, pixels; `hand` (21, 2) are the hand's keypoints.

    They run around it, and the first two end a longer side. Nothing found is one sentence.
    """
    scale = min(1.0, _SIDE / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1.0 else image
    points = (hand + 0.5) * scale - 0.5
    best, best_score = None, 0.0
    for quad, score in _candidates(np.asarray(small, np.uint8), reference, points):
        if score > best_score:
            best, best_score = quad, score
    if best is None:
        where = "under the hand" if reference.under_hand else "beside the hand"
        raise BadInputError(
            f"No {reference.title} was found {where}; photograph it whole, from above, on a darker ground that differs "
            "from it, and try again."
        )
    refined = _refined(image, (best + 0.5) / scale - 0.5)
    return _long_side_first(refined)


def _candidates(image: Image, reference: Reference, hand: Array) -> Iterator[tuple[Array, float]]:
    """Four-sided regions and how well each would do."""
    for channel in _channels(image, reference):
        low, high = np.percentile(channel, (2, 98))
        for level in np.linspace(low, high, _THRESHOLDS + 2)[1:-1]:
            mask = (channel > level).astype(np.uint8)
            for region in (mask,) if reference.under_hand else (mask, 1 - mask):
                yield from _quads(region, reference, hand)


def _channels(image: Image, reference: Reference) -> Iterator[NDArray[np.float32]]:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(np.float32)
    lab = np.asarray(cv2.GaussianBlur(lab, (0, 0), 1.2), np.float32)
    colour = np.hypot(lab[..., 1] - 128.0, lab[..., 2] - 128.0)
    # Paper is bright and grey; skin is neither as bright nor grey.
    yield lab[..., 0] - 1.5 * colour
    yield lab[..., 0]
    if not reference.under_hand:
        yield lab[..., 1]
        yield lab[..., 2]
        yield colour


def _quads(region: NDArray[np.uint8], reference: Reference, hand: Array) -> Iterator[tuple[Array, float]]:
    found, _ = cv2.findContours(region, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    contours = [np.asarray(contour, np.int32) for contour in found]
    palm = float(np.linalg.norm(hand[9] - hand[0]))
    if reference.under_hand:
        contours = _around(contours, hand, palm)
    for contour in contours:
        if len(contour) < 40:
            continue
        hull = cv2.convexHull(contour)
        area = float(cv2.contourArea(hull))
        if area < 0.2 * palm * palm * _expected_area(reference):
            continue
        quad = np.asarray(cv2.approxPolyN(hull, 4, ensure_convex=True), np.float64).reshape(-1, 2)
        if len(quad) != 4 or not _inside(quad, region.shape):
            continue
        fill = area / max(float(cv2.contourArea(quad.astype(np.float32))), 1.0)
        if fill < _FILL or not _is_plausible(quad, reference, hand, palm):
            continue
        # The sheet is cut into by the hand; a card is whole.
        whole = float(cv2.contourArea(contour)) / area
        yield quad, fill * (1.0 if reference.under_hand else whole**2) * (area**0.1)


def _around(contours: Sequence[NDArray[np.int32]], hand: Array, palm: float) -> list[NDArray[np.int32]]:
    """All larger regions beside the hand as one: it may cut a sheet in two."""
    hull = cv2.convexHull(hand.astype(np.float32))
    pieces = []
    for contour in contours:
        if cv2.contourArea(contour) < 0.1 * palm * palm:
            continue
        some = contour[:: max(1, len(contour) // 100), 0]
        nearest = max(cv2.pointPolygonTest(hull, tuple(map(float, point)), True) for point in some)
        if nearest > -0.5 * palm:
            pieces.append(contour)
    return [np.concatenate(pieces)] if pieces else []


def _expected_area(reference: Reference) -> float:
    """The rectangle's area in palms squared."""
    return reference.width * reference.height / _TYPICAL_PALM**2


def _inside(quad: Array, shape: tuple[int, ...]) -> bool:
    """A rectangle that leaves the picture has no corners to measure by."""
    height, width = shape
    return bool((quad > 1.0).all() and (quad < [width - 2.0, height - 2.0]).all())


def _is_plausible(quad: Array, reference: Reference, hand: Array, palm: float) -> bool:
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    if reference.under_hand:
        middle = hand[list(PALM_KEYPOINTS)].mean(0)
        if cv2.pointPolygonTest(quad.astype(np.float32), tuple(map(float, middle)), False) < 0:
            return False
        return bool(sides.min() > palm and sides.max() < 8.0 * palm)
    long, short = sorted((sides[0] + sides[2], sides[1] + sides[3]), reverse=True)
    expected = 2.0 * palm * reference.width / _TYPICAL_PALM
    tips = [cv2.pointPolygonTest(quad.astype(np.float32), tuple(map(float, point)), False) for point in hand]
    return bool(
        abs(long / expected - 1.0) < _CARD_TOLERANCE
        and abs(long / short / (reference.width / reference.height) - 1.0) < 0.3
        and max(tips) < 0
    )


def _refined(image: Image, quad: Array) -> Array:
    """The corners as crossings of lines fitted to the sides' own edges."""
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (0, 0), 1.0).astype(np.float32)
    reach = max(3.0, 0.012 * float(np.linalg.norm(quad[2] - quad[0])))
    lines = [_line(grey, quad[i], quad[(i + 1) % 4], reach) for i in range(4)]
    return np.array([_crossing(lines[i - 1], lines[i]) for i in range(4)])


def _line(grey: NDArray[np.float32], start: Array, end: Array, reach: float) -> Array:
    """The line a x + b y = c (3,) along the strongest edge near a side."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    shares = np.linspace(_MIDDLE, 1.0 - _MIDDLE, _SAMPLES)
    steps = np.arange(-reach, reach + 0.25, 0.5)
    places = (start + shares[:, None] * (end - start))[:, None] + steps[:, None] * across
    maps = places.astype(np.float32)
    values = cv2.remap(grey, maps[..., 0], maps[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    slope = np.abs(np.gradient(values, axis=1))
    at = slope.argmax(1).clip(1, len(steps) - 2)
    rows = np.arange(len(at))
    before, peak, after = slope[rows, at - 1], slope[rows, at], slope[rows, at + 1]
    bend = before - 2.0 * peak + after
    shift = np.where(np.abs(bend) > 1e-6, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-6, bend, 1.0), 0.0)
    found = places[rows, at] + (shift.clip(-1.0, 1.0) * 0.5)[:, None] * across
    return _robust_line(found, np.linalg.norm(places[:, 0] - places[:, -1], axis=1).max())


def _robust_line(points: Array, span: float) -> Array:
    """A line through most of the points: a hand across the side, or a shadow beside it, must not bend it."""
    best = np.zeros(len(points), bool)
    random = np.random.default_rng(0)
    for _ in range(200):
        first, second = points[random.choice(len(points), 2, replace=False)]
        normal = np.array([first[1] - second[1], second[0] - first[0]])
        length = np.linalg.norm(normal)
        if length < 0.1 * span:
            continue
        near = np.abs((points - first) @ (normal / length)) < 0.75
        if near.sum() > best.sum():
            best = near
    if best.sum() < _LEAST_SUPPORT * len(points):
        best = np.ones(len(points), bool)
    x, y, px, py = np.asarray(
        cv2.fitLine(points[best].astype(np.float32), cv2.DIST_HUBER, 0, 0.01, 0.01), np.float64
    ).ravel()
    return np.array([-y, x, -y * px + x * py])


def _crossing(first: Array, second: Array) -> Array:
    return np.linalg.solve(np.stack([first[:2], second[:2]]), np.array([first[2], second[2]]))


def _long_side_first(quad: Array) -> Array:
    sides = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    turned = quad if sides[0] + sides[2] >= sides[1] + sides[3] else np.roll(quad, -1, axis=0)
    x, y = turned[:, 0], turned[:, 1]
    clockwise = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) > 0.0
    # With y down, clockwise on the screen is the positive sense.
    return turned if clockwise else turned[[1, 0, 3, 2]]
