# SPDX-License-Identifier: GPL-3.0-or-later
"""Picture files: reading one, and finding those of a folder or a pattern."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .errors import BadInputError
from .footage_stream import Image

PICTURE_ENDINGS: Final = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
_ALPHA_BACKGROUND: Final = 127


def read_picture(path: Path) -> Image | None:
    """A picture file as (H, W, 3) RGB, turned upright, transparency over grey; None when it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)
        raw = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
        if raw is None:
            return None
        if raw.ndim == 3 and raw.shape[2] == 4:
            return _over_grey(_eight_bits(raw))
        # This way of reading also applies the orientation the camera wrote into the file.
        return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)
    except (OSError, cv2.error):
        return None


def _over_grey(image: Image) -> Image:
    alpha = image[..., 3:].astype(np.uint16)
    blended = (image[..., 2::-1] * alpha + _ALPHA_BACKGROUND * (255 - alpha) + 127) // 255
    return np.ascontiguousarray(blended.astype(np.uint8))


def _eight_bits(image: NDArray[Any]) -> Image:
    return np.asarray(image if image.dtype == np.uint8 else image // 257, np.uint8)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order; none is an error."""
    try:
        paths = [path for path in folder.iterdir() if _is_picture(path)]
    except OSError as error:
        raise BadInputError(f"The folder {folder} cannot be read ({error.strerror or error}).") from error
    if not paths:
        endings = ", ".join(sorted(ending[1:] for ending in PICTURE_ENDINGS))
        raise BadInputError(f"The folder {folder} holds no pictures ({endings}); choose another one.")
    return sorted(paths, key=_natural_order)


def pictures_like(pattern: Path) -> list[Path]:
    """Files named by a pattern: `%04d`, `####`, or `*` and `?`."""
    name = re.sub(r"%0?\d*d|#+", "\0", pattern.name)
    if not pattern.parent.is_dir() or not re.search(r"[\0*?]", name):
        return []
    expression = re.escape(name).replace("\0", r"\d+").replace(r"\*", ".*").replace(r"\?", ".")
    paths = [path for path in pattern.parent.iterdir() if re.fullmatch(expression, path.name) and _is_picture(path)]
    return sorted(paths, key=_natural_order)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".") and path.is_file()


def _natural_order(path: Path) -> list[tuple[int, str]]:
    """picture2 before picture10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", path.name.lower())]
