# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge DetNet on shards: each crop as the engine sees it, before and after the fit, beside MediaPipe alone.

    python -m training.detnet.evaluate --shards TEST_DIR --model blender_handmocap/models/detnet.onnx [--held-out]

`--held-out` judges only the rows of training shards that no run trains on. Errors are of points: pixels
in percent of the hand's box, millimetres after a similarity alignment (PA) and with the middle
knuckles and scales together (rooted), and degrees at the middle joints of bent fingers: all of them, and
those that can be seen.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.live import LiveFitter
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.detnet import Blend
from blender_handmocap.engine.see.fusion import observed, ray_rotation
from blender_handmocap.engine.see.landmarks import SeenHand

from .blend import WHOLE, drawn, kept, look
from .shards import held_out
from .train import similarity_errors

Array = NDArray[np.float64]

_FINGERS: Final = ((0, 5, 6, 7), (0, 9, 10, 11), (0, 13, 14, 15), (0, 17, 18, 19))
"""wrist, knuckle, middle and outer joint of each finger"""
_BENT: Final = 40.0
"""degrees from which a finger counts as bent at its middle joint"""


@dataclass(frozen=True)
class Answer:
    """One hand as one method sees it."""

    pixels: Array
    """(21, 2)"""
    points: Array
    """(21, 3) any unit, axes of the crop's camera along the crop's ray"""


Method = Callable[[SeenHand, Camera], Answer]


def mediapipe(reading: str) -> Method:
    """One of the readings of MediaPipe's own outputs."""

    def method(seen: SeenHand, _: Camera) -> Answer:
        if reading == "world":
            return Answer(seen.screen[:, :2], seen.world)
        flat, deep = (values[:, :2] - values[:, :2].mean(0) for values in (seen.screen, seen.world))
        scale = np.linalg.norm(flat) / max(float(np.linalg.norm(deep)), 1e-9)
        points = np.column_stack([seen.screen[:, :2], seen.world[:, 2] * scale])
        return Answer(seen.screen[:, :2], points)

    return method


def learned_alone(seen: SeenHand, _: Camera) -> Answer:
    """DetNet by itself."""
    assert seen.learned is not None
    return Answer(seen.learned.points, seen.learned.form)


def engine(blend: Blend | None, *, fitted: bool) -> Method:
    """What the engine observes, with DetNet or without, or its hand fitted to that."""

    def method(seen: SeenHand, camera: Camera) -> Answer:
        observation = observed(seen, camera, blend, motion=0.0, size=(HAND_INPUT, HAND_INPUT))
        along = ray_rotation(camera.rays(WHOLE[:2]))
        if not fitted:
            return Answer(observation.points2d, observation.points3d @ along)
        fitter = LiveFitter(camera)
        pose = fitter.step({"right": observation}, 0.0).get("right")
        points = np.full((21, 3), np.nan) if pose is None else pose.points
        return Answer(camera.project(points), points @ along)

    return method


def compared(blend: Blend, *, fitted: bool) -> dict[str, Method]:
    """The rows of the table."""
    methods: dict[str, Method] = {
        "MediaPipe, world": mediapipe("world"),
        "MediaPipe, screen + world depth": mediapipe("screen"),
        "MediaPipe, mean (engine)": engine(None, fitted=False),
        "DetNet": learned_alone,
        "blend (engine)": engine(blend, fitted=False),
    }
    if fitted:
        methods["MediaPipe, fitted"] = engine(None, fitted=True)
        methods["blend, fitted"] = engine(blend, fitted=True)
    return methods


def bends(points: Array) -> Array:
    """(N, 4) degrees at the middle joint of each finger."""
    index = np.array(_FINGERS)
    before = points[:, index[:, 2]] - points[:, index[:, 1]]
    after = points[:, index[:, 3]] - points[:, index[:, 2]]
    cosine = (before * after).sum(-1) / (np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1) + 1e-12)
    return np.asarray(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def figures(
    answers: Sequence[Answer], pixels: Array, points: Array, visible: NDArray[np.bool_] | None = None
) -> dict[str, float]:
    """Errors against the truth: (N, 21, 2) pixels and (N, 21, 3) metres.

    With `visible` (N, 21) bent fingers all of whose three points are seen are told besides.
    """
    said, seen = np.stack([a.points for a in answers]), np.stack([a.pixels for a in answers])
    box = np.ptp(pixels, axis=1).max(1)
    centred, truth = said - said[:, 9:10], points - points[:, 9:10]
    scale = (centred * truth).sum((1, 2)) / np.maximum((centred**2).sum((1, 2)), 1e-12)
    true_bend = bends(points)
    off, bent = bends(said) - true_bend, true_bend > _BENT
    groups = {"": bent}
    if visible is not None:
        groups["seen "] = bent & visible[:, np.array(_FINGERS)[:, 1:]].all(-1)
    bending = {
        f"{name}{key}": float(values[chosen].mean()) if chosen.any() else math.nan
        for name, chosen in groups.items()
        for key, values in (("bent deg", np.abs(off)), ("bias deg", off))
    }
    return {
        "2D %": 100.0 * float((np.linalg.norm(seen - pixels, axis=-1).mean(1) / box).mean()),
        "PA mm": 1000.0 * float(similarity_errors(said, points).mean()),
        "rooted mm": 1000.0 * float(np.linalg.norm(centred * scale[:, None, None] - truth, axis=-1).mean()),
    } | bending


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--rows", type=int, default=10**9, help="of each shard, from the first on")
    parser.add_argument("--fit", action="store_true", help="the hand fitted as well: some minutes")
    options = parser.parse_args(arguments)
    folders = drawn(options.shards)

    def rows_of(count: int) -> NDArray[np.int64]:
        return held_out(count) if options.held_out else np.arange(min(count, options.rows))

    looked, blend = look(folders, options.model, rows_of)

    def label(read: Callable[[Path], NDArray[np.generic]]) -> Array:
        parts = [read(folder) for folder in folders]
        return np.concatenate([part[rows_of(len(part))] for part in parts]).astype(np.float64)

    points, second, visible = (
        label(lambda folder, n=name: np.load(folder / n)) for name in ("points3d.npy", "second.npy", "visible.npy")
    )
    matrices = label(lambda folder: np.load(folder / "truth.npz")["K"])
    methods = compared(blend, fitted=options.fit)
    answers: dict[str, list[Answer]] = {name: [] for name in methods}
    usable = np.flatnonzero(kept(looked) & looked.own)
    for i in usable:
        camera = Camera(K=matrices[i], dist=np.zeros(5), width=HAND_INPUT, height=HAND_INPUT)
        for name, method in methods.items():
            answers[name].append(method(looked.seen[i], camera))
    two = second[usable] > 0
    for title, chosen in {"all": np.full(len(usable), True), "two hands": two, "one hand": ~two}.items():
        sys.stdout.write(f"{title}: {chosen.sum()} hands\n")
        for name, every in answers.items():
            mine = [every[i] for i in np.flatnonzero(chosen)]
            truth = (values[usable][chosen] for values in (looked.points2d, points, visible > 0))
            told = figures(mine, *truth)
            sys.stdout.write(f"  {name:34s}" + "".join(f"{key} {value:6.1f}  " for key, value in told.items()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
