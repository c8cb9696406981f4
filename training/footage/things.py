# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of what stands about the hands or is held: spheres, boxes, mugs, phones, heads, arms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import cv2
import numba as nb
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations

from . import noise, scenery, skin, split
from .bodies import Body, FloatArray, IntArray, Material, Texture
from .scene import HandPose, Thing, ThingKind

Array = NDArray[np.float64]
Mesh = tuple[Array, IntArray, FloatArray]
"""Points (N, 3), faces (F, 3) outwards, places (F, 3, 2) in the texture."""

TEXTURE_SIZE: Final = 128
_AROUND: Final = 24


def body(thing: Thing, hands: Sequence[HandPose]) -> list[Body]:
    """The bodies of a free thing, in camera axes."""
    points, faces, face_uv = _mesh(thing.kind, thing.seed)
    placed = points * thing.extent @ rotations.matrix_from_quaternion(thing.rotation).T + thing.translation
    owner = -1
    if thing.hand is not None:
        owner, hand = thing.hand, hands[thing.hand]
        if hand.side == "left":
            # Held things are placed as in a right hand; the left one holds the mirror image.
            placed, faces, face_uv = placed * [-1.0, 1.0, 1.0], faces[:, ::-1], face_uv[:, ::-1]
        placed = placed @ rotations.matrix_from_quaternion(hand.rotation[0]).T + hand.translation
    return [
        Body(
            points=placed.astype(np.float32),
            faces=np.ascontiguousarray(faces),
            face_uv=np.ascontiguousarray(face_uv),
            material=_material(thing.kind, thing.seed),
            owner=owner,
        )
    ]


def lathe(profile: Array, around: int = _AROUND) -> Mesh:
    """A closed body of revolution about y: profile (P, 2) radius and height, bottom to top; its ends meet the axis."""
    count = len(profile)
    angle = np.arange(around) / around * 2 * np.pi
    points = np.empty((count, around, 3))
    points[..., 0] = profile[:, :1] * np.cos(angle)
    points[..., 1] = profile[:, 1:]
    points[..., 2] = profile[:, :1] * np.sin(angle)
    points[[0, -1], :, ::2] = 0.0
    return grid_mesh(points)


def grid_mesh(points: Array) -> Mesh:
    """A closed mesh from rings (R, A, 3) that run round; the first and last ring close onto themselves."""
    flat = points.reshape(-1, 3)
    outward, inward = _grid(*points.shape[:2])
    return (flat, *(outward if volume(flat, outward[0]) >= 0 else inward))


@nb.njit(cache=True)
def volume(points, faces):  # type: ignore[no-untyped-def]
    """What a closed mesh encloses; negative where its faces turn inwards."""
    total = 0.0
    for f in range(len(faces)):
        # Relative to a point of the mesh, lest a far mesh's volume drown in rounding.
        ax, ay, az = points[faces[f, 0]] - points[0]
        bx, by, bz = points[faces[f, 1]] - points[0]
        cx, cy, cz = points[faces[f, 2]] - points[0]
        total += ax * (by * cz - bz * cy) + ay * (bz * cx - bx * cz) + az * (bx * cy - by * cx)
    return total / 6.0


@lru_cache(maxsize=64)
def _grid(rings: int, around: int) -> tuple[tuple[IntArray, FloatArray], tuple[IntArray, FloatArray]]:
    """Faces and their places in the texture of a grid of points, and the same turned inside out."""
    row, column = np.meshgrid(np.arange(rings - 1), np.arange(around), indexing="ij")
    after = (column + 1) % around
    a, b = row * around + column, row * around + after
    c, d = a + around, b + around
    faces = np.concatenate([np.stack(k, axis=-1).reshape(-1, 3) for k in ((a, d, b), (a, c, d))]).astype(np.int32)
    u, v = column / around, row / (rings - 1)
    u1, v1 = (column + 1) / around, (row + 1) / (rings - 1)
    corner = {"a": (u, v), "b": (u1, v), "c": (u, v1), "d": (u1, v1)}

    def places(names: str) -> Array:
        return np.stack([np.stack(corner[name], axis=-1) for name in names], axis=-2).reshape(-1, 3, 2)

    face_uv = np.concatenate([places("adb"), places("acd")]).astype(np.float32)
    inward = (np.ascontiguousarray(faces[:, ::-1]), np.ascontiguousarray(face_uv[:, ::-1]))
    for array in (faces, face_uv, *inward):
        array.flags.writeable = False
    return (faces, face_uv), inward


def _sphere() -> Mesh:
    turn = np.linspace(-np.pi / 2, np.pi / 2, 13)
    return lathe(np.stack([np.cos(turn) + 1e-4, np.sin(turn)], axis=1))


def _box() -> Mesh:
    """A box with slightly bevelled edges, so that light catches them."""
    points, faces, face_uv = [], [], []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            first, second = (axis + 1) % 3, (axis + 2) % 3
            corners = np.zeros((4, 3))
            corners[:, axis] = sign
            corners[:, first] = np.array([-1, 1, 1, -1])
            corners[:, second] = np.array([-1, -1, 1, 1])
            order = [0, 1, 2, 3] if sign > 0 else [3, 2, 1, 0]
            start = 4 * len(points)
            points.append(corners)
            uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
            for triangle in (order[:3], [order[0], order[2], order[3]]):
                faces.append([start + k for k in triangle])
                face_uv.append(uv[triangle])
    return np.concatenate(points), np.array(faces, np.int32), np.array(face_uv, np.float32)


def _cylinder() -> Mesh:
    return lathe(
        np.array([[1e-4, -1], [0.999, -1], [1, -0.995], [1, -0.3], [1, 0.3], [1, 0.995], [0.999, 1], [1e-4, 1]])
    )


def _mug() -> Mesh:
    body_mesh = lathe(
        np.array([[1e-4, -1], [0.93, -1], [1, -0.93], [1, 0], [1, 1], [0.92, 1], [0.9, 0], [0.9, -0.8], [1e-4, -0.85]])
    )
    turn = np.linspace(-np.pi / 2 - 0.3, np.pi / 2 + 0.3, 12)
    ring = np.arange(8) / 8 * 2 * np.pi
    centre = np.stack([0.95 + 0.62 * np.cos(turn), 0.62 * np.sin(turn), 0 * turn], axis=1)
    across = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    handle = centre[:, None] + 0.13 * (
        np.cos(ring)[None, :, None] * across[:, None] + np.sin(ring)[None, :, None] * np.array([0.0, 0.0, 1.0])
    )
    closed = np.concatenate([centre[:1, None].repeat(8, 1), handle, centre[-1:, None].repeat(8, 1)])
    return merged(body_mesh, grid_mesh(closed))


def merged(*meshes: Mesh) -> Mesh:
    """Several meshes as one."""
    starts = np.cumsum([0, *(len(points) for points, _, _ in meshes[:-1])])
    return (
        np.concatenate([points for points, _, _ in meshes]),
        np.concatenate([faces + start for (_, faces, _), start in zip(meshes, starts, strict=True)]).astype(np.int32),
        np.concatenate([face_uv for _, _, face_uv in meshes]),
    )


def _bottle() -> Mesh:
    return lathe(
        np.array(
            [[1e-4, -1], [0.95, -1], [1, -0.96], [1, -0.2], [1, 0.3], [0.9, 0.45], [0.45, 0.65], [0.38, 0.72],
             [0.38, 0.9], [0.42, 0.9], [0.42, 1], [1e-4, 1]]
        )
    )  # fmt: skip


def _pen() -> Mesh:
    return lathe(np.array([[1e-4, -1], [0.25, -0.99], [1, -0.88], [1, 0], [1, 0.98], [0.8, 1], [1e-4, 1]]), 10)


def _head(seed: int) -> Mesh:
    """A head that looks along -z: skull, jaw, nose, ears only hinted at."""
    points, faces, _ = _sphere()
    x, y, z = points.T
    front = np.clip(-z, 0, 1)
    jaw = 1 - 0.28 * np.clip(y, 0, 1) ** 2
    nose = 0.24 * np.exp(-((x / 0.13) ** 2) - ((y - 0.12) / 0.17) ** 2) * (front > 0.3)
    shaped = np.stack([x * jaw, y, z - nose + 0.05 * np.abs(x) * front], axis=1)
    # The face is painted on the front half of the texture's middle, hair on the rest.
    uv = np.stack([0.5 + 0.46 * x, 0.5 + 0.46 * y], axis=1)
    uv[z > 0.15] = [0.5, 0.03]
    return shaped, faces, uv[faces].astype(np.float32)


def _arm() -> Mesh:
    turn = np.linspace(-1, 1, 9)
    bulge = 0.85 + 0.15 * np.sin(turn * 2.2 + 0.5)
    return lathe(np.concatenate([[[1e-4, -1]], np.stack([bulge, turn * 0.97], axis=1), [[1e-4, 1]]]), 16)


def _blob(seed: int) -> Mesh:
    points, faces, face_uv = _sphere()
    random = np.random.default_rng([seed, 5])
    rough = noise.space_octaves(points.astype(np.float32) * float(random.uniform(0.8, 2.0)), seed, 2)
    return points * (1 + 0.35 * rough[:, None]), faces, face_uv


def _leaf() -> Mesh:
    along = np.linspace(-1, 1, 9)
    width = np.sqrt(np.clip(1 - along**2, 1e-6, 1)) * (1 - 0.3 * along)
    ring = np.array([[-1, 0], [0, -0.05], [1, 0], [0, 0.05]])
    points = np.stack(
        [
            ring[None, :, 0] * width[:, None],
            along[:, None] + 0 * ring[None, :, 0],
            ring[None, :, 1] + 0.3 * along[:, None] ** 2,
        ],
        axis=-1,
    )
    ends = points[[0, -1]].mean(1, keepdims=True).repeat(4, 1)
    return grid_mesh(np.concatenate([ends[:1], points, ends[1:]]))


_SHAPES: Final[dict[ThingKind, Callable[[], Mesh]]] = {
    "sphere": _sphere, "box": _box, "cylinder": _cylinder, "mug": _mug, "bottle": _bottle, "pen": _pen,
    "phone": _box, "card": _box, "arm": _arm, "leaf": _leaf,
}  # fmt: skip


@lru_cache(maxsize=256)
def _mesh(kind: ThingKind, seed: int) -> Mesh:
    if kind == "head":
        return _head(seed)
    if kind == "blob":
        return _blob(seed)
    return _SHAPES[kind]()


@lru_cache(maxsize=256)
def _material(kind: ThingKind, seed: int) -> Material:
    random = np.random.default_rng([seed, 11])
    if kind == "head":
        return Material(texture=_face(seed), roughness=0.5, reflectance=0.028, skin=1.0)
    if kind == "arm" or (kind in ("blob", "sphere") and random.random() < 0.35):
        return Material(texture=_skinlike(seed), roughness=0.5, reflectance=0.028, skin=1.0)
    if kind == "phone" and random.random() < 0.7:
        return Material(texture=pattern(seed, "screen"), colour=(0.25, 0.25, 0.25), roughness=0.2, reflectance=0.05)
    return Material(
        texture=pattern(seed),
        colour=tuple(random.uniform(0.5, 1.2) * random.uniform(0.7, 1.0, 3)),
        roughness=float(random.uniform(0.18, 0.9)),
        reflectance=float(random.choice([0.04, 0.04, 0.06, 0.3])),
    )


def _textured(colour: FloatArray) -> Texture:
    """Levels of a texture from sRGB (s, s, 3) 0..1, matt and level."""
    packed = np.full((*colour.shape[:2], 6), 128.0, np.float32)
    packed[..., :3] = np.sqrt(np.clip(colour, 0, 1) ** 2.2) * 255.0
    return skin.pyramid(packed, 3)


@lru_cache(maxsize=256)
def pattern(seed: int, kind: str | None = None) -> Texture:
    """A piece of some painted backdrop: print, label, cloth, wood; from the seed's own side of the split."""
    random = np.random.default_rng([seed, 13])
    keys = scenery.keys(test=split.is_test("background", seed))["painted"]
    wanted = kind or str(random.choice(["cloth", "cloth", "wild", "screen", "desk", "wall", "wall", "shelf"]))
    chosen = [key for key in keys if key.startswith(wanted)] or list(keys)
    source = scenery.source(str(random.choice(chosen)))
    side = int(random.integers(60, 300))
    y, x = (int(random.integers(0, n - side)) for n in source.shape[:2])
    part = cv2.resize(source[y : y + side, x : x + side], (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA)
    return _textured(part.astype(np.float32) / 255.0)


@lru_cache(maxsize=64)
def _skinlike(seed: int) -> Texture:
    """Something of the colour of skin that is not a hand."""
    random = np.random.default_rng([seed, 19])
    tone = skin.tone(float(random.random()))
    field = noise.plane(random, TEXTURE_SIZE, TEXTURE_SIZE, 30, 4)[:, :, None]
    return _textured((tone * (1 + 0.05 * field * np.array([0.5, 1.0, 1.0]))).astype(np.float32))


@lru_cache(maxsize=32)
def _face(seed: int) -> Texture:
    """Eyes, brows, mouth and hair in front view."""
    random = np.random.default_rng([seed, 29])
    size = 2 * TEXTURE_SIZE
    tone = np.asarray(skin.tone(float(random.random())))
    hair = np.array([0.14, 0.09, 0.06]) * random.uniform(0.2, 4.5)
    image = np.ones((size, size, 3), np.float32) * tone.astype(np.float32)
    image *= 1 + 0.03 * noise.plane(random, size, size, 40, 4)[:, :, None]

    def oval(x: float, y: float, w: float, h: float, colour: Array, soft: float = 1.5) -> None:
        nonlocal image
        mask = np.zeros((size, size), np.float32)
        centre, axes = (round(x * size), round(y * size)), (max(round(w * size), 1), max(round(h * size), 1))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)
        # Only where the blurred oval reaches: five deviations about it.
        reach = [half + int(5 * soft) + 3 for half in axes]
        part = tuple(slice(max(c - r, 0), c + r) for c, r in zip(centre[::-1], reach[::-1], strict=True))
        mask = cv2.GaussianBlur(mask, (0, 0), soft)[part][:, :, None]
        image[part] = image[part] * (1 - mask) + np.asarray(colour, np.float32) * mask

    for side in (-1, 1):
        x = 0.5 + side * 0.165
        oval(x, 0.46, 0.08, 0.05, tone * 0.8, 5)
        oval(x, 0.465, 0.052, 0.022, np.full(3, 0.88))
        oval(x, 0.465, 0.021, 0.021, hair * 0.6 + 0.03)
        oval(x, 0.40, 0.085, 0.014, hair)
        oval(0.5 + side * 0.035, 0.615, 0.013, 0.009, tone * 0.45)
        oval(0.5 + side * 0.2, 0.62, 0.1, 0.08, tone * np.array([1.0, 0.88, 0.88]), 12)
    oval(0.5, 0.715, 0.095, 0.026, tone * np.array([0.88, 0.58, 0.56]))
    oval(0.5, 0.715, 0.09, 0.004, tone * 0.35)
    hairline = random.uniform(0.14, 0.3)
    oval(0.5, 0.0, 0.6, hairline, hair, 3)
    if random.random() < 0.35:
        oval(0.5, 0.86, 0.3, 0.1, hair * 0.8 + tone * 0.2, 8)
    return _textured(np.clip(image, 0, 1))
