# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands at once: a network that knows what two hands do together, and where to let it look.

A trunk of its own, tuned from MediaPipe's, looks at a crop around both hands. What was seen of each hand goes
in besides, point by point with its expected error, or that nothing is known of it: two hands that overlap look
alike, and whoever follows them knows which is which. Every point of both is said again, seen or hidden, how the
wrists stand to each other, which parts touch, and whether there is a pair at all. The crop is turned so that the
hands point upwards on average, as MediaPipe's trunk was trained.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera
from ..errors import ModelFileError
from ..hand.names import CONTACT_PARTS, KEYPOINT_COUNT
from ..models import model_cards
from ..runtime import Network, Runtime
from .crops import HAND_INPUT, Array, Image, cut, points_in_picture, turned, wrapped
from .detnet import TAPS
from .fusion import ray_rotation
from .maps import MapsNet, MapsReading
from .observation import Observation
from .pair import palm_bone
from .pair_calibration import CALIBRATION_KEY, PAIR_CROP_MODEL, Calibration, logit
from .pair_given import HANDS, SeenPair, exchanged, given, joined, mirrored

log = logging.getLogger("handmocap.see")

PAIR_TRUNK_MODEL: Final = "pair_trunk"
PARTS: Final = len(CONTACT_PARTS)

_OUTPUTS: Final = ("points", "location", "error_2d", "error_3d", "visibility", "vector", "sigma", "state", "contact")
BOTH_ENLARGED: Final = 1.35
"""side of the crop in longer sides of the box around the points of both hands"""
ONE_ENLARGED: Final = 2.3
"""... and of the box of one hand whose partner is looked for"""
_AGREEMENT: Final = 0.6
"""length of the sum of both hands' directions below which they point to opposite sides, and the crop stays upright"""
_UPRIGHT: Final = math.pi / 2
_LEAST_SIGMA: Final = 0.02
"""palm lengths"""

PRESENT: Final = 0.5
"""presence from which a hand is in the crop, and both belong together"""
_ONE_HAND: Final = 0.26
"""mean distance of the points of both hands, in longer sides of a hand's box, below which they are one hand's"""
_HIDDEN: Final = 0.8
"""the same, below which one hand may hide the other; farther off it would have been seen"""
SAME_HAND: Final = 0.35
"""mean distance of the points, in shares of a hand's box, up to which an observation and a reading are of one hand"""
_MOST_SIDE: Final = 1.5
"""log odds of a side that are said at most: of real hands the network may be sure of the wrong one"""
_ELSEWHERE: Final = 0.7
"""the same, from which a reading is not of the hand that is asked about"""
DOUBTED: Final = 0.3
"""confidence under which a hand gives way to a partner that was read elsewhere"""
CERTAIN: Final = 0.8
"""... and probability that this partner needs for that"""
LIKELY: Final = 0.1
"""probability from which a partner that nobody saw is looked at closely, and may be believed"""


def crop_of_pair(hands: Sequence[Array]) -> Array:
    """(5,) the crop around the keypoints (21, 2 or more) of both hands, or of one; pixels of the picture."""
    along = np.sum([_direction(points) for points in hands], axis=0)
    agreed = len(hands) == 1 or float(np.linalg.norm(along)) >= _AGREEMENT
    rotation = wrapped(_UPRIGHT - math.atan2(-along[1], along[0])) if agreed else 0.0
    points = np.concatenate([hand[:, :2] for hand in hands])
    turn = turned(rotation)
    upright = points @ turn
    highest, lowest = upright.max(0), upright.min(0)
    centre = turn @ ((highest + lowest) / 2)
    enlarged = BOTH_ENLARGED if len(hands) > 1 else ONE_ENLARGED
    side = max(float((highest - lowest).max()) * enlarged, 1.0)
    return np.array([centre[0], centre[1], side, side, rotation])


def _direction(points: Array) -> Array:
    """(2,) unit vector from the wrist to the middle of the knuckles."""
    knuckles = (points[5, :2] + points[13, :2]) / 4 + points[9, :2] / 2
    way = knuckles - points[0, :2]
    return np.asarray(way / max(float(np.linalg.norm(way)), 1e-9))


def longer_side(points: Array) -> float:
    """Of the box around points (P, 2), in their unit."""
    return float(np.ptp(points, axis=0).max())


def distance_apart(first: Array, second: Array) -> float:
    """Mean distance of the points (21, 2) of one hand from those of another, in longer sides of a hand's box."""
    distance = float(np.linalg.norm(first - second, axis=-1).mean())
    return distance / max(longer_side(first), longer_side(second), 1.0)


@dataclass(frozen=True)
class PairReading:
    """What one crop says about both hands, in the order of SIDES; lengths in palm lengths, camera axes."""

    crop: Array
    """(5,)"""
    points: Array
    """(2, 21, 2) pixels of the picture"""
    error: Array
    """(2, 21) expected distance from the truth, pixels"""
    form: Array
    """(2, 21, 3) relative to the wrists"""
    form_error: Array
    """(2, 21)"""
    visible: Array
    """(2, 21) 0..1: the point can be seen, else it is guessed"""
    vector: Array
    """(3,) left wrist minus right wrist"""
    sigma: Array
    """(3,) expected error of each component"""
    contact: Array
    """(6, 6) probability that a part of the left hand touches one of the right"""
    present: Array
    """(2,) 0..1: the hand is in the crop"""
    together: float
    """0..1: a left and a right hand are there and belong together"""
    left_nearer: float
    """0..1: the left hand is nearer to the camera"""
    maps: MapsReading | None = None
    """what every cell of the crop shows; None: not asked for"""
    partner: float = 0.0
    """probability of a partner that nobody saw, as it was read beside a single hand; 0: read of two hands"""
    anew: tuple[bool, bool] = (False, False)
    """hands that were read without what was seen of them"""

    @property
    def both(self) -> bool:
        """Whether the crop shows a pair of hands at all."""
        return bool(self.together >= PRESENT and self.present.min() >= PRESENT)

    @property
    def apart(self) -> float:
        """Mean distance of the points of one hand from those of the other, in longer sides of a hand's box."""
        return distance_apart(self.points[0], self.points[1])

    @property
    def is_one_hand(self) -> bool:
        """Whether every point of one hand was read on the same point of the other."""
        return self.apart < _ONE_HAND

    @property
    def worst_error(self) -> float:
        """The larger one of both hands' mean expected errors, in longer sides of their boxes."""
        return max(
            float(error.mean()) / max(longer_side(points), 1.0)
            for points, error in zip(self.points, self.error, strict=True)
        )

    def chance_of(self, slot: int) -> float:
        """Probability of a hand that nobody saw: where the other one cannot hide it, it would have been seen."""
        return min(self.together, float(self.present[slot])) if self.apart < _HIDDEN else 0.0

    def expected(self, calibration: Calibration, *, doubt: float = 1.0) -> list[Expected]:
        """Both hands as something to expect, in the definition of a take's points; errors times `doubt`."""
        points, form, form_error = calibration.in_take(self.points, self.form, self.form_error)
        return [
            Expected(points[slot], self.error[slot] * doubt, form[slot], form_error[slot] * doubt, float(slot == 1))
            for slot in range(HANDS)
        ]


@dataclass(frozen=True)
class Expected:
    """What is known of one hand of a picture, in the definition of a take's points."""

    points: Array
    """(21, 2) pixels"""
    error: Array
    """(21,) expected, pixels"""
    form: Array
    """(21, 3) relative to the wrist, mean palm bone = 1, camera axes"""
    form_error: Array
    """(21,)"""
    right: float
    """0..1: it is a right hand"""
    confidence: float = 1.0
    """0..1: it is where it is said to be"""

    @classmethod
    def of(cls, seen: Observation, right: float) -> Expected:
        """An observation of a hand that is a right one with this probability."""
        return cls(seen.points2d, seen.sigma2d, seen.points3d, seen.sigma3d, right, seen.confidence)


def known_alone(hand: Expected, slot: int) -> list[Expected | None]:
    """What is to be told of both hands where one is known, in its slot of SIDES."""
    return [hand, None] if slot == 0 else [None, hand]


@dataclass(frozen=True)
class _Through:
    """A crop of a picture that went through the trunk."""

    image: Image
    crop: Array
    """(5,)"""
    picture: Image
    """(1, 224, 224, 3)"""
    taps: Mapping[str, NDArray[Any]]
    """of the crop, and of its mirror image where that is looked at"""


class PairCropNet:
    """The trunk and the heads, ready to look."""

    def __init__(self, trunk: Network, heads: Network, maps: MapsNet | None = None, *, mirror: bool = False) -> None:
        """`mirror`: look at every crop's mirror image as well and take the mean, where there is time for that."""
        self._trunk, self._heads, self.maps, self._mirror = trunk, heads, maps, mirror
        self._newest: _Through | None = None
        self.calibration = Calibration.from_text(heads.metadata.get(CALIBRATION_KEY))

    @classmethod
    def load(cls, runtime: Runtime, maps: MapsNet | None = None, *, mirror: bool = False) -> PairCropNet:
        """The networks of models.toml; a missing or damaged file is refused in one sentence."""
        heads = runtime.network(PAIR_CROP_MODEL, outputs=_OUTPUTS)
        return cls(runtime.network(PAIR_TRUNK_MODEL, outputs=TAPS), heads, maps, mirror=mirror)

    def look(self, image: Image, expected: Sequence[Expected | None], camera: Camera) -> PairReading | None:
        """What a picture (H, W, 3) shows of both hands, of which at least one is known; None if that is not numbers.

        The crop is looked at twice: the second look begins where the first one saw the hands.
        """
        through = self._through(image, expected)
        picture, taps, crop = through.picture, through.taps, through.crop
        reading = self.read(taps, crop, expected, camera)
        if reading is None or not reading.both:
            return reading
        reading = self.read(taps, crop, reading.expected(self.calibration), camera) or reading
        if self.maps is None or not reading.both:
            return reading
        return replace(reading, maps=self.maps.look(picture, crop, reading.expected(self.calibration)))

    def partner_beside(self, image: Image, hands: Sequence[Expected], camera: Camera) -> float:
        """How surely a picture shows the two `hands`: asked beside the left one alone, then beside the right one,
        whether the other one is there, the surer answer; what is read elsewhere is another hand. Told of both, the
        network may believe in a hand that is not there."""
        answers = []
        for slot, (beside, other) in enumerate(zip(hands, hands[::-1], strict=True)):
            reading = self.look(image, known_alone(beside, slot), camera)
            if reading is not None:
                read = reading.expected(self.calibration)[1 - slot]
                here = distance_apart(read.points, other.points) <= _ELSEWHERE
                answers.append(reading.together if here else 0.0)
        return max(answers, default=1.0)

    def sides(self, image: Image, expected: Sequence[Expected | None], camera: Camera) -> float:
        """Log odds that the hands are of the sides that they are expected to be of, rather than each of the other
        one, by this picture alone: told both ways, the network says how much likelier one is."""
        through = self._through(image, expected)
        known, _ = in_crop(expected, through.crop, camera)
        asked = given(joined(known, exchanged(known)))
        shown = {name: np.repeat(through.taps[name][:1], 2, axis=0) for name in TAPS}
        out = self._heads({**shown, "seen": asked.seen, "points_seen": asked.points, "pair": asked.pair})
        said = logit(out["state"][:, HANDS + 2].astype(np.float64))
        odds = float(np.clip((said[0] - said[1]) / 2.0, -_MOST_SIDE, _MOST_SIDE))
        return odds if math.isfinite(odds) else 0.0

    def forget(self) -> None:
        """The next picture may lie where the last one lay."""
        self._newest = None

    def _through(self, image: Image, expected: Sequence[Expected | None]) -> _Through:
        """The crop of hands of a picture, through the trunk; the newest one is kept: it is often asked about again."""
        crop = crop_of_pair([hand.points for hand in expected if hand is not None])
        if self._newest is None or self._newest.image is not image or not np.array_equal(self._newest.crop, crop):
            picture = cut(image, crop, HAND_INPUT, replicate=True)[None]
            taps = self._trunk(np.concatenate([picture, picture[:, :, ::-1]]) if self._mirror else picture)
            self._newest = _Through(image, crop, picture, taps)
        return self._newest

    def read(
        self,
        taps: Mapping[str, NDArray[Any]],
        crop: Array,
        expected: Sequence[Expected | None],
        camera: Camera,
    ) -> PairReading | None:
        """What the taps (1, C, H, W) of a crop say, or (2, C, H, W) those of the crop and of its mirror image."""
        known, turn = in_crop(expected, crop, camera)
        shown = {name: taps[name] for name in TAPS}
        views = len(shown["features_28"])
        asked = given(known if views == 1 else joined(known, mirrored(known)))
        out = self._heads({**shown, "seen": asked.seen, "points_seen": asked.points, "pair": asked.pair})
        told = [{name: value[view].astype(np.float64) for name, value in out.items()} for view in range(views)]
        values = {name: np.mean([told[0][name], *(_mirrored(one)[name] for one in told[1:])], axis=0) for name in out}
        if not all(np.isfinite(value).all() for value in values.values()):
            return None
        points = points_in_picture((values["points"].reshape(-1, 2)) / HAND_INPUT, crop)
        calibration = self.calibration
        # Variances along the crop's axes, turned: what is left of them along the camera's.
        sigma = np.sqrt(turn**2 @ values["sigma"] ** 2) * calibration.sigma
        return PairReading(
            crop=crop,
            points=points.reshape(HANDS, KEYPOINT_COUNT, 2),
            error=values["error_2d"] * (calibration.error * float(crop[2]) / HAND_INPUT),
            form=values["location"] @ turn.T,
            form_error=values["error_3d"] * calibration.form_error,
            visible=values["visibility"],
            vector=turn @ values["vector"],
            sigma=np.maximum(sigma, _LEAST_SIGMA),
            contact=values["contact"],
            present=values["state"][:HANDS],
            together=float(values["state"][HANDS]),
            left_nearer=float(values["state"][HANDS + 1]),
        )


def _mirrored(values: Mapping[str, Array]) -> dict[str, Array]:
    """What was said of a mirror image, of the crop itself: the left hand is the right one."""
    left, right, together, left_nearer, as_told = values["state"]
    points = values["points"][::-1].copy()
    points[..., 0] = HAND_INPUT - 1 - points[..., 0]
    return {
        "points": points,
        "location": values["location"][::-1] * [-1.0, 1.0, 1.0],
        "vector": values["vector"] * [1.0, -1.0, -1.0],
        "sigma": values["sigma"],
        "state": np.array([right, left, together, 1.0 - left_nearer, as_told]),
        "contact": values["contact"].T,
        **{name: values[name][::-1] for name in ("error_2d", "error_3d", "visibility")},
    }


def in_crop(expected: Sequence[Expected | None], crop: Array, camera: Camera) -> tuple[SeenPair, Array]:
    """What is known of a picture's hands, in a crop's terms, and what takes the crop's axes to the camera's (3, 3)."""
    turn = np.eye(3)
    turn[:2, :2] = turned(float(crop[4]))
    turn = ray_rotation(camera.rays(crop[:2])) @ turn
    focal = float(np.sqrt(abs(camera.K[0, 0] * camera.K[1, 1]))) / float(crop[2])
    shape = (1, HANDS, KEYPOINT_COUNT)
    points, form = np.zeros((*shape, 2)), np.zeros((*shape, 3))
    error, form_error, known = np.ones(shape), np.ones(shape), np.zeros((1, HANDS), bool)
    back, bone = turned(-float(crop[4])), palm_bone()
    for slot, hand in enumerate(expected):
        if hand is not None:
            # The crop's middle falls on pixel size / 2, and its left edge on -0.5.
            points[0, slot] = (hand.points - crop[:2]) @ back.T / crop[2] + 0.5 + 0.5 / HAND_INPUT
            error[0, slot] = hand.error / crop[2]
            form[0, slot] = (hand.form - hand.form[0]) @ turn * bone
            form_error[0, slot], known[0, slot] = hand.form_error * bone, True
    return SeenPair(points, error, form, form_error, known, np.array([focal])), turn


def load_or_explain(
    runtime: Runtime, maps: MapsNet | None = None, *, mirror: bool = False
) -> tuple[PairCropNet | None, str]:
    """The network, or None and the one sentence that says why each hand is seen alone."""
    if PAIR_CROP_MODEL not in model_cards():
        return None, ""
    try:
        return PairCropNet.load(runtime, maps, mirror=mirror), ""
    except ModelFileError as error:
        note = f"Hands that touch are seen one by one, less well: {error}"
        log.info("%s", note)
        return None, note
