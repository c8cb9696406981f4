# SPDX-License-Identifier: GPL-3.0-or-later
"""Clips made from our own hand: a movie, and everything true of it as a Take beside it (NAME.mp4, NAME.truth.npz)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import Take, load_take

from .. import skin
from ..hands import Array, Clip, Picture, Shape, TestSet, TrueFrame, TrueHand
from . import pictures

SEEN_FROM = 0.5
"""A point is visible when the truth gives it at least this visibility."""
_NEAR_MM = 30.0
"""Hands whose boxes are farther apart than this are not searched for touching skin."""


def truth_beside(movie: Path) -> Path:
    """Where the truth of a movie lies."""
    return movie.with_suffix(".truth.npz")


def load(movie: Path) -> TestSet:
    """The set of one movie with its truth."""
    return TestSet(name=movie.stem, clips=(clip_of(movie, load_take(truth_beside(movie)), row=movie.stem),))


def clip_of(
    source: Path,
    take: Take,
    *,
    row: str,
    name: str = "",
    reader: Callable[[], Iterator[tuple[int, Picture]]] | None = None,
) -> Clip:
    """A clip whose truth is a Take; `reader` yields its pictures where `source` is not a movie."""
    if not len(take):
        raise BadInputError(f"The truth of {source.name} has no frames; render it again.")
    numerator, denominator = take.meta["rate"]
    return Clip(
        name=name or source.stem,
        row=row,
        source=source,
        ordered=True,
        rate=Fraction(numerator, denominator),
        K=take.K if take.K.ndim == 2 else take.K[0],
        dist=take.dist,
        frames=true_frames(take),
        complete=True,
        pictures=reader or pictures.reader(source, int(take.frame.max())),
        shape=Shape(take.betas, take.size),
    )


def true_frames(take: Take) -> tuple[TrueFrame, ...]:
    """Every frame of a true Take, with touching skin found on the meshes."""
    both = take.left.present & take.right.present
    meshes = {
        side: skin.vertices_mm(
            side, take.track(side).rotation[both], take.track(side).translation[both], take.betas, take.size
        )
        for side in SIDES
    }
    place = np.cumsum(both) - 1
    camera = Camera(K=take.K if take.K.ndim == 2 else take.K[0], dist=take.dist, width=0, height=0)
    frames = []
    for row in range(len(take)):
        touching, parts, touched = None, None, {}
        if both[row]:
            left, right = meshes["left"][place[row]], meshes["right"][place[row]]
            if _gap(left, right) < _NEAR_MM:
                touching, parts = skin.contact_of(left, right)
                touched["left"] = left[touching.left_vertex]
                touched["right"] = (right[touching.right_corner] * touching.right_weight[..., None]).sum(1)
            else:
                parts = np.zeros((6, 6), bool)
        hands = []
        for side in SIDES:
            track = take.track(side)
            if not track.present[row]:
                continue
            points = track.points[row] * 1000.0
            hands.append(
                TrueHand(
                    side=side,
                    points2d=camera.project(points),
                    points3d=points,
                    visible=track.visibility[row] >= SEEN_FROM,
                    rotation=track.rotation[row],
                    translation=track.translation[row],
                    touching=skin.points_near(points, touched.get(side, np.zeros((0, 3)))),
                )
            )
        frames.append(TrueFrame(int(take.frame[row]), tuple(hands), parts, touching))
    return tuple(frames)


def _gap(left: Array, right: Array) -> float:
    """Distance between the boxes of two meshes, mm; 0 if they overlap."""
    apart = np.maximum(left.min(0) - right.max(0), right.min(0) - left.max(0))
    return float(np.linalg.norm(np.maximum(apart, 0.0)))
