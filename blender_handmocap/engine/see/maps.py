# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a crop around both hands: what every cell shows, thinned to what the fit can use and a take can keep.

After Wang et al. 2020 (RGB2Hands). The network says of each cell whether it shows the left hand, the right one or
neither, which point of the skin (a code of three numbers), how deep that lies behind its wrist and this wrist behind
the other one; and where the 42 points are, seen or hidden. Of all that are kept: the regions; for 64 points of each
hand's skin the pixel whose code is nearest, with its depth; one depth between the hands; the points.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelFileError
from ..hand.names import KEYPOINT_COUNT, SIDES
from ..models import model_cards
from ..runtime import Network, Runtime
from ..take import MAP_SIZE, MATCHES, MapsTrack, Take
from .crops import HAND_INPUT, Array, points_in_picture, turned
from .detnet import TAPS
from .landmarks import HAND_MODEL

if TYPE_CHECKING:
    from .pair_crop import Expected

log = logging.getLogger("handmocap.see")

MAPS_MODEL: Final = "maps"
FINE_TAP: Final = "features_56"
"""the trunk's finest tap, which only the maps read"""
CALIBRATION_KEY: Final = "calibration"
HEAT_SIZE: Final = 28
NEAREST_CODE: Final = 0.04
"""difference of code from which a cell shows another point of the skin"""
_OUTPUTS: Final = ("classes", "code", "within", "between", "heat")
_LEAST_CELLS: Final = 12
"""a hand that fewer cells show is not there"""
_LEAST_HEAT: Final = 0.1
"""height of a peak below which a point was not found"""
_HANDS: Final = len(SIDES)
_CELL: Final = HAND_INPUT / MAP_SIZE


@dataclass(frozen=True)
class MapsReading:
    """What the maps of one crop say; as the rows of a MapsTrack."""

    crop: Array
    regions: NDArray[np.uint8]
    pixels: Array
    sigma: Array
    depth: Array
    between: Array
    points: Array
    points_sigma: Array


ROW_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "crop": (5,),
    "regions": (_HANDS, MAP_SIZE * MAP_SIZE // 8),
    "pixels": (_HANDS, MATCHES, 2),
    "sigma": (_HANDS, MATCHES),
    "depth": (_HANDS, MATCHES),
    "between": (),
    "points": (_HANDS, KEYPOINT_COUNT, 2),
    "points_sigma": (_HANDS, KEYPOINT_COUNT),
}


@dataclass(frozen=True)
class MapsCalibration:
    """Constants that belong to the weights, kept in their file."""

    vertices: NDArray[np.int32]
    """(64,) of the right free hand's mesh"""
    code: Array
    """(64, 3) their codes"""
    match_error: Array
    """(2,) sides of the crop: error of a match whose code is equal, and how much that grows by a unit of code"""
    heat: Array
    """(6,) heights of peaks, rising"""
    heat_error: Array
    """(6,) sides of the crop: error of points with such peaks"""

    @classmethod
    def from_text(cls, text: str | None) -> MapsCalibration:
        """Read what `to_text` wrote; anything else is refused."""
        try:
            told = json.loads(text or "")
            values = {f.name: np.array(told[f.name], np.float64) for f in fields(cls)}
        except (ValueError, KeyError, TypeError) as error:
            raise ModelFileError(
                f"The network {MAPS_MODEL} has no readable constants ({error}); install HandMocap again."
            ) from error
        shapes = {"vertices": (MATCHES,), "code": (MATCHES, 3), "match_error": (2,), "heat": (6,), "heat_error": (6,)}
        if any(values[name].shape != shape or not np.isfinite(values[name]).all() for name, shape in shapes.items()):
            raise ModelFileError(f"The network {MAPS_MODEL} belongs to another version; install HandMocap again.")
        vertices = values.pop("vertices").astype(np.int32)
        return cls(vertices=vertices, **values)

    def to_text(self) -> str:
        """JSON."""
        return json.dumps({f.name: np.round(getattr(self, f.name), 5).tolist() for f in fields(self)})


class MapsNet:
    """MediaPipe's trunk and the heads on its taps, ready to look."""

    def __init__(self, trunk: Network, heads: Network) -> None:
        self._trunk, self._heads = trunk, heads
        self.calibration = MapsCalibration.from_text(heads.metadata.get(CALIBRATION_KEY))

    @classmethod
    def load(cls, runtime: Runtime) -> MapsNet:
        """The networks of models.toml; a missing or damaged file is refused in one sentence."""
        trunk = runtime.network(HAND_MODEL, outputs=(*TAPS, FINE_TAP))
        return cls(trunk, runtime.network(MAPS_MODEL, outputs=_OUTPUTS))

    def look(self, picture: NDArray[np.uint8], crop: Array, expected: Sequence[Expected | None]) -> MapsReading | None:
        """What the picture of a crop (1, 224, 224, 3) says of hands expected there; None if that is no numbers."""
        return self.read(self._trunk(picture), crop, expected)

    def read(
        self, taps: Mapping[str, NDArray[Any]], crop: Array, expected: Sequence[Expected | None]
    ) -> MapsReading | None:
        """What the taps (1, C, H, W) of a crop say of hands that are expected there; None if that is no numbers."""
        points, known = np.zeros((1, _HANDS, KEYPOINT_COUNT, 2), np.float32), np.zeros((1, _HANDS), np.float32)
        back = turned(-float(crop[4]))
        for slot, hand in enumerate(expected):
            if hand is not None:
                points[0, slot] = (hand.points - crop[:2]) @ back.T / crop[2] + 0.5
                known[0, slot] = 1.0
        asked = {name: taps[name] for name in self._heads.inputs if name in taps}
        out = self._heads({**asked, "points_seen": points, "known": known})
        maps = {name: values[0].astype(np.float64) for name, values in out.items()}
        if not all(np.isfinite(values).all() for values in maps.values()):
            return None
        return thinned(maps, crop, self.calibration)


def thinned(maps: Mapping[str, Array], crop: Array, constants: MapsCalibration) -> MapsReading:
    """What is kept of maps: classes (3, 56, 56), code (3, 56, 56), within, between (56, 56), heat (2, 21, 28, 28)."""
    classes = maps["classes"].argmax(0)
    regions = np.stack([classes == slot + 1 for slot in range(_HANDS)])
    regions &= (regions.sum((1, 2)) >= _LEAST_CELLS)[:, None, None]
    pixels = np.full((_HANDS, MATCHES, 2), np.nan)
    sigma, depth = np.full((_HANDS, MATCHES), np.nan), np.full((_HANDS, MATCHES), np.nan)
    for slot in range(_HANDS):
        row, column = np.nonzero(regions[slot])
        if not row.size:
            continue
        place, apart, behind = _matches(maps, row, column, constants.code)
        found = apart < NEAREST_CODE
        pixels[slot, found] = points_in_picture(place[found], crop)
        least, growth = constants.match_error
        sigma[slot, found] = (least + growth * apart[found]) * crop[2]
        depth[slot, found] = behind[found]
    place, height = peaks(maps["heat"])
    there = (height >= _LEAST_HEAT)[..., None]
    points = points_in_picture(place.reshape(-1, 2), crop).reshape(place.shape)
    error = np.interp(height, constants.heat, constants.heat_error) * crop[2]
    return MapsReading(
        crop=crop,
        regions=np.packbits(regions.reshape(_HANDS, -1), axis=-1),
        pixels=pixels,
        sigma=sigma,
        depth=depth,
        between=np.array(_between(regions, maps["between"])),
        points=np.where(there, points, np.nan),
        points_sigma=np.where(there[..., 0], error, np.nan),
    )


def _matches(
    maps: Mapping[str, Array], row: NDArray[np.intp], column: NDArray[np.intp], code: Array
) -> tuple[Array, Array, Array]:
    """For each of `code` (64, 3) among the cells of one hand: share of the crop (64, 2) and how far the nearest code
    is (64,), and the depth there (64,). Cells beside the nearest one whose codes are near as well count with it."""
    seen = maps["code"][:, row, column].T
    apart = np.sqrt(np.maximum((code**2).sum(1)[:, None] + (seen**2).sum(1) - 2.0 * code @ seen.T, 0.0))
    best = apart.argmin(1)
    beside = (np.abs(row - row[best][:, None]) <= 1) & (np.abs(column - column[best][:, None]) <= 1)
    weight = beside * np.maximum(1.0 - apart / NEAREST_CODE, 0.0) + 1e-9 * (np.arange(len(row)) == best[:, None])
    weight /= weight.sum(1, keepdims=True)
    # A cell's middle lies between its pixels.
    cells = np.stack([column, row], axis=1) * _CELL + (_CELL - 1.0) / 2.0
    return weight @ cells / HAND_INPUT, apart[np.arange(len(code)), best], weight @ maps["within"][row, column]


def _between(regions: NDArray[np.bool_], between: Array) -> float:
    """Depth of the left wrist behind the right one: the median of each hand, then the mean of both, whose signs must
    differ; 0 where they agree, NaN where one hand is not seen."""
    if not regions.any((1, 2)).all():
        return float("nan")
    left, right = (float(np.median(between[region])) for region in regions)
    return (left - right) / 2.0 if left * right < 0.0 else 0.0


def peaks(heat: Array) -> tuple[Array, Array]:
    """Places (..., 2) as shares of the crop and heights (...) of the highest bells of maps (..., 28, 28)."""
    flat = heat.reshape(-1, HEAT_SIZE, HEAT_SIZE)
    index = flat.reshape(len(flat), -1).argmax(1)
    row, column = np.divmod(index, HEAT_SIZE)
    cells = np.arange(HEAT_SIZE)
    near = (np.abs(cells - row[:, None]) <= 2)[:, :, None] & (np.abs(cells - column[:, None]) <= 2)[:, None]
    weight = np.maximum(flat, 0.0) * near
    total = np.maximum(weight.sum((1, 2)), 1e-9)
    # Training puts middles at half cells; the engine's shares count pixels from their middles.
    middle = (cells + 0.5) / HEAT_SIZE - 0.5 / HAND_INPUT
    place = np.stack([(weight.sum(1) * middle).sum(1), (weight.sum(2) * middle).sum(1)], axis=1) / total[:, None]
    height = flat.reshape(len(flat), -1).max(1)
    return place.reshape(*heat.shape[:-2], 2), height.reshape(heat.shape[:-2])


def load_or_explain(runtime: Runtime) -> tuple[MapsNet | None, str]:
    """The network, or None and the one sentence that says why there are no maps."""
    if MAPS_MODEL not in model_cards():
        return None, ""
    try:
        return MapsNet.load(runtime), ""
    except ModelFileError as error:
        note = f"Hands that touch are fitted without maps: {error}"
        log.info("%s", note)
        return None, note


def rows(readings: Sequence[MapsReading | None]) -> dict[str, NDArray[Any]]:
    """Arrays of readings as records keep them: whether each picture has maps, and the maps of those that do."""
    there = [one for one in readings if one is not None]
    arrays: dict[str, NDArray[Any]] = {"maps": np.array([one is not None for one in readings], bool)}
    for name, shape in ROW_SHAPES.items():
        kind = np.uint8 if name == "regions" else np.float32
        arrays[f"maps_{name}"] = np.array([getattr(one, name) for one in there], kind).reshape(len(there), *shape)
    return arrays


def with_maps(take: Take, records: Mapping[str, NDArray[Any]], constants: MapsCalibration) -> Take:
    """The take with the maps of frames in which both hands were found where they were read."""
    frame = np.flatnonzero(records["maps"]) if "maps" in records else np.zeros(0, np.intp)
    if not len(frame) or take.pair is None:
        return take
    kept = take.pair.valid[frame]
    values = {name: records[f"maps_{name}"][kept] for name in ROW_SHAPES}
    whole = {name: value if value.dtype == np.uint8 else value.astype(np.float64) for name, value in values.items()}
    track = MapsTrack(frame=frame[kept].astype(np.int32), vertices=constants.vertices, **whole)
    return replace(take, maps=track)
