# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact on other hands: what touched in the take touches on the character.

A touch becomes a goal for two points of skin that comes and goes smoothly. Between the hands it is met by moving the
wrists, half each; what is left then, and every pinch, by bending the fingers that touch about their own hinges. Both
corrections are curves of least acceleration over time, so nothing pops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..hand.free import Hinges
from ..hand.model import HandModel, PosedHand, RestHand
from ..hand.names import FINGER_JOINTS, FINGERS, TIP_JOINTS, Side
from .easing import eased_curve
from .touches import Spot, Touch

Array = NDArray[np.float64]

EASE: Final = 0.3
"""seconds over which a correction dies away"""
_ROUNDS: Final = 3
_STEPS: Final = 4
_SURE: Final = 0.0005
"""metres of an adult hand to which fingers meet a goal"""
_SUPPLE: Final = 0.5
"""radians by which a finger joint may well be bent for it"""
_MOST: Final = np.radians(40.0)
_ADULT_PALM: Final = 0.09


@dataclass(frozen=True)
class Performed:
    """What one hand of the character does, T frames; lengths in one unit for both hands."""

    model: HandModel
    hinges: Hinges
    source: RestHand
    """the take's hand"""
    rest: RestHand
    """the character's"""
    rotation: Array
    """(T, 16, 4) as in a take, joint 0 to the character's world"""
    translation: Array
    """(T, 3) wrist joint in that world"""

    @property
    def factor(self) -> float:
        """The character's lengths to the take's."""
        return self.rest.palm_length / self.source.palm_length

    def posed(self) -> PosedHand:
        """Joints and orientations now."""
        return self.model.pose(self.rotation, self.translation, self.rest)

    def on_character(self, spot: Spot, points: Array) -> Array:
        """Points (n, 3) of a spot, told from its joint, carried over to the character's thickness and lengths."""
        if spot.joint == 0:
            return points * self.factor
        tip = TIP_JOINTS.index(spot.joint)
        bone = self.source.tips[tip] - self.source.joints[spot.joint]
        length = float(np.linalg.norm(bone))
        theirs = float(np.linalg.norm(self.rest.tips[tip] - self.rest.joints[spot.joint]))
        along = (points @ bone / length)[:, None] * bone / length
        carried: Array = along * theirs / length + (points - along) * self.factor
        return carried


def keep_contacts(
    touches: Sequence[Touch], hands: Mapping[Side, Performed], time: Array, *, move_wrists: bool = True
) -> dict[Side, Performed]:
    """The hands with their touches kept; `move_wrists` False leaves places alone and mends pinches only."""
    out = dict(hands)
    known = [touch for touch in touches if all(spot.side in hands for spot in touch.spots)]
    crossing = [touch for touch in known if touch.spots[0].side != touch.spots[1].side]
    if move_wrists and crossing:
        out = _with_wrists_moved(crossing, out, time)
    if not move_wrists:
        known = [touch for touch in known if touch not in crossing]
    return _with_fingers_bent(known, out, time) if known else out


def residuals(touch: Touch, hands: Mapping[Side, Performed], posed: Mapping[Side, PosedHand]) -> Array:
    """(n, 3) how far the second spot is from where the touch wants it, relative to the first."""
    at = [_world_points(touch, k, hands, posed) for k in (0, 1)]
    first = touch.spots[0].side
    turned = (posed[first].orientation[touch.frames, 0] @ touch.between[..., None])[..., 0]
    factor = 0.5 * sum(hands[spot.side].factor for spot in touch.spots)
    gap: Array = at[1] - at[0] - turned * factor
    return gap


def _world_points(touch: Touch, which: int, hands: Mapping[Side, Performed], posed: Mapping[Side, PosedHand]) -> Array:
    spot = touch.spots[which]
    hand = posed[spot.side]
    local = hands[spot.side].on_character(spot, touch.points[which])
    turned = hand.orientation[touch.frames, spot.joint] @ local[..., None]
    where: Array = hand.joints[touch.frames, spot.joint] + turned[..., 0]
    return where


def _with_wrists_moved(touches: Sequence[Touch], hands: Mapping[Side, Performed], time: Array) -> dict[Side, Performed]:
    posed = {side: hand.posed() for side, hand in hands.items()}
    total, weight, wanted = np.zeros(len(time)), np.zeros(len(time)), np.zeros((len(time), 3))
    for touch in touches:
        towards = 1.0 if touch.spots[0].side == "left" else -1.0
        total[touch.frames] += touch.weight
        weight[touch.frames] = np.maximum(weight[touch.frames], touch.weight)
        wanted[touch.frames] -= towards * touch.weight[:, None] * residuals(touch, hands, posed)
    # Several touches at once share one offset: what they ask for on average.
    wanted /= np.maximum(total, 1e-9)[:, None]
    offset = eased_curve(wanted, weight, time, EASE)
    return {
        side: replace(hand, translation=hand.translation + offset * (0.5 if side == "right" else -0.5))
        for side, hand in hands.items()
    }


@dataclass(frozen=True)
class _Bends:
    """The angles that fingers may be bent by: flexion of all three joints, and the first joint sideways."""

    joint: NDArray[np.intp]
    """(A,)"""
    axis: Array
    """(A, 3) canonical axes"""
    finger: NDArray[np.intp]
    """(A,) index into FINGERS"""

    @classmethod
    def of(cls, hinges: Hinges) -> _Bends:
        joints, axes, fingers = [], [], []
        for index, finger in enumerate(FINGERS):
            for level, joint in enumerate(FINGER_JOINTS[finger]):
                for axis in (0, 1) if level == 0 else (0,):
                    joints.append(joint)
                    axes.append(hinges.frame[joint, :, axis])
                    fingers.append(index)
        return cls(np.array(joints), np.array(axes), np.array(fingers))

    def applied(self, rotation: Array, angles: Array) -> Array:
        """Rotations (T, 16, 4) with angles (T, A) added about each joint's own axes."""
        out = rotation.copy()
        for which, joint in enumerate(self.joint):
            turn = rotations.quaternion_from_vector(angles[:, which : which + 1] * self.axis[which])
            out[:, joint] = rotations.multiply(out[:, joint], turn)
        return out


def _with_fingers_bent(touches: Sequence[Touch], hands: Mapping[Side, Performed], time: Array) -> dict[Side, Performed]:
    bends = {side: _Bends.of(hand.hinges) for side, hand in hands.items()}
    angles = {side: np.zeros((len(time), len(bends[side].joint))) for side in hands}
    weight = {side: np.zeros((len(time), len(FINGERS))) for side in hands}
    for touch in touches:
        for spot in touch.spots:
            if spot.joint:
                column = weight[spot.side][:, TIP_JOINTS.index(spot.joint)]
                column[touch.frames] = np.maximum(column[touch.frames], touch.weight)

    def now() -> dict[Side, Performed]:
        return {
            side: replace(hand, rotation=bends[side].applied(hand.rotation, angles[side]))
            for side, hand in hands.items()
        }

    open_by = _residuals_of(touches, hands)
    for _ in range(_ROUNDS):
        for _ in range(_STEPS):
            _step(touches, open_by, now(), bends, angles, time)
        for side in hands:
            for finger in range(len(FINGERS)):
                mine = bends[side].finger == finger
                angles[side][:, mine] = eased_curve(angles[side][:, mine], weight[side][:, finger], time, EASE)
    return {side: replace(hand, rotation=rotations.continuous(hand.rotation)) for side, hand in now().items()}


def _residuals_of(touches: Sequence[Touch], hands: Mapping[Side, Performed]) -> list[Array]:
    posed = {side: hand.posed() for side, hand in hands.items()}
    return [residuals(touch, hands, posed) for touch in touches]


def _step(
    touches: Sequence[Touch],
    open_by: Sequence[Array],
    hands: Mapping[Side, Performed],
    bends: Mapping[Side, _Bends],
    angles: dict[Side, Array],
    time: Array,
) -> None:
    """One damped Gauss-Newton step of all frames at once; the angles of both hands are solved for together.

    A touch that comes or goes asks for its share of what stood open at first, not for less firmness alone: where two
    touches want different things, the one gives way to the other as slowly as it fades.
    """
    posed = {side: hand.posed() for side, hand in hands.items()}
    sides = list(hands)
    starts = dict(zip(sides, np.cumsum([0, *(len(bends[side].joint) for side in sides)]), strict=False))
    size = sum(len(bends[side].joint) for side in sides)
    supple = _SUPPLE**-2
    normal = np.broadcast_to(np.eye(size) * supple, (len(time), size, size)).copy()
    right = np.concatenate([-supple * angles[side] for side in sides], axis=1)
    for touch, first in zip(touches, open_by, strict=True):
        gap = residuals(touch, hands, posed) - (1.0 - touch.weight[:, None]) * first
        jacobian = np.zeros((len(touch.frames), 3, size))
        for which, spot in enumerate(touch.spots):
            if not spot.joint:
                continue
            sign = 1.0 if which else -1.0
            at = _world_points(touch, which, hands, posed)
            hand, bend = posed[spot.side], bends[spot.side]
            for column in np.flatnonzero(bend.finger == TIP_JOINTS.index(spot.joint)):
                joint = bend.joint[column]
                axis = hand.orientation[touch.frames, joint] @ bend.axis[column]
                lever = at - hand.joints[touch.frames, joint]
                jacobian[:, :, starts[spot.side] + column] += sign * np.cross(axis, lever)
        sure = _SURE * np.mean([hands[spot.side].rest.palm_length for spot in touch.spots]) / _ADULT_PALM
        precision = touch.weight / sure**2
        transposed = np.swapaxes(jacobian, -1, -2) * precision[:, None, None]
        np.add.at(normal, touch.frames, transposed @ jacobian)
        np.add.at(right, touch.frames, -(transposed @ gap[..., None])[..., 0])
    change = np.linalg.solve(normal, right[..., None])[..., 0]
    for side in sides:
        mine = slice(starts[side], starts[side] + len(bends[side].joint))
        angles[side] = np.clip(angles[side] + change[:, mine], -_MOST, _MOST)
