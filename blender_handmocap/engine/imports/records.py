# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of per-frame hand results, in the shapes in which people save them, as one list of records.

Research code has no file format: a dictionary of arrays, a list of dictionaries, or a dictionary from picture to
hands, as .npz, .pkl or .json. A pickle is read without being run.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..errors import BadInputError
from ..hand.safe_pickle import LARGEST_FILE, read_data

Record = dict[str, Any]

_NESTED: Final = ("pred_mano_params", "mano_params", "mano", "params", "pred_mano")
_FRAME_KEYS: Final = ("frame", "frame_id", "frame_idx", "frame_index", "img_id", "image_id")
_NAME_KEYS: Final = ("img_name", "img_path", "image", "image_path", "frame_name", "imgname", "name")
_WAY: Final = " way"
"""Key for what the lists and dictionaries around a hand say of its frame: a position, or a picture's name."""
_LISTS: Final = ("hands", "results", "predictions", "frames", "data", "instances")
_MARKS: Final = ("hand_pose", "global_orient", "pred_hand_pose", "poses", *_NESTED)
"""What a dictionary with a hand in it has one of."""


def read_records(path: Path) -> list[Record]:
    """The hands in a file, each with its `frame` number; anything else is refused in one sentence."""
    ending = path.suffix.lower()
    if ending in (".pkl", ".pickle", ".p"):
        data = read_data(path)
    elif ending == ".json":
        data = _read_json(path)
    elif ending == ".npz":
        data = _read_npz(path)
    else:
        raise BadInputError(f"{path.name} is not .npz, .pkl or .json; save the results as one of them.")
    records = [_with_frame(record, order) for order, record in enumerate(_hands(data, None))]
    if not records:
        raise BadInputError(
            f"{path.name} holds no hands; each needs global_orient and hand_pose as HaMeR and WiLoR give them."
        )
    return records


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > 8 * LARGEST_FILE:
            raise ValueError("it is too large")
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BadInputError(f"{path.name} could not be read ({error}); save the results again.") from error


def _read_npz(path: Path) -> Any:
    try:
        with np.load(path, allow_pickle=False) as file:
            if sum(info.file_size for info in file.zip.infolist()) > 16 * LARGEST_FILE:
                raise ValueError("it unpacks to too much")
            return {key: file[key] for key in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise BadInputError(
            f"{path.name} could not be read ({error}); save plain arrays, or the results as .pkl or .json."
        ) from error


def _hands(data: Any, frame: object) -> Iterator[Record]:
    """Every hand in nested lists and dictionaries; `frame` is what the way there says of the frame."""
    if isinstance(data, Mapping):
        flat = _flat(data)
        if any(mark in flat for mark in _MARKS):
            yield from _rows(flat, frame)
            return
        for key, value in data.items():
            if isinstance(value, list | tuple | Mapping):
                yield from _hands(value, frame if key in _LISTS else key)
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _hands(value, index if frame is None else frame)


def _flat(data: Mapping[str, Any]) -> Record:
    """The dictionary with its nested parameters lifted out."""
    out: Record = {}
    for key, value in data.items():
        if key in _NESTED and isinstance(value, Mapping):
            out.update({str(k): v for k, v in value.items()})
        else:
            out[str(key)] = value
    return out


def _rows(data: Record, frame: object) -> Iterator[Record]:
    """One record a hand: arrays that hold several hands are taken apart along their first axis."""
    count = _count(data)
    arrays = {key: _array(value) for key, value in data.items()}
    for row in range(count):
        record = {
            key: value[row] if np.ndim(value) and len(value) == count and _is_rowwise(key, value) else value
            for key, value in arrays.items()
        }
        yield {**record, _WAY: frame}


def _count(data: Record) -> int:
    """How many hands a dictionary holds, told by its finger poses (N, 45), (N, 15, 3) or (N, 15, 3, 3)."""
    pose = np.asarray(_array(data.get("hand_pose", data.get("pred_hand_pose", data.get("poses", [])))))
    single = pose.shape in ((45,), (15, 3), (15, 3, 3), (48,), (16, 3), (16, 3, 3), (15, 9), (15, 6))
    return 1 if single or pose.ndim == 0 else len(pose)


_WHOLE: Final = frozenset({"img_size", "image_size", "K", "focal_length", "scaled_focal_length", "size"})


def _is_rowwise(key: str, value: Any) -> bool:
    return key not in _WHOLE or np.ndim(value) > (2 if key == "K" else 1)


def _array(value: Any) -> Any:
    """Lists of numbers as arrays; names and the like stay."""
    if isinstance(value, list | tuple):
        try:
            return np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError):
            return list(value)
    return value


def _with_frame(record: Record, order: int) -> Record:
    for key in (*_FRAME_KEYS, *_NAME_KEYS, _WAY):
        value = record.get(key)
        if value is None:
            continue
        number = _number(value)
        if number is not None:
            return {**record, "frame": number}
    return {**record, "frame": order}


def _number(value: Any) -> int | None:
    """A frame number, or the last digits of a picture's name."""
    if isinstance(value, str):
        digits = re.findall(r"\d+", Path(value).stem)
        return int(digits[-1]) if digits else None
    number = np.asarray(value)
    return int(number.ravel()[0]) if number.size and number.dtype.kind in "iuf" else None
