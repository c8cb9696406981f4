# SPDX-License-Identifier: GPL-3.0-or-later
"""draw(scene, seed) -> Picture: the image, exact maps, keypoints and their visibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.model import RestHand
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, Side

from . import lens, pixels, raster, scenery, shading, skin, surface_light, things, wear
from .bodies import Assembly, Body, assemble
from .scene import AMBIENT_DIRECTIONS, HandPose, Scene
from .surface import hand_model, render_hand

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]

SIDE_LABEL: Final[dict[Side, int]] = {"left": 1, "right": 2}
"""What the side map holds; 0 is no hand."""

Quality = Literal["reference", "full", "plain"]
"""full: smooth edges, light from all round with its shadows, mirrored surroundings. plain: none of these.
reference: as full, drawn the slow way the sums of the frozen test sets were made with; it never changes."""


@dataclass(frozen=True)
class _Effort:
    """What is spent on the light of one moment."""

    all_effects: bool
    """smooth edges, light from all round with its shadows, mirrored surroundings"""
    quick: bool
    """at most two surfaces a pixel, light at every other pixel of every other row"""
    shadow_size: int
    """of the lights' depth maps, pixels"""


_EFFORT: Final[dict[Quality, _Effort]] = {
    "reference": _Effort(all_effects=True, quick=False, shadow_size=256),
    "full": _Effort(all_effects=True, quick=True, shadow_size=192),
    "plain": _Effort(all_effects=False, quick=True, shadow_size=128),
}
_BLUR_EFFORT: Final[dict[Quality, _Effort]] = {
    "reference": _Effort(all_effects=False, quick=False, shadow_size=128),
    "full": _Effort(all_effects=False, quick=True, shadow_size=96),
}
"""For each of the moments a blurred picture is the mean of."""
_SKY_SIZE: Final = 72
_OPPOSITE: Final = (AMBIENT_DIRECTIONS @ AMBIENT_DIRECTIONS.T).argmin(1)
"""(12,) index of the opposite direction."""
_SKY_WRAP: Final = np.float32(0.25)
_BLUR_MOMENTS: Final = 7
_SAME_SURFACE: Final = 2.0
"""Pixels of depth that two samples of a pixel may lie apart on one surface."""
_NO_FACES: Final = np.zeros((0, 0), np.int32)
_NO_DEPTH: Final = np.zeros((0, 0), np.float32)
_NO_MIRROR: Final = np.zeros((0, 0, 3), np.float32)
_MIRROR_SIZE: Final = 16


@dataclass(frozen=True)
class HandTruth:
    """One hand of a picture."""

    pose: HandPose
    keypoints2d: Array
    """(21, 2) pixels"""
    keypoints3d: Array
    """(21, 3) metres, camera axes"""
    visible: NDArray[np.bool_]
    """(21,) inside the picture and nothing before it but the flesh it lies in"""


@dataclass(frozen=True)
class Picture:
    """A drawn scene with its truth. Maps are exact at pixel centres, mid-exposure, before the lens."""

    image: NDArray[np.uint8]
    """(H, W, 3) RGB"""
    side: NDArray[np.uint8]
    """(H, W) 0 no hand, 1 left, 2 right; rings and gloves count as hand, sleeves and watches do not"""
    part: NDArray[np.uint8]
    """(H, W) 0 no hand, else 1 + part: 0..15 named after joints, 16 the forearm"""
    depth: FloatArray
    """(H, W) metres along z of the first body seen, hand or not; 0 where the backdrop shows"""
    correspondence: FloatArray
    """(H, W, 3) metres: which point of the canonical right hand at rest, mean shape, is seen; 0 off the hands"""
    hands: tuple[HandTruth, ...]
    scene: Scene

    def mirrored(self) -> Picture:
        """The picture in a mirror: left is right; things and lights of `scene` are left as they were drawn."""
        swap = np.array([0, 2, 1], np.uint8)
        last = self.scene.width - 1
        K = self.scene.K.copy()
        K[0, 2] = last - K[0, 2]
        ends = self.scene.hands_end
        return Picture(
            image=np.ascontiguousarray(self.image[:, ::-1]),
            side=np.ascontiguousarray(swap[self.side[:, ::-1]]),
            part=np.ascontiguousarray(self.part[:, ::-1]),
            depth=np.ascontiguousarray(self.depth[:, ::-1]),
            correspondence=np.ascontiguousarray(self.correspondence[:, ::-1]),
            hands=tuple(
                HandTruth(
                    pose=hand.pose.mirrored(),
                    keypoints2d=np.stack([last - hand.keypoints2d[:, 0], hand.keypoints2d[:, 1]], axis=1),
                    keypoints3d=hand.keypoints3d * [-1.0, 1.0, 1.0],
                    visible=hand.visible,
                )
                for hand in self.hands
            ),
            scene=replace(
                self.scene,
                K=K,
                hands=tuple(hand.mirrored() for hand in self.scene.hands),
                hands_end=None if ends is None else tuple(hand.mirrored() for hand in ends),
            ),
        )


class _Buffers:
    """Work arrays of one picture size, used again from picture to picture."""

    def __init__(self, width: int, height: int) -> None:
        self.centre_face = np.empty((height, width), np.int32)
        self.centre_depth = np.empty((height, width), np.float32)
        self.fine_face = np.empty((2 * height, 2 * width), np.int32)
        self.fine_depth = np.empty((2 * height, 2 * width), np.float32)
        self.light = np.empty((height, width, 6), np.float32)
        self.known = np.empty((height, width), np.uint8)
        self.sky_depth = np.empty((_SKY_SIZE, _SKY_SIZE), np.float32)


@lru_cache(maxsize=4)
def _buffers(width: int, height: int) -> _Buffers:
    return _Buffers(width, height)


def draw(
    scene: Scene, seed: int | np.random.SeedSequence = 0, *, quality: Quality = "full", hands_shown: bool = True
) -> Picture:
    """Draw a scene. The same scene, seed and quality give the same bytes in any process.

    `seed` only decides the grain of noise; everything else is in the scene. With `hands_shown`
    False the place is drawn without hands and what they wear; no keypoint is visible then.
    """
    random = np.random.default_rng(seed)
    rests = rests_of(scene)
    buffers = _buffers(scene.width, scene.height)
    assembly = _assembled(scene, scene.hands, rests, shown=hands_shown)
    blurred = scene.hands_end is not None and quality in _BLUR_EFFORT and hands_shown
    _rasterised(scene, assembly, 1, buffers.centre_face, buffers.centre_depth)
    side = np.empty((scene.height, scene.width), np.uint8)
    part, depth = np.empty_like(side), np.empty(side.shape, np.float32)
    correspondence = np.empty((*side.shape, 3), np.float32)
    screen = _projected(scene, assembly, 1)
    shading.maps(
        screen, assembly.faces, assembly.face_side, assembly.part, assembly.canonical, buffers.centre_face,
        side, part, depth, correspondence,
    )  # fmt: skip
    if blurred:
        linear, coverage = _blurred(scene, assembly, rests, buffers, quality)
    else:
        linear, coverage = _lit(scene, assembly, buffers, _EFFORT[quality])
    image = photographed(scene, linear, coverage, random, quality=quality)
    return Picture(
        image=image,
        side=side,
        part=part,
        depth=depth,
        correspondence=correspondence,
        hands=tuple(
            _truth(scene, hand, rest, side, depth, shown=hands_shown)
            for hand, rest in zip(scene.hands, rests, strict=True)
        ),
        scene=scene,
    )


def rests_of(scene: Scene) -> tuple[RestHand, ...]:
    """Each hand of a scene at rest, in its shape and size."""
    return tuple(hand_model(hand.side).rest(scene.betas, scene.size) for hand in scene.hands)


def bodies_of(scene: Scene, hands: Sequence[HandPose], rests: Sequence[RestHand], *, shown: bool = True) -> list[Body]:
    """The hands, what they wear and every thing of a scene, with the hands where `hands` says."""
    look = scene.look
    material = skin.material(look)
    bodies: list[Body] = []
    if not shown:
        hands = ()
    for i, (hand, rest) in enumerate(zip(hands, rests, strict=False)):
        mesh = render_hand(hand.side)
        bodies.append(
            Body(
                points=mesh.vertices(hand, rest),
                faces=mesh.faces,
                face_uv=mesh.face_uv,
                material=material,
                side=SIDE_LABEL[hand.side],
                part=mesh.part,
                canonical=mesh.canonical,
                owner=i,
            )
        )
    skins = tuple(bodies)
    for item in look.wear if shown else ():
        bodies.extend(wear.worn(item, hands[item.hand], rests[item.hand], skins[item.hand]))
    for thing in look.things:
        if thing.hand is None or shown:
            bodies.extend(things.body(thing, hands))
    return bodies


def _assembled(scene: Scene, hands: Sequence[HandPose], rests: Sequence[RestHand], *, shown: bool = True) -> Assembly:
    return assemble(bodies_of(scene, hands, rests, shown=shown), float(scene.K[0, 0]))


def _projected(scene: Scene, assembly: Assembly, samples: int) -> FloatArray:
    """Screen places (N, 3) in samples, `samples` a pixel each way."""
    screen = np.empty_like(assembly.points)
    K = scene.K.astype(np.float32)
    offset = np.float32(0.5 * (samples - 1))
    raster.project(assembly.points, K[0, 0], K[1, 1], K[0, 2], K[1, 2], np.float32(samples), offset, screen)
    return screen


def _rasterised(scene: Scene, assembly: Assembly, samples: int, face: NDArray[np.int32], depth: FloatArray) -> None:
    face.fill(-1)
    depth.fill(0.0)
    raster.rasterise(_projected(scene, assembly, samples), assembly.faces, depth, face)


def _lit(scene: Scene, assembly: Assembly, buffers: _Buffers, effort: _Effort) -> tuple[FloatArray, FloatArray]:
    """Linear colour (H, W, 3), multiplied by the covered share (H, W), and that share.

    What the middle of each pixel sees is in the buffers already.
    """
    if not len(assembly.faces):
        shape = (scene.height, scene.width)
        return np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    fine_face, fine_depth = _NO_FACES, _NO_DEPTH
    if effort.all_effects:
        fine_face, fine_depth = buffers.fine_face, buffers.fine_depth
        _rasterised(scene, assembly, 2, fine_face, fine_depth)
    normals = np.empty_like(assembly.points)
    raster.vertex_normals(assembly.points, assembly.faces, normals)
    look = scene.look
    ambient = look.ambient.astype(np.float32)
    directions = AMBIENT_DIRECTIONS.astype(np.float32)
    sky = np.empty((len(assembly.points), 4), np.float32)
    mirror = _NO_MIRROR
    if effort.all_effects:
        mirror = np.empty((_MIRROR_SIZE, _MIRROR_SIZE, 3), np.float32)
        surface_light.mirror_table(directions, ambient, mirror)
        flat = np.empty_like(assembly.points)
        if effort.quick:
            raster.sky_light_in_pairs(
                assembly.points, normals, assembly.faces, directions, _OPPOSITE, ambient, _SKY_SIZE, _SKY_WRAP, flat,
                sky,
            )  # fmt: skip
        else:
            raster.sky_light(
                assembly.points, normals, assembly.faces, directions, ambient, _SKY_SIZE, _SKY_WRAP, flat,
                buffers.sky_depth, sky,
            )  # fmt: skip
    else:
        sky[:, :3] = np.maximum(normals @ directions.T, 0.0) @ (ambient * np.float32(1.0 / 3.0))
    shadows = _shadow_maps(scene, assembly, effort.shadow_size)
    linear = np.empty((scene.height, scene.width, 3), np.float32)
    coverage = np.empty((scene.height, scene.width), np.float32)
    vertices = np.zeros((len(assembly.points), surface_light.COLUMNS), np.float32)
    vertices[:, : surface_light.POINT] = _projected(scene, assembly, 1)
    vertices[:, surface_light.POINT : surface_light.NORMAL] = assembly.points
    vertices[:, surface_light.NORMAL : surface_light.SKY] = normals
    vertices[:, surface_light.SKY : surface_light.SKY + 4] = sky
    surfaces = (
        vertices, assembly.faces, assembly.face_uv, assembly.face_material, assembly.materials, assembly.texels,
        assembly.textures, *shadows, mirror, buffers.centre_face,
    )  # fmt: skip
    if effort.quick:
        slack = np.float32(_SAME_SURFACE / scene.K[0, 0])
        shading.shade_quickly(
            *surfaces, buffers.centre_depth, fine_face, fine_depth, slack, linear, coverage, buffers.light,
            buffers.known,
        )  # fmt: skip
    else:
        shading.shade(*surfaces, fine_face, fine_depth, linear, coverage)
    return linear, coverage


def _shadow_maps(scene: Scene, assembly: Assembly, size: int) -> tuple[FloatArray, ...]:
    """For each light: direction, colour, axes, origin, scale, depth map and how far shadow taps spread."""
    lights = scene.look.lights
    direction = np.array([light.direction for light in lights], np.float32).reshape(-1, 3)
    colour = np.array([light.colour for light in lights], np.float32).reshape(-1, 3)
    axes = np.empty((len(lights), 3, 3), np.float32)
    low = np.empty((len(lights), 3), np.float32)
    scale = np.empty(len(lights), np.float32)
    depth = np.empty((len(lights), size, size), np.float32)
    spread = np.empty(len(lights), np.float32)
    flat = np.empty_like(assembly.points)
    for k, light in enumerate(lights):
        away = -direction[k]
        across = np.array([away[2], 0.0, -away[0]]) if abs(away[1]) < 0.9 else np.array([0.0, -away[2], away[1]])
        across /= np.linalg.norm(across)
        axes[k] = across, np.cross(away, across), away
        least, greatest = raster.bounds(assembly.points @ axes[k].T)
        low[k] = least
        scale[k] = (size - 1) / max(float((greatest - least)[:2].max()), 1e-6)
        raster.depth_map(assembly.points, axes[k], low[k], scale[k], assembly.faces, flat, depth[k])
        # A shadow's edge is as wide as the light, seen from the 6 cm that typically lie between.
        spread[k] = 1.0 + 0.06 * light.softness * scale[k]
    return direction, colour, axes, low, scale, depth, spread


def between(middle: HandPose, end: HandPose, time: float) -> HandPose:
    """The hand at `time` in -1 (shutter opens) .. 0 (middle) .. 1 (shutter closes), moving evenly."""
    return HandPose(
        side=middle.side,
        rotation=rotations.slerp(middle.rotation, end.rotation, time),
        translation=middle.translation + (end.translation - middle.translation) * time,
        forearm=rotations.slerp(middle.forearm, end.forearm, time),
    )


def _blurred(
    scene: Scene, middle: Assembly, rests: Sequence[RestHand], buffers: _Buffers, quality: Quality
) -> tuple[FloatArray, FloatArray]:
    """The average over the exposure of what the moving hands show; `middle` is what stands there half-way."""
    assert scene.hands_end is not None
    linear = np.zeros((scene.height, scene.width, 3), np.float32)
    coverage = np.zeros((scene.height, scene.width), np.float32)
    effort = _BLUR_EFFORT[quality]

    def at(time: float) -> Assembly:
        assert scene.hands_end is not None
        hands = tuple(between(a, b, time) for a, b in zip(scene.hands, scene.hands_end, strict=True))
        return _assembled(scene, hands, rests)

    ends = (at(-1.0).points, at(1.0).points) if effort.quick else None
    for step in range(_BLUR_MOMENTS):
        time = (2.0 * step + 1.0) / _BLUR_MOMENTS - 1.0
        moment = at(time) if ends is None else _on_the_way(middle, *ends, time)
        _rasterised(scene, moment, 1, buffers.centre_face, buffers.centre_depth)
        light, covered = _lit(scene, moment, buffers, effort)
        linear += light / _BLUR_MOMENTS
        coverage += covered / _BLUR_MOMENTS
    return linear, coverage


def _on_the_way(middle: Assembly, opening: FloatArray, closing: FloatArray, time: float) -> Assembly:
    """The bodies at `time` -1..1 on a parabola through where their points are at -1, 0 and 1."""
    points = middle.points + np.float32(0.5 * time) * (closing - opening)
    points += np.float32(time**2) * (np.float32(0.5) * (opening + closing) - middle.points)
    return replace(middle, points=points)


def photographed(
    scene: Scene, linear: FloatArray, coverage: FloatArray, random: np.random.Generator, *, quality: Quality
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of what stands before the backdrop: linear light x covered share, and that share.

    Changes `linear`.
    """
    backdrop = scenery.backdrop(scene.look.backdrop, scene.width, scene.height)
    shaded = backdrop if quality == "plain" else _cast(scene, coverage, backdrop)
    pixels.lay_over(linear, shaded, coverage)
    return lens.develop(linear, scene.look.lens, random, quick=quality != "reference")


def _cast(scene: Scene, coverage: FloatArray, backdrop: FloatArray) -> FloatArray:
    """The backdrop with the hands' shadow on it, if it stands close enough to catch one."""
    look = scene.look
    if look.backdrop.distance is None or not look.lights:
        return backdrop
    light = look.lights[0]
    toward = np.asarray(light.direction)
    if toward[2] > -0.1:
        return backdrop
    near = min(float(hand.translation[2]) for hand in scene.hands)
    shift = -toward[:2] / -toward[2] * look.backdrop.distance * scene.K[0, 0] / (near + look.backdrop.distance)
    width = (0.02 + light.softness) * look.backdrop.distance * scene.K[0, 0] / near
    share = float(light.colour[1] / (light.colour[1] + look.ambient[:, 1].mean() + 1e-6))
    return lens.shadowed(backdrop, coverage, shift, width, share)


def _truth(
    scene: Scene, hand: HandPose, rest: RestHand, side: NDArray[np.uint8], depth: FloatArray, *, shown: bool
) -> HandTruth:
    points = hand_model(hand.side).pose(hand.rotation[None], hand.translation[None], rest).keypoints[0]
    safe = np.maximum(points[:, 2:], 1e-6)
    places = points[:, :2] / safe * [scene.K[0, 0], scene.K[1, 1]] + [scene.K[0, 2], scene.K[1, 2]]
    visible = np.zeros(KEYPOINT_COUNT, bool)
    columns, rows = np.rint(places).astype(np.int64).T
    inside = (
        (columns >= 0) & (rows >= 0) & (columns < scene.width) & (rows < scene.height) & (points[:, 2] > raster.NEAR)
    )
    first, owner = depth[rows[inside], columns[inside]], side[rows[inside], columns[inside]]
    flesh = render_hand(hand.side).flesh[inside] * rest.scale
    # Own flesh may lie before a keypoint as far as it is thick there; nothing else may at all.
    slack = np.where(owner == SIDE_LABEL[hand.side], flesh, 0.0)
    visible[inside] = shown & ((first == 0.0) | (first >= points[inside, 2] - slack))
    return HandTruth(pose=hand, keypoints2d=places, keypoints3d=points, visible=visible)


__all__ = ["SIDE_LABEL", "HandTruth", "Picture", "Quality", "between", "draw"]
