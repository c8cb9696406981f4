# SPDX-License-Identifier: GPL-3.0-or-later
"""What to draw: hands, camera, light, clothes, things, lens. Plain data, no drawing.

Axes and conventions are the engine's: camera x right, y down, z forward, metres; quaternions
w, x, y, z; an integer pixel coordinate is a pixel's centre; hands in canonical axes.
A Scene says everything about a picture but the grain of its noise, which `draw` takes a seed for.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.names import Side

Array = NDArray[np.float64]

_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_GOLDEN: Final = (1.0 + 5.0**0.5) / 2.0
AMBIENT_DIRECTIONS: Final = np.array(
    [corner for a in (-1.0, 1.0) for b in (-_GOLDEN, _GOLDEN) for corner in ((0.0, a, b), (a, b, 0.0), (b, 0.0, a))]
) / np.hypot(1.0, _GOLDEN)
"""(12, 3) unit directions the ambient light comes from: the corners of an icosahedron."""

WearKind = Literal["ring", "watch", "bracelet", "sleeve"]
ThingKind = Literal["sphere", "box", "cylinder", "mug", "bottle", "pen", "phone", "card", "head", "arm", "blob", "leaf"]


def _turned(quaternion: Array, rotation: Array) -> Array:
    """`quaternion`, then the rotation matrix `rotation`."""
    return rotations.multiply(rotations.quaternion_from_matrix(rotation), quaternion)


@dataclass(frozen=True)
class HandPose:
    """One hand: pose and place, and how the forearm leaves it."""

    side: Side
    rotation: Array
    """(16, 4) joint 0 canonical to camera, 1..15 relative to the parent"""
    translation: Array
    """(3,) wrist joint, metres, camera axes"""
    forearm: Array = field(default_factory=lambda: rotations.IDENTITY.copy())
    """(4,) turns the forearm about the wrist joint, in canonical axes; identity continues the hand straight"""

    def mirrored(self) -> HandPose:
        """The other hand, seen in a mirror that flips the camera's x."""
        # The canonical left hand is the mirrored right one, so the same table of signs does for every joint.
        return HandPose(
            side="left" if self.side == "right" else "right",
            rotation=rotations.mirrored(self.rotation),
            translation=self.translation * _MIRROR,
            forearm=rotations.mirrored(self.forearm),
        )

    def turned(self, rotation: Array) -> HandPose:
        """The same hand seen by a camera whose axes are `rotation` (3, 3) @ the old ones."""
        turned = self.rotation.copy()
        turned[0] = _turned(turned[0], rotation)
        return replace(self, rotation=turned, translation=rotation @ self.translation)


@dataclass(frozen=True)
class Light:
    """A distant light."""

    direction: Array
    """(3,) unit, towards the light, camera axes"""
    colour: Array
    """(3,) linear RGB; 1 lights a white surface facing it to 1"""
    softness: float = 0.0
    """angular radius in radians; 0 is a hard shadow"""


@dataclass(frozen=True)
class Backdrop:
    """Which picture stands behind the hands and how it is cut."""

    key: str = "plain:0"
    """source and number, as scenery.backdrop knows them"""
    centre: tuple[float, float] = (0.5, 0.5)
    zoom: float = 1.0
    """share of the source picture's smaller side that the drawn picture's larger side covers"""
    angle: float = 0.0
    flip: bool = False
    blur: float = 0.0
    """defocus, standard deviation in pixels of a 224 px picture"""
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    distance: float | None = None
    """metres behind the nearest hand at which it catches the hands' shadow; None: too far to"""


@dataclass(frozen=True)
class Wear:
    """Something worn by one hand; moves with it."""

    hand: int
    """index into Scene.hands"""
    kind: WearKind
    seed: int
    place: tuple[float, float] = (0.0, 0.0)
    """ring: (finger 0..4, share along the proximal bone); watch, bracelet, sleeve: (metres from the wrist, slack)"""


@dataclass(frozen=True)
class Thing:
    """A free body: held, in front of the hands, or behind them."""

    kind: ThingKind
    seed: int
    extent: tuple[float, float, float]
    """half sizes along its own axes, metres"""
    rotation: Array
    """(4,) own axes to camera"""
    translation: Array
    """(3,) metres, camera"""
    hand: int | None = None
    """the hand it is fixed to (place in the canonical axes of that hand's wrist), or None: fixed in the camera"""

    def mirrored(self) -> Thing:
        """Seen in a mirror that flips x. All bodies are symmetric in their own x."""
        return replace(self, rotation=rotations.mirrored(self.rotation), translation=self.translation * _MIRROR)

    def turned(self, rotation: Array) -> Thing:
        """The same body seen by a turned camera."""
        if self.hand is not None:
            return self
        return replace(self, rotation=_turned(self.rotation, rotation), translation=rotation @ self.translation)


@dataclass(frozen=True)
class Lens:
    """What the camera does to the light: in the order it does it."""

    exposure: float = 1.0
    """factor on linear light"""
    white: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """white balance, factors on linear light"""
    defocus: float = 0.0
    """standard deviation in pixels at 224 px"""
    bloom: float = 0.0
    """share of bright light that spreads"""
    vignette: float = 0.0
    """share of light lost in the corners"""
    contrast: float = 1.0
    saturation: float = 1.0
    gamma: float = 1.0
    shot_noise: float = 0.0
    """standard deviation at full white of noise that grows with the square root of light"""
    read_noise: float = 0.0
    row_noise: float = 0.0
    """standard deviation of an offset shared by a row"""
    flicker: float = 0.0
    """share by which mains light darkens rolling bands"""
    grain_size: float = 0.0
    """standard deviation in pixels over which noise is correlated (demosaicing, scaling)"""
    scale: float = 1.0
    """share of the resolution the sensor really had"""
    sharpen: float = 0.0
    """strength of the camera's own sharpening"""
    blocks: Literal["none", "jpeg", "video"] = "none"
    quality: int = 90
    """JPEG quality 1..100; for video the strength of quantising is 100 - quality"""
    grey: bool = False


@dataclass(frozen=True)
class Look:
    """Everything about the picture but hands and camera."""

    skin: int = 0
    """seed of the baked skin, shared by both hands"""
    skin_texture: tuple[NDArray[np.uint8], ...] | None = None
    """a skin of one's own in the baked one's place: levels as bodies.Texture has them"""
    skin_tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    skin_gloss: float = 1.0
    """factor on the skin's shine: 0 dusty .. 2 wet"""
    glove: int | None = None
    """seed of a glove's material worn instead of bare skin"""
    lights: tuple[Light, ...] = (Light(np.array([0.35, -0.75, -0.56]), np.array([0.75, 0.72, 0.68]), 0.1),)
    ambient: Array = field(default_factory=lambda: np.full((12, 3), 0.45))
    """(12, 3) linear RGB from AMBIENT_DIRECTIONS, camera axes"""
    backdrop: Backdrop = field(default_factory=Backdrop)
    wear: tuple[Wear, ...] = ()
    things: tuple[Thing, ...] = ()
    lens: Lens = field(default_factory=Lens)


@dataclass(frozen=True)
class Scene:
    """One picture: one or two hands before one camera."""

    hands: tuple[HandPose, ...]
    betas: Array
    """(10,) one shape, both hands"""
    size: float | None
    """palm length in metres; None: as betas give it"""
    K: Array
    """(3, 3) camera matrix, pixels, no skew"""
    width: int
    height: int
    look: Look = field(default_factory=Look)
    hands_end: tuple[HandPose, ...] | None = None
    """the hands when the shutter closes; `hands` is the middle of the exposure. None: nothing moves"""

    def turned(self, rotation: ArrayLike) -> Scene:
        """The same scene seen by a camera turned about its centre: new axes = rotation (3, 3) @ old axes."""
        turn = np.asarray(rotation, dtype=np.float64)
        look = self.look
        lights = tuple(replace(light, direction=turn @ light.direction) for light in look.lights)
        return replace(
            self,
            hands=tuple(hand.turned(turn) for hand in self.hands),
            hands_end=None if self.hands_end is None else tuple(hand.turned(turn) for hand in self.hands_end),
            look=replace(
                look,
                lights=lights,
                ambient=_turned_ambient(look.ambient, turn),
                things=tuple(thing.turned(turn) for thing in look.things),
            ),
        )


def _turned_ambient(ambient: Array, rotation: Array) -> Array:
    """The light (12, 3) that arrives from AMBIENT_DIRECTIONS after the camera turned."""
    # Directions of the new axes seen in the old ones, blended over the three nearest corners.
    closeness = np.clip((AMBIENT_DIRECTIONS @ rotation) @ AMBIENT_DIRECTIONS.T, 0.0, None) ** 8
    return (closeness / closeness.sum(1, keepdims=True)) @ ambient
