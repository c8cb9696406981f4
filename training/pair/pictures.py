# SPDX-License-Identifier: GPL-3.0-or-later
"""Crops around both hands with what is true of them: one drawing, several crops.

Drawing is dear and cutting is cheap: a scene is drawn once, a little larger than a crop, and cut
several times as trackers of different skill might, every other time in the mirror. Hands are in the
order of SIDES, as the crop shows them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import CONTACT_PARTS, KEYPOINT_COUNT, SIDES
from blender_handmocap.engine.see.crops import cut, turned
from blender_handmocap.engine.see.fusion import ray_rotation
from blender_handmocap.engine.see.pair_crop import crop_of_pair
from training.footage import looks, mesh_gap
from training.footage.crops import CROP_SIZE, crop_matrix, draw_box, keypoints2d
from training.footage.render import Picture
from training.footage.scene import HandPose, Scene
from training.footage.situations import Mixture, Sampler
from training.footage.surface import hand_model

Array = NDArray[np.float64]
Random = np.random.Generator

LEFT: Final = SIDES.index("left")
RIGHT: Final = SIDES.index("right")
MAP_SIZE: Final = 56
"""pixels a side of the map of sides"""
REGION_SIZE: Final = 336
"""pixels a side of what is drawn"""
_REGION: Final = 1.75
"""sides of a crop that the drawing holds"""
LEAST_INSIDE: Final = 8
"""points of a hand that must lie in the crop and in the picture for it to be there"""
_LEAST_AREA: Final = 0.012
"""share of the drawing that hands must cover"""
_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_PHANTOM_TURN: Final = 0.8
_PHANTOM_SIZE: Final = 0.2
_PHANTOM_AWAY: Final = 0.6
"""how hands that are not there stray from the ones that are: radians, logarithm, longer sides of the box"""


@dataclass(frozen=True)
class Situations:
    """Shares of what is drawn, and how crops stray."""

    mixture: Mixture = field(default_factory=lambda: Mixture(touching=0.55, near=0.2, apart=0.08, frontal=0.5))
    nothing: float = 0.05
    """no hand at all"""
    strangers: float = 0.04
    """two hands of one side, as of two people"""
    one_known: float = 0.5
    """crops placed from one hand while the other is looked for"""
    phantom: float = 0.4
    """crops of single hands placed as if a second one had been seen near them"""
    upright: float = 0.1
    """crops that were not turned"""
    points: float = 0.04
    """standard deviation of the points a crop is placed from, in shares of the hand's box"""
    rotation: float = 0.2
    """radians"""
    wild: float = 0.08
    """share of crops turned evenly by up to a right angle"""
    scale: float = 0.12
    """standard deviation of the logarithm"""
    shift: float = 0.05
    """in sides of the crop"""


class Laid(IntEnum):
    """How the two hands of a crop came together. How real ones stand to each other nobody knows: not their depth to
    each other, the way between the wrists, or what touches."""

    DRAWN = 0
    """all is known"""
    LEFT_IN_FRONT = 1
    """real hands, the left one laid over the right one"""
    RIGHT_IN_FRONT = 2

    @property
    def mirrored(self) -> Laid:
        """In the mirror left is right."""
        swap = {Laid.LEFT_IN_FRONT: Laid.RIGHT_IN_FRONT, Laid.RIGHT_IN_FRONT: Laid.LEFT_IN_FRONT}
        return swap.get(self, self)


@dataclass(frozen=True)
class Truth:
    """What is true of one crop."""

    present: NDArray[np.uint8]
    """(2,) the crop shows this hand, seen or hidden behind the other"""
    pair: bool
    """the hands are a left and a right one that belong together"""
    strangers: bool
    """two hands of one side: where their points are is not said"""
    points2d: Array
    """(2, 21, 2) crop pixels, integer = pixel centre"""
    points3d: Array
    """(2, 21, 3) metres, axes of a camera that looks along the crop's own ray"""
    visible: NDArray[np.uint8]
    """(2, 21)"""
    palm: float
    """metres"""
    gap: Array
    """(6, 6) metres between CONTACT_PARTS of the left and of the right hand, at most mesh_gap.FAR"""
    sides: NDArray[np.uint8]
    """(56, 56) 0 no hand, 1 left, 2 right; maps hold what their cells' middles show"""
    surface: Array
    """(56, 56, 3) metres: which point of the canonical right hand at rest is seen; 0 off the hands"""
    depth: Array
    """(56, 56) metres along the crop's own ray; 0 off the hands"""
    laid: Laid = Laid.DRAWN
    """of two hands"""

    @classmethod
    def of_none(cls, palm: float) -> Truth:
        """No hand is there; arrays of zeros, and parts that are far from each other."""
        hands, maps, parts = len(SIDES), (MAP_SIZE, MAP_SIZE), len(CONTACT_PARTS)
        return cls(
            present=np.zeros(hands, np.uint8),
            pair=False,
            strangers=False,
            points2d=np.zeros((hands, KEYPOINT_COUNT, 2)),
            points3d=np.zeros((hands, KEYPOINT_COUNT, 3)),
            visible=np.zeros((hands, KEYPOINT_COUNT), np.uint8),
            palm=palm,
            gap=np.full((parts, parts), mesh_gap.FAR),
            sides=np.zeros(maps, np.uint8),
            surface=np.zeros((*maps, 3)),
            depth=np.zeros(maps),
        )

    def mirrored(self) -> Truth:
        """The same in the mirror: left is right."""
        points2d = self.points2d[::-1].copy()
        points2d[..., 0] = CROP_SIZE - 1 - points2d[..., 0]
        return Truth(
            present=self.present[::-1].copy(),
            pair=self.pair,
            strangers=self.strangers,
            points2d=points2d,
            points3d=self.points3d[::-1] * _MIRROR,
            visible=self.visible[::-1].copy(),
            palm=self.palm,
            gap=self.gap.T.copy(),
            sides=np.array([0, 2, 1], np.uint8)[self.sides[:, ::-1]],
            surface=self.surface[:, ::-1].copy(),
            depth=self.depth[:, ::-1].copy(),
            laid=self.laid.mirrored,
        )


def drawn_crops(
    sampler: Sampler, situations: Situations, seed: np.random.SeedSequence, count: int, *, test: bool
) -> list[tuple[NDArray[np.uint8], Truth]] | None:
    """`count` crops (224, 224, 3) of one drawn scene with their truth; None if hardly a hand can be seen."""
    scene_seed, grain, crop_seed = seed.spawn(3)
    random = np.random.default_rng(scene_seed)
    scene = sampler.scene(random)
    pick = random.random()
    if pick < situations.strangers and len(scene.hands) == len(SIDES):
        scene = with_strangers(scene)
    scene = looks.dressed(scene, random, test=test)
    empty = situations.strangers <= pick < situations.strangers + situations.nothing
    known = [keypoints2d(scene, index) for index in range(len(scene.hands))]
    region = crop_of_pair(known)
    region[2:4] *= _REGION
    if empty:
        things = tuple(thing for thing in scene.look.things if thing.hand is None)
        scene = replace(scene, look=replace(scene.look, things=things, wear=()), hands_end=None)
    picture = draw_box(scene, region, grain, size=REGION_SIZE, hands_shown=not empty)
    if not empty and (picture.side > 0).mean() < _LEAST_AREA:
        return None
    random = np.random.default_rng(crop_seed)
    inside = [_inside(points, scene) for points in known]
    gap = _gap(scene)
    to_region = crop_matrix(region, REGION_SIZE)
    places = [points @ to_region[:, :2].T + to_region[:, 2] for points in known]
    out = []
    for _ in range(count):
        crop = strayed(places, situations, random)
        truth = _truth(picture, crop, inside, gap, empty=empty)
        shown = cut(picture.image, crop, CROP_SIZE, replicate=True)
        if random.random() < 0.5:
            shown, truth = np.ascontiguousarray(shown[:, ::-1]), truth.mirrored()
        out.append((shown, truth))
    return out


def with_strangers(scene: Scene) -> Scene:
    """The scene with its left hand exchanged for a second right one in the same place."""
    hands = tuple(_exchanged(hand, scene) if hand.side == "left" else hand for hand in scene.hands)
    return replace(scene, hands=hands, look=replace(scene.look, things=()))


def _exchanged(hand: HandPose, scene: Scene) -> HandPose:
    other = hand.mirrored()
    shift = _keypoints(hand, scene).mean(0) - _keypoints(other, scene).mean(0)
    return replace(other, translation=other.translation + shift)


def strayed(hands: list[Array], situations: Situations, random: Random) -> Array:
    """A crop (5,) such as a tracker might place for hands at these points (21, 2)."""
    points = [
        hand + random.normal(size=hand.shape) * situations.points * float(np.ptp(hand, axis=0).max()) for hand in hands
    ]
    if len(points) > 1 and random.random() < situations.one_known:
        points = [points[int(random.integers(len(points)))]]
    elif len(points) == 1 and random.random() < situations.phantom:
        points.append(_phantom(points[0], random))
    crop = crop_of_pair(points)
    pick = random.random()
    if pick < situations.upright:
        crop[4] = 0.0
    elif pick < situations.upright + situations.wild:
        crop[4] += random.uniform(-np.pi / 2, np.pi / 2)
    else:
        crop[4] += random.normal() * situations.rotation
    crop[2:4] *= np.exp(random.normal() * situations.scale)
    crop[:2] += random.normal(size=2) * situations.shift * crop[2]
    return crop


def _phantom(points: Array, random: Random) -> Array:
    """Where a second hand might wrongly be seen near one at points (21, 2): over it, or a hand's length off."""
    middle, extent = points.mean(0), float(np.ptp(points, axis=0).max())
    turn = turned(random.normal() * _PHANTOM_TURN)
    size = np.exp(random.normal() * _PHANTOM_SIZE)
    return np.asarray((points - middle) @ turn * size + middle + random.normal(size=2) * _PHANTOM_AWAY * extent)


def _inside(points: Array, scene: Scene) -> NDArray[np.bool_]:
    """(21,) points that lie within the scene's whole picture."""
    return np.asarray(((points >= -0.5) & (points <= [scene.width - 0.5, scene.height - 0.5])).all(-1))


def _keypoints(hand: HandPose, scene: Scene) -> Array:
    model = hand_model(hand.side)
    rest = model.rest(scene.betas, scene.size)
    points: Array = model.pose(hand.rotation[None], hand.translation[None], rest).keypoints[0]
    return points


def _gap(scene: Scene) -> Array:
    parts = len(CONTACT_PARTS)
    by_side = {hand.side: hand for hand in scene.hands}
    if len(by_side) < len(SIDES):
        return np.full((parts, parts), mesh_gap.FAR)
    meshes = []
    for hand in (by_side["right"], by_side["left"]):
        model = hand_model(hand.side)
        rest = model.rest(scene.betas, scene.size)
        meshes.append(model.vertices(hand.rotation[None], hand.translation[None], rest)[0])
    return mesh_gap.measure_meshes(*meshes)[2]


def _truth(picture: Picture, crop: Array, inside: list[NDArray[np.bool_]], gap: Array, *, empty: bool) -> Truth:
    """What is true of a crop (5,) of the drawn region; `inside` (21,) a hand: points of it in the whole picture."""
    scene = picture.scene
    matrix = crop_matrix(crop)
    ray = np.linalg.solve(scene.K, [crop[0], crop[1], 1.0])
    turn = np.eye(3)
    turn[:2, :2] = turned(float(crop[4]))
    own_axes = ray_rotation(ray) @ turn
    truth = Truth.of_none(palm_length(scene.betas, scene.size))
    strangers = len({hand.pose.side for hand in picture.hands}) < len(picture.hands)
    for hand, within in zip(picture.hands, inside, strict=True):
        slot = SIDES.index(hand.pose.side)
        places = hand.keypoints2d @ matrix[:, :2].T + matrix[:, 2]
        shown = within & ((places >= -0.5) & (places <= CROP_SIZE - 0.5)).all(-1)
        if empty or shown.sum() < LEAST_INSIDE:
            continue
        truth.present[slot] = 1
        truth.points2d[slot], truth.points3d[slot] = places, hand.keypoints3d @ own_axes
        truth.visible[slot] = hand.visible & shown
    sides, surface, depth = _maps(picture, matrix, own_axes)
    return replace(
        truth,
        pair=bool(truth.present.all()),
        strangers=strangers,
        gap=gap if truth.present.all() else truth.gap,
        sides=sides,
        surface=surface,
        depth=depth,
    )


def palm_length(betas: Array, size: float | None = None) -> float:
    """Metres from the wrist to the middle knuckle of a hand of a shape; `size`: as the model's `rest` takes it."""
    joints = hand_model("right").rest(betas, size).joints
    return float(np.linalg.norm(joints[4] - joints[0]))


def cells(matrix: Array, height: int, width: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Row and column (56, 56) of the picture's pixel in the middle of each cell of the maps, and whether the picture
    has it; `matrix` (2, 3): picture pixels to crop pixels."""
    size = CROP_SIZE // MAP_SIZE
    middle = np.arange(MAP_SIZE) * size + (size - 1) / 2
    # `cut` puts the crop's pixel x at matrix^-1 x, and a picture's integer pixels are centres.
    places = (np.stack(np.meshgrid(middle, middle), axis=-1) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    nearest = np.rint(places).astype(np.intp)
    within = ((nearest >= 0) & (nearest < [width, height])).all(-1)
    column, row = np.where(within[..., None], nearest, 0).transpose(2, 0, 1)
    return row, column, within


def _maps(picture: Picture, matrix: Array, own_axes: Array) -> tuple[NDArray[np.uint8], Array, Array]:
    """`sides`, `surface` and `depth` of a crop's Truth; `matrix` (2, 3): picture pixels to crop pixels."""
    row, column, within = cells(matrix, *picture.side.shape)
    sides = np.where(within, picture.side[row, column], 0).astype(np.uint8)
    hand = sides > 0
    surface = np.where(hand[..., None], picture.correspondence[row, column], 0.0).astype(np.float64)
    K = picture.scene.K
    rays = np.stack([(column - K[0, 2]) / K[0, 0], (row - K[1, 2]) / K[1, 1]], axis=-1)
    along = rays @ own_axes[:2, 2] + own_axes[2, 2]
    depth = np.where(hand, picture.depth[row, column] * along, 0.0).astype(np.float64)
    return sides, surface, depth
