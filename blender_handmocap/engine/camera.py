# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera: between pixels of the displayed picture and rays in camera space.

Camera space is x right, y down, z forward. Pixels are distorted, integer = pixel centre.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import BadInputError
from .files import why_no_arrays
from .settings import Settings

Array = NDArray[np.float64]
Source = Literal["given", "metadata", "estimated"]

TYPICAL_FOV: Final = 60.0
"""Degrees along the longer side of the picture: between a telephone's main camera and a webcam."""
FILM_DIAGONAL: Final = math.hypot(36.0, 24.0)
"""Millimetres; "35 mm equivalent" focal lengths refer to it."""

_NEAREST: Final = 1e-6
"""Depth under which a point has no pixel, in the unit of the points."""
_UNDISTORT_STEPS: Final = 100
_UNDISTORT_TOLERANCE: Final = 1e-10
_SMALLEST_RADIAL: Final = 0.05
"""Keeps the iteration finite where a strong distortion is no longer one-to-one."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's five lens distortion coefficients."""

    K: Array
    """(3, 3) pixels"""
    dist: Array
    """(5,) k1 k2 p1 p2 k3"""
    width: int
    height: int
    source: Source = "given"
    """how far the focal length can be trusted"""

    @classmethod
    def from_focal(
        cls,
        width: int,
        height: int,
        focal: float,
        *,
        distortion: Sequence[float] = (),
        source: Source = "given",
    ) -> Camera:
        """Square pixels, the centre in the middle, focal length in pixels."""
        K = np.array([[focal, 0.0, (width - 1) / 2], [0.0, focal, (height - 1) / 2], [0.0, 0.0, 1.0]])
        dist = np.zeros(5)
        dist[: len(distortion)] = distortion
        return cls(K=K, dist=dist, width=width, height=height, source=source)

    @classmethod
    def from_fov(cls, width: int, height: int, degrees: float, *, distortion: Sequence[float] = ()) -> Camera:
        """From the horizontal field of view of the displayed picture."""
        return cls.from_focal(width, height, _focal_of(width, degrees), distortion=distortion)

    @classmethod
    def from_film(cls, width: int, height: int, millimetres: float, *, distortion: Sequence[float] = ()) -> Camera:
        """From a 35 mm equivalent focal length, as cameras write it into their files."""
        focal = millimetres / FILM_DIAGONAL * math.hypot(width, height)
        return cls.from_focal(width, height, focal, distortion=distortion, source="metadata")

    @classmethod
    def estimated(cls, width: int, height: int, *, distortion: Sequence[float] = ()) -> Camera:
        """A usual lens, for footage that says nothing about its own."""
        focal = _focal_of(max(width, height), TYPICAL_FOV)
        return cls.from_focal(width, height, focal, distortion=distortion, source="estimated")

    def project(self, points: ArrayLike) -> Array:
        """Points (..., 3) in camera space -> pixels (..., 2); NaN for points not in front of the camera."""
        p = np.asarray(points, dtype=np.float64)
        z = np.where(p[..., 2] > _NEAREST, p[..., 2], np.nan)
        x, y = p[..., 0] / z, p[..., 1] / z
        if self.dist.any():
            radial, shift_x, shift_y = self._distortion(x, y)
            x, y = x * radial + shift_x, y * radial + shift_y
        u = self.K[0, 0] * x + self.K[0, 1] * y + self.K[0, 2]
        v = self.K[1, 1] * y + self.K[1, 2]
        return np.stack([u, v], axis=-1)

    def rays(self, pixels: ArrayLike) -> Array:
        """Pixels (..., 2) -> undistorted directions (..., 3) with z = 1 in camera space."""
        p = np.asarray(pixels, dtype=np.float64)
        y = (p[..., 1] - self.K[1, 2]) / self.K[1, 1]
        x = (p[..., 0] - self.K[0, 2] - self.K[0, 1] * y) / self.K[0, 0]
        if self.dist.any() and p.size:
            x, y = self._undistorted(x, y)
        return np.stack([x, y, np.ones_like(x)], axis=-1)

    def _distortion(self, x: Array, y: Array) -> tuple[Array, Array, Array]:
        """The radial factor and the tangential shift at undistorted x, y (z = 1)."""
        k1, k2, p1, p2, k3 = self.dist
        r2 = x * x + y * y
        radial = 1.0 + r2 * (k1 + r2 * (k2 + r2 * k3))
        return radial, 2.0 * p1 * x * y + p2 * (r2 + 2.0 * x * x), p1 * (r2 + 2.0 * y * y) + 2.0 * p2 * x * y

    def _undistorted(self, distorted_x: Array, distorted_y: Array) -> tuple[Array, Array]:
        # OpenCV's own function stops after five steps, and asking it for more differs between its versions.
        x, y = distorted_x, distorted_y
        for _ in range(_UNDISTORT_STEPS):
            radial, shift_x, shift_y = self._distortion(x, y)
            radial = np.maximum(radial, _SMALLEST_RADIAL)
            next_x, next_y = (distorted_x - shift_x) / radial, (distorted_y - shift_y) / radial
            moved = np.nanmax(np.abs([next_x - x, next_y - y]), initial=0.0)
            x, y = next_x, next_y
            if moved < _UNDISTORT_TOLERANCE:
                break
        return x, y

    def with_size(self, width: int, height: int) -> Camera:
        """The same lens for the same picture at another resolution."""
        sx, sy = width / self.width, height / self.height
        K = self.K.copy()
        # Pixel centres are integers: the picture's corner is at -0.5.
        K[0, :2] *= sx
        K[1, 1] *= sy
        K[0, 2] = (K[0, 2] + 0.5) * sx - 0.5
        K[1, 2] = (K[1, 2] + 0.5) * sy - 0.5
        return replace(self, K=K, width=width, height=height)

    def mirrored(self) -> Camera:
        """The camera of the picture flipped left to right."""
        K, dist = self.K.copy(), self.dist.copy()
        K[0, 2] = self.width - 1 - K[0, 2]
        K[0, 1] = -K[0, 1]
        dist[3] = -dist[3]
        return replace(self, K=K, dist=dist)


@dataclass(frozen=True)
class CameraPath:
    """A camera that moves, as a tracker or a camera app recorded it; N frames."""

    frame: NDArray[np.int64]
    """(N,) source frame numbers, rising"""
    K: Array
    """(N, 3, 3) pixels of the displayed picture"""
    rotation: Array
    """(N, 3, 3) world to camera"""
    translation: Array
    """(N, 3) metres, world to camera: x_camera = rotation @ x_world + translation"""
    dist: Array
    """(5,)"""

    def nearest(self, frame: int) -> int:
        """Index of the entry for a source frame; between listed frames the nearest one."""
        return int(np.abs(self.frame - frame).argmin())

    def camera(self, frame: int, width: int, height: int) -> Camera:
        """The camera of one source frame."""
        return Camera(K=self.K[self.nearest(frame)], dist=self.dist, width=width, height=height)


def load_camera_path(path: str | Path) -> CameraPath:
    """Read an .npz with K (3,3) or (N,3,3), rotation (N,3,3), translation (N,3), and optionally frame, dist."""
    source = Path(path)
    try:
        with np.load(source, allow_pickle=False) as file:
            data = {key: file[key].astype(np.float64) for key in file.files}
        rotation, translation = data["rotation"], data["translation"]
        count = len(rotation)
        frame = data.get("frame", np.arange(count)).astype(np.int64)
        K = np.broadcast_to(data["K"], (count, 3, 3)).copy()
        dist = data.get("dist", np.zeros(5))
        shapes = rotation.shape == (count, 3, 3) and translation.shape == (count, 3) and frame.shape == (count,)
        if not (shapes and count and dist.shape == (5,)):
            raise ValueError("its arrays have other shapes")
        if not all(np.isfinite(value).all() for value in (K, rotation, translation, dist)):
            raise ValueError("it holds numbers that are not finite")
        if np.abs(rotation @ np.swapaxes(rotation, -1, -2) - np.eye(3)).max() > 1e-3:
            raise ValueError("its rotations are not rotations")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInputError(
            f"The camera path {source} cannot be used ({why_no_arrays(error)}); "
            "give an .npz with K, rotation (N,3,3) and translation (N,3), world to camera."
        ) from error
    return CameraPath(frame=frame, K=K, rotation=rotation, translation=translation, dist=dist)


def choose_camera(width: int, height: int, settings: Settings, *, film_focal: float | None = None) -> Camera:
    """The camera of a picture: what the user said, else what the file says, else a usual lens.

    `film_focal` is the 35 mm equivalent in the file, millimetres.
    """
    if settings.camera_path:
        path = load_camera_path(settings.camera_path)
        return path.camera(int(path.frame[0]), width, height)
    distortion = settings.distortion
    if len(distortion) > 5:
        raise BadInputError("More than five distortion coefficients were given; only k1 k2 p1 p2 k3 are used.")
    if settings.focal is not None:
        return Camera.from_focal(width, height, settings.focal, distortion=distortion)
    if settings.fov is not None:
        return Camera.from_fov(width, height, settings.fov, distortion=distortion)
    if film_focal is not None:
        return Camera.from_film(width, height, film_focal, distortion=distortion)
    return Camera.estimated(width, height, distortion=distortion)


def camera_of_still(first: Camera, width: int, height: int, *, film_focal: float | None = None) -> Camera:
    """The camera of a further still, which may have another size, or be of another camera, than the `first`.

    A lens that the user gave stays the same lens: of a larger or a turned picture. Else the picture's own file counts.
    """
    if first.source == "given":
        longer = max(width, height) / max(first.width, first.height)
        if (width, height) == (first.width, first.height):
            return first
        return Camera.from_focal(width, height, float(first.K[0, 0]) * longer, distortion=tuple(first.dist))
    if film_focal is not None:
        return Camera.from_film(width, height, film_focal, distortion=tuple(first.dist))
    return Camera.estimated(width, height, distortion=tuple(first.dist))


def _focal_of(length: float, degrees: float) -> float:
    return length / (2.0 * math.tan(math.radians(degrees) / 2.0))
