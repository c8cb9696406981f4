# SPDX-License-Identifier: GPL-3.0-or-later
"""How pictures vary: skin, light, clothes, things, backdrop, lens and motion, drawn from a generator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import TIP_KEYPOINTS

from . import scenery, skin, split
from .scene import AMBIENT_DIRECTIONS, Backdrop, HandPose, Lens, Light, Look, Scene, Thing, ThingKind, Wear
from .surface import hand_model, render_hand

Array = NDArray[np.float64]
Random = np.random.Generator

_HELD_TRIES: Final = 24
_FRONT: Final[tuple[ThingKind, ...]] = ("box", "cylinder", "mug", "bottle", "leaf", "blob", "arm", "pen", "sphere")
_BEHIND: Final[tuple[ThingKind, ...]] = ("box", "bottle", "mug", "sphere", "blob", "arm", "cylinder", "phone")


@dataclass(frozen=True)
class Style:
    """How often each kind of thing happens: shares of pictures, 0..1."""

    glove: float = 0.03
    ring: float = 0.2
    watch: float = 0.1
    sleeve: float = 0.45
    held: float = 0.14
    in_front: float = 0.14
    behind: float = 0.3
    face: float = 0.12
    place: float = 0.35
    photo: float = 0.2
    dark: float = 0.08
    defocus: float = 0.2
    motion: float = 0.08
    fast: float = 1.0
    """factor on how far hands move while the shutter is open"""
    coarse: float = 0.45
    """pictures of less resolution than they have pixels"""
    blocks: float = 0.5
    grey: float = 0.05


STANDARD: Final = Style()
PLAIN: Final = Style(0, 0, 0, 0.2, 0, 0, 0, 0, 0.3, 0.2, 0, 0, 0, 0, 0, 0, 0)
"""Bare hands in good light before a good camera."""


@lru_cache(maxsize=2)
def skins(*, test: bool) -> tuple[int, ...]:
    """Seeds of the skins on one side of the split."""
    return tuple(seed for seed in range(skin.SKIN_COUNT) if split.is_test("skin", seed) == test)


def dressed(scene: Scene, random: Random, *, style: Style = STANDARD, test: bool = False) -> Scene:
    """The scene with a look, and perhaps a motion, drawn at random; hands, camera, shape, things and own skin stay."""
    backdrop = sample_backdrop(random, style, test=test)
    lights, ambient = sample_lights(random, backdrop)
    dark = random.random() < style.dark
    look = Look(
        skin=int(random.choice(skins(test=test))),
        skin_texture=scene.look.skin_texture,
        skin_tint=tuple(np.exp(random.normal(size=3) * [0.05, 0.07, 0.09]) * np.exp(random.normal() * 0.08)),
        skin_gloss=float(np.clip(random.normal(0.8, 0.5), 0.0, 2.0)),
        glove=split.draw_seed("skin", random, test=test) if random.random() < style.glove else None,
        lights=lights,
        ambient=ambient,
        backdrop=backdrop,
        lens=sample_lens(random, style, dark=dark),
    )
    look = replace(look, wear=sample_wear(random, style, len(scene.hands), test=test))
    look = replace(look, things=scene.look.things + sample_things(scene, random, style, test=test))
    moving = random.random() < style.motion
    return replace(scene, look=look, hands_end=sample_motion(scene.hands, random, style.fast) if moving else None)


def sample_backdrop(random: Random, style: Style = STANDARD, *, test: bool = False) -> Backdrop:
    """A painted, photographed or all-round backdrop, sharp or out of focus."""
    available = scenery.keys(test=test)
    pick = random.random()
    source = "place" if pick < style.place else "photo" if pick < style.place + style.photo else "painted"
    names = available[source] or available["painted"]
    key = str(random.choice(names))
    gain = np.exp(random.normal() * 0.4) * np.exp(random.normal(size=3) * 0.08)
    around = key.startswith("place")
    return Backdrop(
        key=key,
        centre=(
            float(random.random()),
            float(np.clip(random.normal(0.55, 0.09), 0.2, 0.85)) if around else float(random.random()),
        ),
        zoom=float(random.uniform(0.18, 0.75) if around else random.uniform(0.35, 1.2)),
        angle=float(random.normal() * 0.15 if random.random() < 0.8 else random.uniform(-np.pi, np.pi)),
        flip=bool(random.random() < 0.5),
        blur=float(random.exponential(2.2) if random.random() < 0.65 else 0.0),
        gain=tuple(float(g) for g in gain),
        distance=float(random.uniform(0.01, 0.25)) if random.random() < 0.3 else None,
    )


def sample_lights(random: Random, backdrop: Backdrop) -> tuple[tuple[Light, ...], Array]:
    """One to three lights and the ambient light; those of the place where the backdrop is one."""
    if backdrop.key.startswith("place") and random.random() < 0.75:
        ambient, direction, colour = scenery.place_lights(backdrop)
        lamp = Light(direction, colour, float(random.uniform(0.0, 0.25)))
        lights: tuple[Light, ...] = (lamp,) if colour.max() > 0.03 else ()
        if random.random() < 0.4:
            lights = (*lights, _lamp(random, 0.4))
    else:
        lights = tuple(_lamp(random, 1.0 / (1 + k)) for k in range(int(random.integers(1, 4))))
        sky, floor = np.exp(random.normal(size=(2, 3)) * 0.12) * random.uniform(0.1, 0.8, (2, 1))
        up = -AMBIENT_DIRECTIONS[:, 1:2] * 0.5 + 0.5
        ambient = sky * up + floor * (1 - up) * 0.6
        if random.random() < 0.5:
            # A window or a screen at one side.
            side = random.normal(size=3)
            side /= np.linalg.norm(side)
            ambient = ambient + np.clip(AMBIENT_DIRECTIONS @ side, 0, None)[:, None] ** 3 * _tint(
                random
            ) * random.uniform(0.3, 2.0)
    # Cameras expose for the subject: bring what falls on it to about full white, more or less.
    total = sum(float(light.colour.mean()) * 0.45 for light in lights) + float(ambient.mean())
    factor = np.exp(random.normal() * 0.22) * 0.95 / max(total, 1e-6)
    return tuple(replace(light, colour=light.colour * factor) for light in lights), ambient * factor


def _tint(random: Random) -> Array:
    """The colour of a light: from a candle's to a clear sky's, now and then a coloured lamp's."""
    if random.random() < 0.06:
        return np.clip(random.uniform(-0.2, 1.2, 3), 0.05, 1.0)
    warmth = random.normal() * 0.16
    return np.exp(np.array([warmth, random.normal() * 0.03, -warmth * 1.3]))


def _lamp(random: Random, strength: float) -> Light:
    direction = random.normal(size=3) * [1.0, 0.8, 0.9] + [0.0, -0.55, -0.45]
    hard = random.random() < 0.3
    return Light(
        direction=direction / np.linalg.norm(direction),
        colour=_tint(random) * strength * random.uniform(0.3, 1.3),
        softness=float(random.uniform(0.0, 0.05) if hard else random.uniform(0.08, 0.5)),
    )


def sample_wear(random: Random, style: Style, hands: int, *, test: bool) -> tuple[Wear, ...]:
    """Sleeves are a pair; rings, watches and bracelets are not."""
    wear: list[Wear] = []
    sleeves, cuff = random.random() < style.sleeve, random.uniform(-0.015, 0.14)
    cloth, slack = split.draw_seed("background", random, test=test), float(random.exponential(0.006))
    for hand in range(hands):
        if sleeves:
            wear.append(Wear(hand, "sleeve", cloth, (float(cuff + random.normal() * 0.006), slack)))
        if random.random() < style.watch:
            kind = "watch" if random.random() < 0.6 else "bracelet"
            seed = split.draw_seed("background", random, test=test)
            wear.append(Wear(hand, kind, seed, (float(random.uniform(0.015, 0.05)), float(random.exponential(0.001)))))
        if random.random() < style.ring:
            for finger in random.choice(5, int(random.choice([1, 1, 2, 3])), replace=False):
                seed = split.draw_seed("background", random, test=test)
                wear.append(Wear(hand, "ring", seed, (float(finger), float(random.uniform(0.4, 0.62)))))
    return tuple(wear)


def sample_things(scene: Scene, random: Random, style: Style, *, test: bool) -> tuple[Thing, ...]:
    """What is held, what hides part of a hand, what stands behind; a face now and then."""

    def seed() -> int:
        return split.draw_seed("background", random, test=test)

    things: list[Thing] = [
        held
        for index in range(len(scene.hands))
        if random.random() < style.held and (held := held_thing(scene, index, random, seed())) is not None
    ]
    if random.random() < style.in_front:
        things += [_before(scene, random, seed()) for _ in range(int(random.integers(1, 3)))]
    if random.random() < style.behind:
        things += [
            _behind(scene, random, str(random.choice(_BEHIND)), seed()) for _ in range(int(random.integers(1, 4)))
        ]
    if random.random() < style.face:
        things.append(_behind(scene, random, "head", seed()))
    return tuple(things)


def _around(scene: Scene, index: int) -> Array:
    """(21, 3) keypoints of a hand, camera axes."""
    hand = scene.hands[index]
    model = hand_model(hand.side)
    rest = model.rest(scene.betas, scene.size)
    return model.pose(hand.rotation[None], hand.translation[None], rest).keypoints[0]


def _turn(random: Random) -> Array:
    return rotations.normalized(random.normal(size=4))


def _before(scene: Scene, random: Random, seed: int) -> Thing:
    """Between the camera and a hand, hiding a part of it."""
    points = _around(scene, int(random.integers(len(scene.hands))))
    target = points[random.integers(21)]
    share = random.uniform(0.55, 0.9)
    kind: ThingKind = _FRONT[int(random.integers(len(_FRONT)))]
    width = share * random.uniform(0.012, 0.04)
    length = {"arm": 6.0, "pen": 9.0, "bottle": 3.0, "leaf": 2.5}.get(kind, random.uniform(0.7, 2.5))
    offset = random.normal(size=3) * [0.03, 0.03, 0.0] * share
    return Thing(kind, seed, (width, width * length, width), _turn(random), target * share + offset)


def _behind(scene: Scene, random: Random, kind: str, seed: int) -> Thing:
    """Farther from the camera than the hands, roughly where they are in the picture."""
    far = max(float(_around(scene, i)[:, 2].max()) for i in range(len(scene.hands))) + 0.06
    if kind == "head":
        depth = far + random.uniform(0.12, 0.6)
        size = 0.11 * np.exp(random.normal() * 0.1)
        extent = (0.72 * size, size, 0.8 * size)
        turn = rotations.quaternion_from_vector(random.normal(size=3) * [0.25, 0.45, 0.15])
        spread = 0.12
    else:
        depth = far + random.exponential(0.25) + 0.03
        width = random.uniform(0.02, 0.12)
        extent = (width, width * random.uniform(0.6, 3.0), width * random.uniform(0.4, 1.2))
        turn = (
            _turn(random)
            if random.random() < 0.5
            else rotations.quaternion_from_vector([0.0, random.uniform(0, 6.28), 0.0])
        )
        spread = 0.16
    middle = np.mean([_around(scene, i).mean(0) for i in range(len(scene.hands))], axis=0)
    place = middle / middle[2] * depth + random.normal(size=3) * [spread, spread, 0.0]
    place[2] = depth + max(extent)
    return Thing(kind, seed, extent, turn, place)  # type: ignore[arg-type]


def held_thing(scene: Scene, index: int, random: Random, seed: int) -> Thing | None:
    """Something that fits between the fingers as they are: a pen or card in a pinch, a round body in a grip."""
    hand = scene.hands[index]
    still = hand.rotation.copy()
    still[0] = rotations.IDENTITY
    pose = HandPose("right", still if hand.side == "right" else rotations.mirrored(still), np.zeros(3))
    rest = hand_model("right").rest(scene.betas, scene.size)
    points = hand_model("right").pose(pose.rotation[None], pose.translation[None], rest).keypoints[0]
    skin_points = render_hand("right").vertices(pose, rest).astype(np.float64)
    thumb, finger = points[TIP_KEYPOINTS[0]], points[TIP_KEYPOINTS[1 + int(random.integers(2))]]
    gap = float(np.linalg.norm(thumb - finger))
    if gap < 0.04 and random.random() < 0.7:
        return _pinched(random, seed, index, thumb, finger, points)
    return _gripped(random, seed, index, points, skin_points)


def _pinched(random: Random, seed: int, index: int, thumb: Array, finger: Array, points: Array) -> Thing:
    across = (finger - thumb) / max(float(np.linalg.norm(finger - thumb)), 1e-6)
    outward = 0.5 * (thumb + finger) - points[9]
    outward -= across * (outward @ across)
    outward /= np.linalg.norm(outward) + 1e-9
    third = np.cross(across, outward)
    middle = 0.5 * (thumb + finger)
    half = max(0.5 * float(np.linalg.norm(finger - thumb)) - 0.006, 0.0008)
    if random.random() < 0.5:
        tilt = random.uniform(-0.9, 0.9)
        axis = np.cos(tilt) * outward + np.sin(tilt) * third
        turn = np.stack([across, axis, np.cross(across, axis)], axis=1)
        length = random.uniform(0.05, 0.08)
        middle = middle + axis * random.uniform(-0.6, 0.6) * length
        return Thing("pen", seed, (half, length, half), rotations.quaternion_from_matrix(turn), middle, index)
    turn = np.stack([third, outward, np.cross(third, outward)], axis=1)
    width, height = random.uniform(0.012, 0.045), random.uniform(0.02, 0.06)
    place = middle + outward * height * random.uniform(0.4, 0.9)
    kind: ThingKind = "card" if random.random() < 0.7 else "phone"
    return Thing(kind, seed, (width, height, half), rotations.quaternion_from_matrix(turn), place, index)


def _gripped(random: Random, seed: int, index: int, points: Array, skin_points: Array) -> Thing | None:
    """The largest of some balls or rods that find room among palm, fingers and thumb."""
    tips, palm = points[list(TIP_KEYPOINTS)], points[[0, 5, 9, 13, 17]]
    along = points[5] - points[17]
    along /= np.linalg.norm(along)
    ball = random.random() < 0.4
    best, room = None, 0.0
    for _ in range(_HELD_TRIES):
        centre = random.dirichlet(np.ones(5)) @ tips
        share = random.uniform(0.3, 0.8)
        centre = (
            share * centre + (1 - share) * (random.dirichlet(np.ones(5)) @ palm) - [0.0, random.uniform(0.0, 0.02), 0.0]
        )
        axis = along + random.normal(size=3) * 0.25
        axis /= np.linalg.norm(axis)
        off = skin_points - centre
        if not ball:
            off = off - (off @ axis)[:, None] * axis
        radius = float(np.percentile(np.linalg.norm(off, axis=1), 0.3))
        if radius > room:
            best, room = (centre, axis), radius
    if best is None or not 0.005 < room < 0.05:
        return None
    centre, axis = best
    helper = np.array([0.0, 1.0, 0.0]) if abs(axis[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    across = np.cross(axis, helper)
    across /= np.linalg.norm(across)
    turn = rotations.quaternion_from_matrix(np.stack([across, axis, np.cross(across, axis)], axis=1))
    if ball:
        return Thing("sphere", seed, (room, room, room), turn, centre, index)
    kind: ThingKind = "bottle" if room > 0.018 and random.random() < 0.4 else "cylinder"
    return Thing(kind, seed, (room, random.uniform(0.05, 0.11), room), turn, centre, index)


def sample_lens(random: Random, style: Style = STANDARD, *, dark: bool = False) -> Lens:
    """A camera: mostly a webcam of some quality, seldom a good one."""
    quality = float(random.random())
    noise = min(0.018 * random.exponential() * (2.5 if dark else 1.0) * (1.2 - quality), 0.06)
    blocks = random.random() < style.blocks
    return Lens(
        exposure=float(random.uniform(0.12, 0.45) if dark else np.exp(random.normal() * 0.22)),
        white=tuple(float(w) for w in np.exp(random.normal(size=3) * [0.07, 0.03, 0.09])),
        defocus=float(random.uniform(0.6, 2.2)) if random.random() < style.defocus else float(random.uniform(0.0, 0.6)),
        bloom=float(random.exponential(0.05)) if random.random() < 0.3 else 0.0,
        vignette=float(random.uniform(0.0, 0.4)) if random.random() < 0.4 else 0.0,
        contrast=float(random.normal(1.05, 0.12)),
        saturation=float(np.clip(random.normal(0.95, 0.2), 0.2, 1.6)),
        gamma=float(np.exp(random.normal() * 0.12)),
        shot_noise=noise,
        read_noise=0.3 * noise,
        row_noise=float(random.exponential(0.004)) if random.random() < 0.12 else 0.0,
        flicker=float(random.uniform(0.05, 0.3)) if random.random() < 0.05 else 0.0,
        grain_size=float(random.uniform(0.0, 1.0)),
        scale=float(random.uniform(0.22, 0.95)) if random.random() < style.coarse else 1.0,
        sharpen=float(random.uniform(0.0, 1.2)) if random.random() < 0.35 else 0.0,
        blocks=("jpeg" if random.random() < 0.6 else "video") if blocks else "none",
        quality=int(random.integers(25, 95)),
        grey=bool(random.random() < style.grey),
    )


def sample_motion(hands: tuple[HandPose, ...], random: Random, speed: float = 1.0) -> tuple[HandPose, ...]:
    """Where the hands are when the shutter closes: a wave, a turn, fingers that bend."""
    moved = []
    common = random.normal(size=3) * [0.02, 0.02, 0.008]
    for hand in hands:
        shift = speed * (common if random.random() < 0.5 else random.normal(size=3) * [0.02, 0.02, 0.008])
        turn = rotations.quaternion_from_vector(random.normal(size=3) * 0.12 * speed)
        bend = rotations.quaternion_from_vector(random.normal(size=(16, 3)) * [0.02, 0.02, 0.08] * speed)
        rotation = rotations.multiply(hand.rotation, bend)
        rotation[0] = rotations.multiply(turn, hand.rotation[0])
        moved.append(replace(hand, rotation=rotation, translation=hand.translation + shift))
    return tuple(moved)
