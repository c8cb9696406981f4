# SPDX-License-Identifier: GPL-3.0-or-later
"""Fitted real hands drawn again: their own pixels on the mesh, new views, shapes, hands beside them and places.

    python -m training.detnet.redrawn --fitted FITTED.npz --out SHARDS/redrawn-000-00000 [--each 3] [--sheet SHEET.jpg]

After Baek et al. 2019, section 3.5: a fit that is a little off is an exact label once the fitted hand itself is
drawn, with the skin of the photograph. What the photograph does not show is filled with the painted skin whose
colour is nearest, tinted to it; light is taken out as far as it varies with the way the surface faces.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from blender_handmocap.engine.fit.hinges import angles_from_rotations
from blender_handmocap.engine.hand.free import free_hinges
from training.footage import dataset, looks, skin, two_hands
from training.footage.atlas import atlas
from training.footage.bodies import Texture
from training.footage.render import SIDE_LABEL, draw
from training.footage.scene import Scene
from training.footage.situations import Mixture, Sampler
from training.footage.surface import hand_model

from .fitted import FittedHands

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]

TEXTURE_SIZE: Final = 512
_EACH: Final = 3
"""rows of a fitted hand"""
_SHAPE_LIMIT: Final = 3.0
_SHAPE_SIGMA: Final = 1.5
_POSE_SIGMA: Final = 4.0
"""degrees by which a row's angles differ from the fitted ones"""
_SPREAD: Final = 0.0035
"""metres from a pixel's place on the hand up to which its colour holds"""
_BORDER: Final = 2
"""pixels at the edge of the hand that may show what lies behind it"""
_LIGHT_RANGE: Final = (0.5, 2.0)
_LINEAR: Final = ((np.arange(256) / 255.0) ** 2.2).astype(np.float32)
_TINT_RANGE: Final = (0.25, 4.0)
_PAINTED: Final = 6
"""painted skins that may fill what is not seen"""
_MIXTURE: Final = Mixture(touching=0.15, near=0.15, apart=0.08, frontal=0.7)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What a photograph shows of a hand's skin: pixels (P, ...) with their place on the right hand at rest."""

    place: FloatArray
    """(P, 3) metres"""
    colour: FloatArray
    """(P, 3) linear RGB with the light's direction taken out"""


def seen_skin(hands: FittedHands, index: int) -> Seen:
    """The pixels of one fitted hand."""
    scene = hands.scene(index)
    drawn = draw(scene, quality="plain")
    inside = (drawn.side == SIDE_LABEL[hands.side(index)]) & (hands.mask[index] > 0)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * _BORDER + 1, 2 * _BORDER + 1))
    inside = cv2.erode(inside.astype(np.uint8), disc) > 0
    linear = _LINEAR[hands.image[index]][inside]
    return Seen(drawn.correspondence[inside], evened(linear, _normals(drawn.depth, scene.K)[inside]))


def _normals(depth: FloatArray, K: Array) -> FloatArray:
    """(H, W, 3) unit normals of a depth map, towards the camera."""
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(np.float32)
    points = np.stack([(columns - K[0, 2]) / K[0, 0] * depth, (rows - K[1, 2]) / K[1, 1] * depth, depth], axis=-1)
    points = cv2.GaussianBlur(points.astype(np.float32), (0, 0), 1.5)
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12), np.float32)


def evened(colour: FloatArray, normals: FloatArray) -> FloatArray:
    """Linear colours (P, 3) without what their brightness owes to a linear function of the normals (P, 3)."""
    brightness = colour.mean(1)
    design = np.column_stack([np.ones(len(normals)), normals])
    found, *_ = np.linalg.lstsq(design, brightness, rcond=None)
    light = (design @ found) / max(float(brightness.mean()), 1e-6)
    return np.asarray(colour / np.clip(light, *_LIGHT_RANGE)[:, None], np.float32)


@lru_cache(maxsize=1)
def painted() -> dict[int, skin.Skin]:
    """The painted skins that may be trained on, without polish and tattoos, small."""
    plain = (seed for seed in looks.skins(test=False) if not _marked(skin.person(seed)))
    return {seed: skin.bake(seed, TEXTURE_SIZE) for seed in list(plain)[:_PAINTED]}


def _marked(who: skin.Person) -> bool:
    return who.tattooed or who.polish is not None


def skin_of(seen: Seen) -> skin.Skin:
    """The whole skin of a hand, from what was seen of it and the painted skin that is most like that."""
    surface = atlas(TEXTURE_SIZE)
    distance, nearest = cKDTree(seen.place).query(surface.position, k=3, distance_upper_bound=2.0 * _SPREAD)
    known = np.isfinite(distance)
    weight = np.where(known, 1.0 / np.maximum(distance, 1e-4), 0.0)
    padded = np.concatenate([seen.colour, np.zeros((1, 3), np.float32)])
    own = (padded[nearest] * weight[..., None]).sum(1) / np.maximum(weight.sum(1), 1e-9)[:, None]
    share = np.clip(2.0 - np.where(known[:, 0], distance[:, 0], np.inf) / _SPREAD, 0.0, 1.0)[:, None]
    sure = share[:, 0] > 0.99

    def colours(candidate: skin.Skin) -> FloatArray:
        return candidate.albedo[surface.rows, surface.columns]

    def tint(candidate: skin.Skin) -> Array:
        return np.clip(own[sure].mean(0) / np.maximum(colours(candidate)[sure].mean(0), 1e-4), *_TINT_RANGE)

    # The least tinted has the palm, lines and nails of such a skin.
    base = min(painted().values(), key=lambda candidate: float(np.abs(np.log(tint(candidate))).sum()))
    filled = np.clip(colours(base) * tint(base), 0.004, 1.0)
    whole = np.clip(filled + (own - filled) * share, 0.004, 1.0)
    return replace(base, albedo=surface.filled(surface.image(whole.astype(np.float32))))


class Again(Sampler):
    """Scenes of one fitted hand: its pose and skin, any shape, view and company."""

    def __init__(self, random: np.random.Generator, angles: Array, own: Texture) -> None:
        """`angles` (N, 16, 3) are the poses drawn from."""
        patterns = two_hands.load().chosen(test=False) if two_hands.PATTERN_FILE.exists() else None
        super().__init__(random, mixture=_MIXTURE, patterns=patterns, angles=angles)
        self._own = own

    def shape(self, random: np.random.Generator) -> tuple[Array, float]:
        """Betas (10,) of up to three deviations, and a palm length in metres."""
        betas = np.clip(random.normal(size=10) * _SHAPE_SIGMA, -_SHAPE_LIMIT, _SHAPE_LIMIT)
        length = float(np.linalg.norm(hand_model("right").rest(betas).joints[4]))
        return betas, length * float(np.exp(random.normal() * 0.05))

    def scene(self, random: np.random.Generator) -> Scene:
        """One scene without a look but for the skin."""
        made = super().scene(random)
        return replace(made, look=replace(made.look, skin_texture=self._own))


def poses_about(angles: Array, random: np.random.Generator, count: int) -> Array:
    """(N, 16, 3) hinge angles near those of one hand (16, 3)."""
    moved = angles + np.radians(_POSE_SIGMA) * random.normal(size=(count, *angles.shape)) * (angles != 0.0)
    limits = free_hinges("right").limits
    return np.clip(moved, limits[..., 0], limits[..., 1])


def rows(hands: FittedHands, settings: dataset.Settings, each: int) -> Iterator[dataset.Row]:
    """So many rows of every hand."""
    for index in range(len(hands)):
        random = np.random.default_rng([settings.seed, index, 61])
        angles = angles_from_rotations(
            hands.rotation[index], free_hinges(hands.side(index)), carry=False, within_limits=True
        )
        own = skin.to_texture(skin_of(seen_skin(hands, index)))
        sampler = Again(random, poses_about(angles, random, 4 * each), own)
        found = attempt = 0
        while found < each:
            row = dataset.draw_row(settings, sampler, (index, found, attempt))
            attempt += 1
            if row is not None:
                found += 1
                yield row


def sheet(hands: FittedHands, images: NDArray[np.uint8], each: int, count: int = 12) -> NDArray[np.uint8]:
    """Photographs spread over all, each beside its rows, of `images` (rows, S, S, 3) RGB."""
    size = images.shape[1]
    lines = [
        np.hstack([cv2.resize(hands.image[index], (size, size)), *images[each * index : each * (index + 1)]])
        for index in np.unique(np.linspace(0, len(hands) - 1, count).astype(int))
    ]
    return np.vstack(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fitted", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=_EACH, help="rows of a hand")
    parser.add_argument("--sheet", type=Path, help="a picture of the first ones, to look at")
    parser.add_argument("--seed", type=int, default=100, help="unlike those of the drawn shards")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    hands = FittedHands.read(options.fitted)
    count = len(hands) * options.each
    dataset.write_rows(options.out, rows(hands, dataset.Settings(seed=options.seed), options.each), count)
    if options.sheet is not None:
        drawn = sheet(hands, np.load(options.out / "image.npy", mmap_mode="r"), options.each)
        cv2.imwrite(str(options.sheet), np.ascontiguousarray(drawn[:, :, ::-1]))
    log.info("%d rows of %d hands", count, len(hands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
