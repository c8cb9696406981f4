# SPDX-License-Identifier: GPL-3.0-or-later
"""Moving hands: recorded ones, imagined ones, and ones that meet; at any frame rate, true in every frame.

A Motion is what happens before the camera; `take_of` states it as a Take, `scene_of` as a picture
to draw. Imagined motion runs through sampled poses and places on smooth curves, with waving,
crossing, standing still, and leaving the picture and coming back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, SIDES, Side
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack, State, Take

from . import contact, families, mesh_gap, mocap, poses
from .contact import Pairs
from .scene import HandPose, Look, Scene
from .two_hands import Patterns, contacts_of

Array = NDArray[np.float64]
Random = np.random.Generator

CENTRE: Final = (0.0, 0.06, 0.5)
"""Where hands move about, metres, camera axes: low enough that forearms leave the picture at its foot"""

_LEAP_GAP: Final = 0.06
"""Seconds without a recorded frame after which a hand counts as absent"""
_RECORDING_BLUR: Final = 0.012
"""Seconds over which recorded motion is smoothed: the sensor's own jitter, not the hand's"""
_NEAR: Final = 0.26
"""Metres between the palms beyond which hands cannot touch"""
_PARTINGS: Final = 10
_APART: Final = 0.055
"""Metres by which hands are drawn back just before and after they meet"""
_APPROACH: Final = 0.22
"""Seconds that takes"""
_CHANGE_BLUR: Final = 0.06
"""Seconds over which a correction fades in and out"""
_WRIST_REACH: Final = np.radians(62.0)
_ELBOW: Final[dict[Side, Array]] = {"right": np.array([-0.24, 0.40, 0.16]), "left": np.array([0.24, 0.40, 0.16])}
"""Where elbows rest, relative to the middle of the hands' space, metres, camera axes"""
_PALM: Final = np.array([-0.055, 0.0, 0.0])
_UP: Final = np.array([0.0, -1.0, 0.0])

_FINGERS_FIRST: Final = ("fingertips", "steeple", "interlaced", "clasp")

Event = Literal["go", "still", "wave", "cross", "leave"]
_EVENTS: Final[tuple[Event, ...]] = ("go", "still", "wave", "cross", "leave")
_EVENT_SHARES: Final = (0.46, 0.16, 0.14, 0.14, 0.10)


@dataclass(frozen=True)
class HandMotion:
    """One hand over T frames."""

    side: Side
    angles: Array
    """(T, 16, 3) hinge angles, radians"""
    root: Array
    """(T, 4) canonical to camera, w,x,y,z, sign-continuous"""
    place: Array
    """(T, 3) wrist joint, metres, camera axes"""
    present: NDArray[np.bool_]
    """(T,) the hand's pose is known"""


@dataclass(frozen=True)
class Motion:
    """One or two hands over T frames."""

    name: str
    rate: int
    """frames a second"""
    hands: tuple[HandMotion, ...]
    centre: Array
    """(3,) metres, camera axes: the middle of the space in which the hands move"""
    betas: Array
    """(10,)"""
    size: float
    """palm length, metres"""

    def __len__(self) -> int:
        return len(self.hands[0].place)

    @property
    def time(self) -> Array:
        """(T,) seconds."""
        return np.arange(len(self)) / self.rate

    def hand(self, side: Side) -> HandMotion | None:
        """The motion of one side."""
        return next((hand for hand in self.hands if hand.side == side), None)


def facing(side: Side, fingers: Array, back: Array) -> Array:
    """Root rotations (..., 4) with fingers along `fingers` and the back of the hand towards `back` (..., 3)."""
    along = fingers / np.linalg.norm(fingers, axis=-1, keepdims=True)
    out = back - along * (back * along).sum(-1, keepdims=True)
    out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    first = -along if side == "right" else along
    return rotations.quaternion_from_matrix(np.stack([first, out, np.cross(first, out)], axis=-1))


def recorded(
    name: str, rate: int, *, start: float = 0.0, seconds: float | None = None, centre: Sequence[float] = CENTRE
) -> Motion:
    """A Leap recording as a camera facing the performer sees it, its middle at `centre`."""
    recordings = mocap.load()
    mine = recordings.source == recordings.names.index(f"recording:{name}")
    end = recordings.time[mine].max() if seconds is None else start + seconds
    times = np.arange(start, end, 1.0 / rate)
    middle = np.asarray(centre, np.float64)
    hands = []
    shift = middle - np.median(recordings.wrist[mine] + rotations.rotate(recordings.root[mine], _PALM), axis=0)
    for number, side in enumerate(SIDES):
        chosen = np.flatnonzero(mine & (recordings.side == number))
        if len(chosen) < 4:
            continue
        at = recordings.time[chosen]
        span = max(_RECORDING_BLUR / max(float(np.median(np.diff(at))), 1e-3), 0.3)
        root = gaussian_filter1d(rotations.continuous(recordings.root[chosen]), span, axis=0)
        angles = gaussian_filter1d(recordings.angles[chosen], span, axis=0)
        place = gaussian_filter1d(recordings.wrist[chosen], span, axis=0) + shift
        nearest = np.abs(times[:, None] - at).min(1)
        hands.append(
            HandMotion(
                side=side,
                angles=PchipInterpolator(at, angles)(np.clip(times, at[0], at[-1])),
                root=rotations.continuous(
                    rotations.normalized(PchipInterpolator(at, root)(np.clip(times, at[0], at[-1])))
                ),
                place=PchipInterpolator(at, place)(np.clip(times, at[0], at[-1])),
                present=nearest < _LEAP_GAP,
            )
        )
    return _parted(_motion(f"recorded:{name}", rate, hands, middle))


def imagined(
    random: Random,
    rate: int,
    seconds: float,
    *,
    sides: Sequence[Side] = SIDES,
    test: bool = False,
    centre: Sequence[float] = CENTRE,
    events: Sequence[Event] | None = None,
) -> Motion:
    """Hands that go from pose to pose: counting, waving, crossing, resting, leaving and coming back.

    `events` happen in turn, over and over; without them they are drawn at random.
    """
    middle = np.asarray(centre, np.float64)
    count = round(seconds * rate)
    times = np.arange(count) / rate
    at = np.concatenate([[0.0], np.cumsum(random.uniform(0.3, 1.1, int(np.ceil(seconds / 0.3))))])
    at = at[: int(np.searchsorted(at, seconds)) + 1]
    drawn = random.choice(_EVENTS, len(at), p=_EVENT_SHARES) if events is None else np.resize(events, len(at))
    if len(sides) == 1:
        drawn = np.where(drawn == "cross", "go", drawn)
    hands = [_imagined_hand(random, side, at, drawn, times, middle, test=test) for side in sides]
    return _parted(_motion("imagined", rate, hands, middle))


def meeting(
    random: Random,
    rate: int,
    seconds: float,
    patterns: Patterns,
    *,
    test: bool = False,
    centre: Sequence[float] = CENTRE,
) -> Motion:
    """Hands that come together in contact patterns, hold them, and part again."""
    middle = np.asarray(centre, np.float64)
    count = round(seconds * rate)
    times = np.arange(count) / rate
    meetings = max(int(seconds // 2.4), 1)
    keys: dict[Side, list[tuple[float, Array, Array, Array]]] = {side: [] for side in SIDES}
    apart_at = np.linspace(0.0, seconds, meetings + 1)
    for number, moment in enumerate(apart_at):
        for side in SIDES:
            keys[side].append((moment, *_somewhere(random, side, middle, test=test)))
        if number == meetings:
            break
        index = int(random.integers(len(patterns)))
        joined = _upright(random, patterns.pairs[index : index + 1], middle)
        begin = moment + random.uniform(0.35, 0.45) * (apart_at[number + 1] - moment)
        hold = random.uniform(0.12, 0.3) * (apart_at[number + 1] - moment)
        back = _withdrawal(patterns.names[patterns.family[index]], joined)
        for side in SIDES:
            angles, root, place = joined[side]
            drift = 0.006 * random.normal(size=3)
            keys[side].append((begin - _APPROACH, angles, root, place + back[side]))
            keys[side].append((begin, angles, root, place))
            keys[side].append((begin + hold, angles, root, place))
            keys[side].append((begin + hold + _APPROACH, angles, root, place + back[side] + drift))
    hands = []
    for side in SIDES:
        at = np.array([key[0] for key in keys[side]])
        root = rotations.continuous(np.array([key[2] for key in keys[side]]))
        hands.append(
            HandMotion(
                side=side,
                angles=poses.clipped(PchipInterpolator(at, np.array([key[1] for key in keys[side]]))(times)),
                root=rotations.continuous(rotations.normalized(PchipInterpolator(at, root)(times))),
                place=PchipInterpolator(at, np.array([key[3] for key in keys[side]]))(times),
                present=np.ones(count, bool),
            )
        )
    return _parted(_motion("meeting", rate, hands, middle))


def _withdrawal(family: str, joined: dict[Side, tuple[Array, Array, Array]]) -> dict[Side, Array]:
    """The way (3,) each hand comes from: back along its fingers where fingers meet, else away from the other palm."""
    out: dict[Side, Array] = {}
    palms = {
        side: joined[side][2] + rotations.rotate(joined[side][1], _PALM if side == "right" else -_PALM)
        for side in SIDES
    }
    for side, other in (("left", "right"), ("right", "left")):
        if family in _FINGERS_FIRST:
            away = rotations.rotate(joined[side][1], [1.0, 0.0, 0.0] if side == "right" else [-1.0, 0.0, 0.0])
        else:
            away = palms[side] - palms[other]
        out[side] = _APART * away / max(float(np.linalg.norm(away)), 1e-9)
    return out


def _motion(name: str, rate: int, hands: Sequence[HandMotion], centre: Array) -> Motion:
    return Motion(name, rate, tuple(hands), centre, np.zeros(10), free_hand("right").palm_length)


def _somewhere(random: Random, side: Side, centre: Array, *, test: bool) -> tuple[Array, Array, Array]:
    """A pose, a root and a place on the hand's own side of the picture."""
    outwards = -1.0 if side == "right" else 1.0
    angles = poses.sample(random, 1, test=test)[0]
    fingers = _UP + random.normal(size=3) * [0.3, 0.15, 0.25]
    fingers[0] -= 0.15 * outwards
    # Palms turn to the camera about as often as backs.
    back = np.array([0.0, 0.0, 1.0 if random.random() < 0.55 else -1.0]) + random.normal(size=3) * [0.6, 0.1, 0.3]
    place = centre + np.array([outwards, 1.0, 1.0]) * random.uniform([0.07, -0.02, -0.08], [0.14, 0.07, 0.09])
    return angles, facing(side, fingers, back), place


def _upright(random: Random, pairs: Pairs, centre: Array) -> dict[Side, tuple[Array, Array, Array]]:
    """One pattern placed with its forearms below: angles, root and place by side."""
    turn, shift = pairs.turn[0], pairs.shift[0]
    up = np.array([-1.0, 0.0, 0.0]) + rotations.rotate(turn, [1.0, 0.0, 0.0])
    if np.linalg.norm(up) < 0.2:
        up = np.array([-1.0, 0.0, 0.0])
    up = up / np.linalg.norm(up)
    across = shift - up * (shift @ up)
    if np.linalg.norm(across) < 0.01:
        across = np.cross(up, [0.0, 1.0, 0.0])
    across = across / np.linalg.norm(across)
    # The performer faces the camera: the left hand is on the right of the picture.
    canonical = np.stack([across, up, np.cross(across, up)], axis=1)
    camera = np.stack([[1.0, 0.0, 0.0], _UP, np.cross([1.0, 0.0, 0.0], _UP)], axis=1)
    tilt = rotations.matrix_from_vector(random.normal(size=3) * [0.35, 0.6, 0.25])
    root = rotations.quaternion_from_matrix(tilt @ camera @ canonical.T)
    half = 0.5 * (rotations.rotate(root, _PALM) + rotations.rotate(root, shift + rotations.rotate(turn, -_PALM)))
    place = centre - half + random.normal(size=3) * [0.03, 0.015, 0.03]
    return {
        "right": (pairs.angles[0, 0], root, place),
        "left": (pairs.angles[0, 1], rotations.multiply(root, turn), place + rotations.rotate(root, shift)),
    }


def _imagined_hand(
    random: Random, side: Side, at: Array, events: NDArray[np.str_], times: Array, centre: Array, *, test: bool
) -> HandMotion:
    outwards = -1.0 if side == "right" else 1.0
    keys = [_somewhere(random, side, centre, test=test) for _ in at]
    angles, root, place = (np.array([key[k] for key in keys]) for k in range(3))
    for k, event in enumerate(events):
        if event == "still" and k and events[k - 1] != "leave":
            angles[k], root[k], place[k] = angles[k - 1], root[k - 1], place[k - 1] + 0.002 * random.normal(size=3)
        elif event == "cross":
            # Both hands pass to the other side, one before the other.
            place[k, 0] = centre[0] - outwards * random.uniform(0.03, 0.12)
            place[k, 2] = centre[2] + outwards * random.uniform(0.045, 0.11)
        elif event == "leave" and k and events[k - 1] != "leave" and random.random() < 0.5:
            place[k] = centre + random.choice(np.array([[outwards * 0.55, 0.05, 0.0], [outwards * 0.15, 0.55, 0.0]]))
    root = rotations.continuous(root)
    turned = rotations.normalized(PchipInterpolator(at, root)(times))
    moved = PchipInterpolator(at, place)(times)
    for k in np.flatnonzero(events == "wave"):
        end = at[k + 1] if k + 1 < len(at) else times[-1]
        share = np.clip((times - at[k]) / max(end - at[k], 1e-6), 0.0, 1.0)
        swing = np.sin(np.pi * share) ** 2 * np.sin(2 * np.pi * random.uniform(2.0, 4.5) * (times - at[k]))
        axis = np.array([0.0, 0.0, 1.0]) if random.random() < 0.6 else random.normal(size=3)
        sway = swing[:, None] * np.radians(random.uniform(12.0, 28.0)) * axis / np.linalg.norm(axis)
        turned = rotations.multiply(rotations.quaternion_from_vector(sway), turned)
        moved = moved + swing[:, None] * random.uniform(0.0, 0.05) * np.array([1.0, 0.2, 0.0])
    tremble = CubicSpline(np.linspace(times[0], times[-1] + 1e-6, 24), 0.0012 * random.normal(size=(24, 3)))(times)
    return HandMotion(
        side=side,
        angles=poses.clipped(PchipInterpolator(at, angles)(times)),
        root=rotations.continuous(turned),
        place=moved + tremble,
        present=np.ones(len(times), bool),
    )


def pairs_of(motion: Motion) -> Pairs:
    """The left hand relative to the right one in every frame (forearms straight)."""
    right, left = motion.hand("right"), motion.hand("left")
    if right is None or left is None:
        raise ValueError("Only a motion of both hands has a relation between them.")
    back = rotations.conjugate(right.root)
    return Pairs(
        angles=np.stack([right.angles, left.angles], axis=1),
        turn=rotations.multiply(back, left.root),
        shift=rotations.rotate(back, left.place - right.place),
        arm=np.tile(rotations.IDENTITY, (len(motion), 2, 1)),
    )


def near_frames(motion: Motion) -> NDArray[np.intp]:
    """Frames in which both hands are there and near enough to touch."""
    right, left = motion.hand("right"), motion.hand("left")
    if right is None or left is None:
        return np.zeros(0, np.intp)
    palms = right.place + rotations.rotate(right.root, _PALM) - left.place - rotations.rotate(left.root, -_PALM)
    return np.flatnonzero((np.linalg.norm(palms, axis=-1) < _NEAR) & right.present & left.present)


def _parted(motion: Motion) -> Motion:
    """Hands eased apart wherever the way between two moments leads one through the other.

    What the solver changes in a frame is spread over its neighbours, so that nothing jumps. Each
    hand takes half of the change of place.
    """
    span = max(_CHANGE_BLUR * motion.rate, 0.5)
    for _ in range(_PARTINGS):
        near = near_frames(motion)
        if not len(near):
            return motion
        every = pairs_of(motion)
        before = every[near]
        outcome = contact.relax(before, families.wishes(len(near), angles=10.0, turn=10.0, shift=0.02))
        after = outcome.pairs
        moved = np.linalg.norm(after.shift - before.shift, axis=-1).max(initial=0.0)
        if moved < 5e-4:
            return motion
        change_angles = np.zeros_like(every.angles)
        change_turn, change_shift = np.zeros((len(motion), 3)), np.zeros((len(motion), 3))
        change_angles[near] = after.angles - before.angles
        change_turn[near] = rotations.vector_from_quaternion(
            rotations.multiply(after.turn, rotations.conjugate(before.turn))
        )
        change_shift[near] = after.shift - before.shift
        change_angles, change_turn, change_shift = (
            gaussian_filter1d(change, span, axis=0) for change in (change_angles, change_turn, change_shift)
        )
        motion = _changed(motion, change_angles, change_turn, change_shift)
    return motion


def _changed(motion: Motion, angles: Array, turn: Array, shift: Array) -> Motion:
    right, left = motion.hand("right"), motion.hand("left")
    assert right is not None and left is not None
    half = 0.5 * rotations.rotate(right.root, shift)
    into_camera = rotations.rotate(right.root, turn)
    return replace(
        motion,
        hands=(
            replace(
                left,
                angles=poses.clipped(left.angles + angles[:, 1]),
                root=rotations.continuous(rotations.multiply(rotations.quaternion_from_vector(into_camera), left.root)),
                place=left.place + half,
            ),
            replace(right, angles=poses.clipped(right.angles + angles[:, 0]), place=right.place - half),
        ),
    )


def forearm(side: Side, root: Array, place: Array, centre: Array) -> Array:
    """Forearm turns (T, 4) that lead from the wrists (T, 3) towards an elbow at rest, as far as a wrist bends."""
    straight = np.array([1.0, 0.0, 0.0]) if side == "right" else np.array([-1.0, 0.0, 0.0])
    toward = rotations.rotate(rotations.conjugate(root), centre + _ELBOW[side] - place)
    toward /= np.maximum(np.linalg.norm(toward, axis=1, keepdims=True), 1e-9)
    axis = np.cross(straight, toward)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.minimum(np.arctan2(sine, (toward @ straight)[:, None]), _WRIST_REACH)
    return rotations.quaternion_from_vector(axis / np.maximum(sine, 1e-9) * angle)


def scene_of(motion: Motion, index: int, camera: Camera, look: Look, *, exposure: float = 0.4) -> Scene:
    """One frame as a scene; `exposure` is the share of a frame's time for which the shutter is open."""
    shown = [hand for hand in motion.hands if hand.present[index]]
    after = min(index + 1, len(motion) - 1)
    middle, end = [], []
    for hand in shown:
        rotation, place, arm = _drawn(hand, motion.centre, np.array([index, after]))
        middle.append(HandPose(hand.side, rotation[0], place[0], arm[0]))
        half = 0.5 * exposure
        end.append(
            HandPose(
                hand.side,
                rotations.slerp(rotation[0], rotation[1], half),
                place[0] + half * (place[1] - place[0]),
                rotations.slerp(arm[0], arm[1], half),
            )
        )
    return Scene(
        tuple(middle), motion.betas, motion.size, camera.K, camera.width, camera.height, look,
        hands_end=tuple(end) if exposure > 0.0 else None,
    )  # fmt: skip


def _drawn(hand: HandMotion, centre: Array, frames: NDArray[np.intp]) -> tuple[Array, Array, Array]:
    root, place = hand.root[frames], hand.place[frames]
    rotation = rotations_from_angles(hand.angles[frames], free_hinges(hand.side), root)
    return rotation, place, forearm(hand.side, root, place, centre)


def take_of(motion: Motion, camera: Camera, visibility: dict[Side, Array] | None = None) -> Take:
    """The truth of a motion before a camera.

    A hand none of whose keypoints lies in the picture is absent. `visibility` (T, 21) by side comes
    from drawing; without it, what is inside the picture counts as visible.
    """
    tracks: dict[Side, HandTrack] = {side: HandTrack.absent(len(motion)) for side in SIDES}
    for hand in motion.hands:
        model = free_hand(hand.side)
        rotation = rotations.continuous(rotations_from_angles(hand.angles, free_hinges(hand.side), hand.root))
        points = model.pose(rotation, hand.place, model.rest(motion.betas, motion.size)).keypoints
        pixels = camera.project(points)
        inside = ((pixels >= 0) & (pixels <= [camera.width - 1, camera.height - 1])).all(-1) & (points[..., 2] > 0.02)
        there = hand.present & inside.any(1)
        seen = inside if visibility is None else visibility[hand.side]
        tracks[hand.side] = HandTrack(
            state=np.where(there, State.SEEN, State.ABSENT).astype(np.uint8),
            confidence=there.astype(np.float64),
            seen2d=np.where(there[:, None, None], pixels, np.nan),
            seen2d_sigma=np.where(there[:, None], np.zeros(KEYPOINT_COUNT), np.nan),
            seen3d=np.full_like(points, np.nan),
            seen3d_sigma=np.full(points.shape[:2], np.nan),
            visibility=np.where(there[:, None], seen, 0.0),
            rotation=np.where(there[:, None, None], rotation, rotations.IDENTITY),
            translation=np.where(there[:, None], hand.place, np.nan),
            raw_rotation=np.where(there[:, None, None], rotation, rotations.IDENTITY),
            raw_translation=np.where(there[:, None], hand.place, np.nan),
            points=np.where(there[:, None, None], points, np.nan),
        )
    return Take(
        meta={
            "source": motion.name,
            "width": camera.width,
            "height": camera.height,
            "rate": [motion.rate, 1],
            "mirrored": False,
            "definition": "model",
            "truth": True,
            "hand_model": free_hand("right").id,
        },
        frame=np.arange(len(motion), dtype=np.int32),
        time=motion.time,
        K=camera.K,
        dist=camera.dist,
        left=tracks["left"],
        right=tracks["right"],
        betas=motion.betas,
        size=motion.size,
        contacts=_contacts(motion),
    )


def _contacts(motion: Motion) -> NDArray[np.void]:
    near = near_frames(motion)
    if not len(near):
        return np.zeros(0, CONTACT_DTYPE)
    gaps = mesh_gap.measure(pairs_of(motion)[near]).part_gap
    rows = [
        (frame, left, right, 1.0) for frame, gap in zip(near, gaps, strict=True) for left, right in contacts_of(gap)
    ]
    return np.array(rows, CONTACT_DTYPE)
