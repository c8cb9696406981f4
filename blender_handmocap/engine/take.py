# SPDX-License-Identifier: GPL-3.0-or-later
"""Take and HandTrack: what everything upstream makes and everything downstream reads.

A take file is an .npz without pickles; `SCHEMA` names its version. It keeps what was seen
as well as what was solved, so a take can be smoothed, corrected and solved again without
its footage.
"""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .errors import BadInputError
from .files import why_no_arrays, write_arrays
from .hand.names import CONTACT_PARTS, JOINT_COUNT, KEYPOINT_COUNT, SIDES, Side
from .rotations import IDENTITY
from .settings import BETA_COUNT

Array = NDArray[np.float64]

SCHEMA: Final = "handmocap.take/2"
"""Version 2 added what is seen of both hands at once (`PairTrack`); a take of version 1 loads without it.
`MapsTrack` came later and is not missed by who does not know it."""
_SCHEMA_NAME, _SCHEMA_VERSION = SCHEMA.split("/")


class State(IntEnum):
    """What is known of one hand in one frame."""

    ABSENT = 0
    SEEN = 1
    FILLED = 2
    CORRECTED = 3


CONTACT_DTYPE: Final = np.dtype([("frame", "<i4"), ("left_part", "u1"), ("right_part", "u1"), ("probability", "<f4")])
"""`frame` is an index into the take; parts index names.CONTACT_PARTS."""

CORRECTION_DTYPE: Final = np.dtype(
    [("frame", "<i4"), ("side", "u1"), ("kind", "u1"), ("index", "u1"), ("value", "<f8", (4,))]
)
"""`frame` is an index into the take, `side` indexes names.SIDES, `kind` a CorrectionKind."""


class CorrectionKind(IntEnum):
    """What a correction fixes; `index` and `value` read accordingly."""

    ROTATION = 0
    """index: joint; value: quaternion w,x,y,z"""
    POINT = 1
    """index: keypoint; value: pixel x, y"""
    TRANSLATION = 2
    """value: metres, camera axes"""
    HIDDEN = 3
    """the hand's observation in this frame is not to be used"""
    ABSENT = 4
    """the hand is not there in this frame"""


MAP_SIZE: Final = 56
"""cells a side of the maps of a crop around both hands"""
MATCHES: Final = 64
"""points of a hand's skin that maps are asked for"""


def _nan(*shape: int) -> Array:
    return np.full(shape, np.nan)


def _nowhere(*shape: int) -> Array:
    return np.broadcast_to(np.nan, shape)


@dataclass(frozen=True)
class HandTrack:
    """One hand through a take; T frames. Absent frames hold NaN and identity quaternions."""

    state: NDArray[np.uint8]
    """(T,) State"""
    confidence: Array
    """(T,) 0..1: calibrated probability that the hand is there, on this side, and placed right"""
    seen2d: Array
    """(T, 21, 2) pixels of the displayed picture, distorted; NaN where not seen"""
    seen2d_sigma: Array
    """(T, 21) pixels"""
    seen3d: Array
    """(T, 21, 3) relative to the wrist, mean palm bone = 1, camera axes"""
    seen3d_sigma: Array
    """(T, 21) in the same unit"""
    visibility: Array
    """(T, 21) 0..1"""
    raw_rotation: Array
    """(T, 16, 4) as solved, before polish"""
    raw_translation: Array
    """(T, 3) metres"""
    rotation: Array
    """(T, 16, 4) unit w,x,y,z, sign-continuous; joint 0 canonical to camera, 1..15 to the parent"""
    translation: Array
    """(T, 3) wrist joint, metres, camera axes"""
    points: Array
    """(T, 21, 3) posed joints and tips in keypoint order, metres, camera axes"""

    @classmethod
    def absent(cls, frames: int) -> HandTrack:
        """A track in which the hand never appears."""
        views = cls.absent_views(frames)
        return cls(**{key: getattr(views, key).copy() for key in _TRACK_KEYS})

    @classmethod
    def absent_views(cls, frames: int) -> HandTrack:
        """The same in read-only arrays that take no room: for a track whose fields are about to be replaced."""
        still = np.broadcast_to(IDENTITY, (frames, JOINT_COUNT, 4))
        return cls(
            state=np.broadcast_to(np.uint8(State.ABSENT), (frames,)),
            confidence=np.broadcast_to(0.0, (frames,)),
            seen2d=_nowhere(frames, KEYPOINT_COUNT, 2),
            seen2d_sigma=_nowhere(frames, KEYPOINT_COUNT),
            seen3d=_nowhere(frames, KEYPOINT_COUNT, 3),
            seen3d_sigma=_nowhere(frames, KEYPOINT_COUNT),
            visibility=np.broadcast_to(0.0, (frames, KEYPOINT_COUNT)),
            raw_rotation=still,
            raw_translation=_nowhere(frames, 3),
            rotation=still,
            translation=_nowhere(frames, 3),
            points=_nowhere(frames, KEYPOINT_COUNT, 3),
        )

    @property
    def present(self) -> NDArray[np.bool_]:
        """(T,) frames in which the hand has a pose."""
        return self.state != State.ABSENT


@dataclass(frozen=True)
class PairTrack:
    """What was seen of both hands at once; T frames. Frames that are not valid hold NaN and 0."""

    vector: Array
    """(T, 3) left wrist joint minus right wrist joint, camera axes, in palm lengths (`Take.size`)"""
    sigma: Array
    """(T, 3) expected error of each component, the same unit"""
    contact: Array
    """(T, 6, 6) probability that a part of the left hand (first axis) touches one of the right;
    parts index names.CONTACT_PARTS; NaN where nothing is said of contact"""
    valid: NDArray[np.bool_]
    """(T,) whether the frame was looked at"""

    @classmethod
    def absent(cls, frames: int) -> PairTrack:
        """A track in which the hands were never looked at together."""
        parts = len(CONTACT_PARTS)
        return cls(_nan(frames, 3), _nan(frames, 3), np.zeros((frames, parts, parts)), np.zeros(frames, bool))


@dataclass(frozen=True)
class MapsTrack:
    """What the maps of crops around both hands say of M frames, thinned to what the fit reads; hands as SIDES."""

    frame: NDArray[np.int32]
    """(M,) rising indices into the take"""
    vertices: NDArray[np.int32]
    """(64,) points of the free hand's skin: vertices of its mesh"""
    crop: Array
    """(M, 5) what was looked at: centre, side, side (pixels), rotation (radians)"""
    regions: NDArray[np.uint8]
    """(M, 2, 392) bits of the 56 x 56 cells that show each hand, row by row"""
    pixels: Array
    """(M, 2, 64, 2) where each of `vertices` is seen; NaN: it is not"""
    sigma: Array
    """(M, 2, 64) expected error, pixels"""
    depth: Array
    """(M, 2, 64) how far it lies behind the hand's wrist along the crop's own ray, palm lengths"""
    between: Array
    """(M,) how far the left wrist lies behind the right one along that ray, palm lengths; NaN: nothing is said"""
    points: Array
    """(M, 2, 21, 2) the model's own joints and tips, seen or hidden, pixels; NaN: not found"""
    points_sigma: Array
    """(M, 2, 21) expected error, pixels"""

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class Take:
    """The result of one capture."""

    meta: dict[str, Any]
    """source, width, height, rate [numerator, denominator], mirrored, performer, engine, models,
    settings, hand_model, definition (whose keypoint definition the seen points follow), parent;
    sizes [[width, height], ...] a frame, of stills that differ in it: then K is (T, 3, 3)"""
    frame: NDArray[np.int32]
    """(T,) source frame numbers"""
    time: Array
    """(T,) seconds, true time stamps"""
    K: Array
    """(3, 3) or (T, 3, 3) pixels of the displayed picture"""
    dist: Array
    """(5,) OpenCV lens distortion k1 k2 p1 p2 k3"""
    left: HandTrack
    right: HandTrack
    betas: Array
    """(10,) one shape for both hands"""
    size: float
    """palm length, wrist joint to middle knuckle at rest, metres"""
    contacts: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, CONTACT_DTYPE))
    corrections: NDArray[np.void] = field(default_factory=lambda: np.zeros(0, CORRECTION_DTYPE))
    pair: PairTrack | None = None
    """None where nothing looked at both hands at once"""
    maps: MapsTrack | None = None
    """None where no maps were asked for"""

    def __len__(self) -> int:
        return len(self.frame)

    def track(self, side: Side) -> HandTrack:
        """The track of one side."""
        return self.left if side == "left" else self.right

    def with_tracks(self, **changes: Any) -> Take:
        """A copy with some fields replaced."""
        return replace(self, **changes)

    def picture_size(self, index: int) -> tuple[int, int]:
        """Width and height of one frame's displayed picture, pixels: stills of one take may differ in it."""
        sizes = self.meta.get("sizes")
        width, height = sizes[index] if sizes else (self.meta["width"], self.meta["height"])
        return int(width), int(height)

    @property
    def rate(self) -> float:
        """Nominal frames a second of the source."""
        numerator, denominator = self.meta["rate"]
        return float(numerator) / float(denominator)


_TRACK_KEYS: Final = tuple(f.name for f in fields(HandTrack))
_PAIR_KEYS: Final = tuple(f.name for f in fields(PairTrack))
_MAPS_KEYS: Final = tuple(f.name for f in fields(MapsTrack))
_MAPS_SHAPES: Final[dict[str, tuple[int, ...]]] = {
    "frame": (),
    "crop": (5,),
    "regions": (len(SIDES), MAP_SIZE * MAP_SIZE // 8),
    "pixels": (len(SIDES), MATCHES, 2),
    "sigma": (len(SIDES), MATCHES),
    "depth": (len(SIDES), MATCHES),
    "between": (),
    "points": (len(SIDES), KEYPOINT_COUNT, 2),
    "points_sigma": (len(SIDES), KEYPOINT_COUNT),
}
_FLOAT32: Final = frozenset({"confidence", "seen2d", "seen2d_sigma", "seen3d", "seen3d_sigma", "visibility", "points"})


def save_take(take: Take, path: str | Path) -> None:
    """Write a take in one step: the file is either the old one or the whole new one, never a part."""
    target = Path(path)
    arrays: dict[str, Any] = {
        "schema": np.array(SCHEMA),
        "meta": np.array(json.dumps(take.meta, sort_keys=True)),
        "frame": take.frame.astype(np.int32),
        "time": take.time,
        "K": take.K,
        "dist": take.dist,
        "betas": take.betas,
        "size": np.array(take.size),
        "contacts": take.contacts,
        "corrections": take.corrections,
    }
    for side in SIDES:
        track = take.track(side)
        for key in _TRACK_KEYS:
            value = getattr(track, key)
            arrays[f"{side}_{key}"] = value.astype(np.float32) if key in _FLOAT32 else value
    if take.pair is not None:
        for key in _PAIR_KEYS:
            value = getattr(take.pair, key)
            arrays[f"pair_{key}"] = value if key == "valid" else value.astype(np.float32)
    if take.maps is not None:
        for key in _MAPS_KEYS:
            value = getattr(take.maps, key)
            arrays[f"maps_{key}"] = value.astype(np.float32) if value.dtype == np.float64 else value
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(target, arrays, compressed=True)
    except OSError as error:
        raise BadInputError(
            f"The take could not be written to {target} ({error.strerror or error}); "
            "free some space or choose another folder."
        ) from error


def load_take(path: str | Path) -> Take:
    """Read a take; anything that is not one is refused in one sentence."""
    source = Path(path)
    try:
        with np.load(source, allow_pickle=False) as file:
            data = {key: file[key] for key in file.files}
    except FileNotFoundError as error:
        raise BadInputError(f"There is no take at {source}; check the path.") from error
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError) as error:
        raise BadInputError(
            f"{source} is not a HandMocap take or is damaged ({why_no_arrays(error)}); capture it again."
        ) from error
    return _take_from(data, source)


def _take_from(data: dict[str, Any], source: Path) -> Take:
    name, _, version = str(data.get("schema", "")).partition("/")
    if name != _SCHEMA_NAME or not version.isdigit():
        raise BadInputError(f"{source} is an .npz file, but not a HandMocap take; choose a .take.npz file.")
    if int(version) > int(_SCHEMA_VERSION):
        raise BadInputError(
            f"{source} was written by a newer HandMocap (schema {version}); update the extension to open it."
        )
    try:
        frames = len(data["frame"])
        tracks = {side: _track_from(data, side, frames) for side in SIDES}
        take = Take(
            meta=_meta_from(str(data["meta"])),
            frame=_shaped(data, "frame", (frames,)).astype(np.int32),
            time=_shaped(data, "time", (frames,)).astype(np.float64),
            K=_shaped(data, "K", (3, 3), (frames, 3, 3)).astype(np.float64),
            dist=_shaped(data, "dist", (5,)).astype(np.float64) if "dist" in data else np.zeros(5),
            left=tracks["left"],
            right=tracks["right"],
            betas=_shaped(data, "betas", (BETA_COUNT,)).astype(np.float64),
            size=float(data["size"]),
            contacts=_records(data, "contacts", CONTACT_DTYPE),
            corrections=_records(data, "corrections", CORRECTION_DTYPE),
            pair=_pair_from(data, frames),
            maps=_maps_from(data),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise BadInputError(f"{source} lacks part of a take ({error}); capture it again.") from error
    _check(take, source)
    return take


def _meta_from(text: str) -> dict[str, Any]:
    try:
        meta = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError("what it says about itself is damaged") from error
    if not isinstance(meta, dict):
        raise ValueError("what it says about itself is damaged")
    return meta


def _shaped(data: dict[str, Any], key: str, *shapes: tuple[int, ...]) -> NDArray[Any]:
    """The array of a file, of one of these shapes."""
    value = np.asarray(data[key])
    if value.shape not in shapes:
        raise ValueError(f"{key} has shape {value.shape}, not {' or '.join(str(shape) for shape in shapes)}")
    return value


def _records(data: dict[str, Any], key: str, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    """The records of a file, none where it has no such key."""
    value = np.asarray(data.get(key, np.zeros(0, dtype)))
    if value.dtype != dtype or value.ndim != 1:
        raise ValueError(f"{key} are records of another kind")
    return value


def _track_from(data: dict[str, Any], side: Side, frames: int) -> HandTrack:
    track = HandTrack.absent_views(frames)
    values: dict[str, Any] = {}
    for key in _TRACK_KEYS:
        if f"{side}_{key}" in data:
            values[key] = _like(getattr(track, key), data, f"{side}_{key}")
        elif key in ("rotation", "translation", "state"):
            raise KeyError(f"{side}_{key}")
    return replace(track, **values)


def _pair_from(data: dict[str, Any], frames: int) -> PairTrack | None:
    """All of the pair's keys, or none of them."""
    if not any(f"pair_{key}" in data for key in _PAIR_KEYS):
        return None
    track = PairTrack.absent(frames)
    return PairTrack(**{key: _like(getattr(track, key), data, f"pair_{key}") for key in _PAIR_KEYS})


def _maps_from(data: dict[str, Any]) -> MapsTrack | None:
    """All of the maps' keys, or none of them."""
    if not any(f"maps_{key}" in data for key in _MAPS_KEYS):
        return None
    rows = len(data["maps_frame"])
    types: dict[str, type] = {"frame": np.int32, "vertices": np.int32, "regions": np.uint8}
    defaults: dict[str, NDArray[Any]] = {
        key: np.empty((rows, *shape), types.get(key, np.float64)) for key, shape in _MAPS_SHAPES.items()
    }
    defaults["vertices"] = np.empty(MATCHES, np.int32)
    return MapsTrack(**{key: _like(default, data, f"maps_{key}") for key, default in defaults.items()})


def _like(default: NDArray[Any], data: dict[str, Any], key: str) -> NDArray[Any]:
    """The array of a file, of the shape and type it must have."""
    return np.asarray(_shaped(data, key, default.shape).astype(default.dtype))


def _check(take: Take, source: Path) -> None:
    """Refuse numbers that would poison everything downstream."""
    for side in SIDES:
        track = take.track(side)
        present = track.present
        for key in ("rotation", "translation"):
            if not np.isfinite(getattr(track, key)[present]).all():
                raise BadInputError(f"{source} holds numbers that are not finite in {side}_{key}; capture it again.")
    pair = take.pair
    if pair is not None and not (
        np.isfinite(pair.vector[pair.valid]).all()
        and (np.isfinite(pair.sigma[pair.valid]) & (pair.sigma[pair.valid] > 0)).all()
        and (np.isnan(pair.contact) | ((pair.contact >= 0) & (pair.contact <= 1))).all()
    ):
        raise BadInputError(f"{source} holds numbers about both hands that cannot be; capture it again.")
    maps = take.maps
    if maps is not None and not (
        (np.diff(maps.frame) > 0).all()
        and ((maps.frame >= 0) & (maps.frame < len(take))).all()
        and np.isfinite(maps.crop).all()
        and (maps.crop[:, 2] > 0).all()
        and (np.isnan(maps.pixels).any(-1) | (maps.sigma > 0)).all()
        and (np.isnan(maps.points).any(-1) | (maps.points_sigma > 0)).all()
    ):
        raise BadInputError(f"{source} holds maps of both hands that cannot be; capture it again.")
    if not (np.isfinite(take.K).all() and np.isfinite(take.betas).all() and take.size > 0):
        raise BadInputError(f"{source} holds a camera or a hand size that is not finite; capture it again.")
