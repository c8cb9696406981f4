# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file says about the camera and the colours it was made with, beyond what OpenCV tells."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

Transfer = Literal["standard", "pq", "hlg"]

_LONGEST_HEADER: Final = 64 * 2**20
"""Bytes of a movie header that are read at most."""
_EXIF_SEARCH: Final = 2**18
_EXIF_ORIENTATION: Final = 0x0112
_TURNS: Final = {3: 180, 6: 90, 8: 270}
"""EXIF orientation to degrees clockwise; mirrored ones do not come from cameras"""
_EXIF_FOLDER: Final = 0x8769
_EXIF_FILM_FOCAL: Final = 0xA405
_TRANSFERS: Final[dict[int, Transfer]] = {16: "pq", 18: "hlg"}
_FOCAL_KEYS: Final = ("com.apple.quicktime.camera.focal_length.35mm_equivalent",)
_PLAUSIBLE_FOCAL: Final = (5.0, 2000.0)
"""Millimetres, 35 mm equivalent."""

_CONTAINERS: Final = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"udta"})
_VISUAL_ENTRY: Final = 78
"""Bytes of a visual sample entry before its own boxes."""


@dataclass(frozen=True)
class Metadata:
    """Hints of one file."""

    film_focal: float | None = None
    """35 mm equivalent focal length, millimetres"""
    transfer: Transfer = "standard"


def read_metadata(path: Path) -> Metadata:
    """Hints of a movie or a picture; a file that has none, or none that can be read, gives the defaults."""
    try:
        with path.open("rb") as file:
            start = file.read(12)
        if start[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return _movie_metadata(path)
        return Metadata(film_focal=_exif_focal(path))
    except (OSError, struct.error, ValueError, IndexError):
        return Metadata()


# Movies: ISO base media and QuickTime files are trees of boxes.


def _movie_metadata(path: Path) -> Metadata:
    header = _movie_header(path)
    focal: float | None = None
    transfer: Transfer = "standard"
    for kind, content in _boxes(header):
        if kind == b"stsd":
            transfer = _transfer_of(content) or transfer
        elif kind == b"meta":
            focal = _quicktime_focal(content) or focal
    return Metadata(film_focal=focal, transfer=transfer)


def _movie_header(path: Path) -> bytes:
    """The `moov` box, wherever it stands."""
    with path.open("rb") as file:
        while head := file.read(8):
            size, kind = struct.unpack(">I4s", head)
            extra = 8
            if size == 1:
                (size,) = struct.unpack(">Q", file.read(8))
                extra = 16
            if kind == b"moov":
                wanted = size - extra if size else _LONGEST_HEADER
                return head + file.read(min(wanted, _LONGEST_HEADER))
            if size < extra:
                break
            file.seek(size - extra, 1)
    return b""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Every box and its content, depth first, through the plain containers."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        end = position + size if size >= 8 else len(data)
        content = data[position + 8 : end]
        yield kind, content
        if kind in _CONTAINERS:
            yield from _boxes(content)
        position = end


def _transfer_of(sample_description: bytes) -> Transfer | None:
    for _, entry in _boxes(sample_description[8:]):
        for kind, content in _boxes(entry[_VISUAL_ENTRY:]):
            if kind == b"colr" and content[:4] in (b"nclx", b"nclc"):
                (code,) = struct.unpack_from(">H", content, 6)
                return _TRANSFERS.get(code)
    return None


def _quicktime_focal(content: bytes) -> float | None:
    # QuickTime's `meta` holds boxes at once, MPEG-4's four bytes of version and flags before them.
    inside = dict(_boxes(content))
    if b"keys" not in inside:
        inside = dict(_boxes(content[4:]))
    if not {b"keys", b"ilst"} <= inside.keys():
        return None
    names = [value.decode("utf-8", "replace") for _, value in _boxes(inside[b"keys"][8:])]
    for number, item in _boxes(inside[b"ilst"]):
        (index,) = struct.unpack(">I", number)
        if 1 <= index <= len(names) and names[index - 1] in _FOCAL_KEYS:
            value = dict(_boxes(item)).get(b"data", b"")
            return _plausible(_typed_number(value))
    return None


def _typed_number(value: bytes) -> float:
    (kind,) = struct.unpack_from(">I", value)
    payload = value[8:]
    if kind == 1:
        return float(payload.decode())
    if kind in (23, 24):
        return float(struct.unpack(">f" if kind == 23 else ">d", payload)[0])
    return float(int.from_bytes(payload, "big"))


# Pictures: EXIF is a TIFF folder inside the file.


def picture_turn(path: Path) -> int:
    """Degrees, clockwise, by which a picture file says it must be turned to stand upright; 0 where it says nothing."""
    try:
        tiff = _exif_of(path)
        if tiff is None:
            return 0
        first, order = _first_folder(tiff)
        return _TURNS.get(_tiff_entries(tiff, first, order).get(_EXIF_ORIENTATION, 1), 0)
    except (OSError, ValueError, struct.error):
        return 0


def _exif_of(path: Path) -> bytes | None:
    """The TIFF folder of a picture file, from its beginning."""
    with path.open("rb") as file:
        data = file.read(_EXIF_SEARCH)
    for marker in (b"Exif\x00\x00", b"eXIf"):
        found = data.find(marker)
        if found >= 0:
            return data[found + len(marker) :]
    return data if data[:4] in (b"II*\x00", b"MM\x00*") else None


def _exif_focal(path: Path) -> float | None:
    tiff = _exif_of(path)
    return None if tiff is None else _plausible(_film_focal(tiff))


def _first_folder(tiff: bytes) -> tuple[int, str]:
    """Where the first folder of a TIFF begins, and its byte order."""
    order = {b"II": "<", b"MM": ">"}[tiff[:2]] if tiff[:2] in (b"II", b"MM") else ""
    if not order:
        raise ValueError("no TIFF header")
    (first,) = struct.unpack_from(f"{order}I", tiff, 4)
    return int(first), order


def _film_focal(tiff: bytes) -> float:
    first, order = _first_folder(tiff)
    exif = _tiff_entries(tiff, first, order).get(_EXIF_FOLDER)
    folder = _tiff_entries(tiff, exif, order) if exif else {}
    return float(folder.get(_EXIF_FILM_FOCAL, 0))


def _tiff_entries(tiff: bytes, offset: int, order: str) -> dict[int, int]:
    """Tag to value, for values of one short or long."""
    (count,) = struct.unpack_from(f"{order}H", tiff, offset)
    entries = {}
    for index in range(count):
        tag, kind, _, value = struct.unpack_from(f"{order}HHI4s", tiff, offset + 2 + 12 * index)
        if kind in (3, 4):
            (entries[tag],) = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", value)
    return entries


def _plausible(focal: float) -> float | None:
    lowest, highest = _PLAUSIBLE_FOCAL
    return focal if lowest <= focal <= highest else None


# High dynamic range: a table from coded values to what an ordinary screen would show.

_PAPER_WHITE: Final = 203.0
"""Nits of diffuse white in high dynamic range video (ITU-R BT.2408)."""
_BRIGHTEST: Final = 1000.0
_HLG_WHITE: Final = 0.265
"""Scene light of diffuse white, the signal at 75 % (ITU-R BT.2408)."""


def standard_range_table(transfer: Transfer) -> NDArray[np.uint8] | None:
    """(256,) uint8 for PQ and HLG video, None where nothing needs to change."""
    if transfer == "standard":
        return None
    signal = np.linspace(0.0, 1.0, 256)
    light = _pq_nits(signal) / _PAPER_WHITE if transfer == "pq" else _hlg_scene(signal) / _HLG_WHITE
    peak = _BRIGHTEST / _PAPER_WHITE
    shown = np.clip(light * (1.0 + light / peak**2) / (1.0 + light), 0.0, 1.0)
    encoded = np.where(shown <= 0.0031308, 12.92 * shown, 1.055 * shown ** (1 / 2.4) - 0.055)
    return np.round(255.0 * encoded / encoded[-1]).astype(np.uint8)


def _pq_nits(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    root = signal ** (1 / m2)
    nits: NDArray[np.float64] = 10000.0 * (np.maximum(root - c1, 0.0) / (c2 - c3 * root)) ** (1 / m1)
    return np.minimum(nits, _BRIGHTEST)


def _hlg_scene(signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, inverse of the camera's curve."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3.0, (np.exp((signal - c) / a) + b) / 12.0)
