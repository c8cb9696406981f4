# SPDX-License-Identifier: GPL-3.0-or-later
"""The example clip's choreography: two hands count, cross, touch fingertips, interlace and part.

    python -m training.footage.example_clip truth  --out examples/two_hands.truth.npz [--preview preview.mp4]
    python -m training.footage.example_clip bundle --truth examples/two_hands.truth.npz --out FOLDER

`truth` writes the take that is true of every frame; `bundle` what Cycles needs to draw it
(posed meshes and skin), so that Blender needs no numba. `training.footage.cycles` draws a bundle.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import free_hinges
from blender_handmocap.engine.hand.names import FINGERS, SIDES, Side
from blender_handmocap.engine.take import CONTACT_DTYPE, HandTrack, State, Take, load_take, save_take

from . import contact, families, mesh_gap, poses
from .contact import Pairs
from .render import draw
from .scene import Backdrop, HandPose, Light, Look, Scene, Wear
from .surface import hand_model, render_hand
from .two_hands import contacts_of

Array = NDArray[np.float64]

WIDTH: Final = 640
HEIGHT: Final = 480
RATE: Final = 30
SECONDS: Final = 6.0
FOCAL: Final = 560.0
"""pixels: a usual webcam"""
SKIN: Final = 11
_ELBOW: Final[dict[Side, Array]] = {"right": np.array([-0.24, 0.40, 0.70]), "left": np.array([0.25, 0.41, 0.71])}
_WRIST_REACH: Final = np.radians(62.0)
_BODY_SEED: Final = 7
_DRAFTS: Final = 240
"""how many interlaced drafts the best one is chosen from"""


@dataclass(frozen=True)
class Pose:
    """One hand at one moment."""

    angles: Array
    """(16, 3) hinge angles"""
    root: Array
    """(4,) canonical to camera"""
    place: Array
    """(3,) wrist joint, metres, camera axes"""


@dataclass(frozen=True)
class Key:
    """Both hands at one moment of the clip."""

    time: float
    right: Pose
    left: Pose


def facing(side: Side, fingers: Sequence[float], back: Sequence[float]) -> Array:
    """The root rotation (4,) whose fingers point along `fingers` and whose back looks along `back`, camera axes."""
    along = np.asarray(fingers, np.float64) / np.linalg.norm(fingers)
    out = np.asarray(back, np.float64)
    out = out - along * (out @ along)
    out /= np.linalg.norm(out)
    first = -along if side == "right" else along
    return rotations.quaternion_from_matrix(np.stack([first, out, np.cross(first, out)], axis=1))


def _pose(side: Side, shape: str, fingers: Sequence[float], back: Sequence[float], place: Sequence[float]) -> Pose:
    return Pose(poses.named(shape), facing(side, fingers, back), np.asarray(place, np.float64))


def _pair_keys(pairs: Pairs, index: int, *, middle: Sequence[float], pitch: float, yaw: float) -> tuple[Pose, Pose]:
    """A relaxed pattern placed upright before the camera: (right, left)."""
    turn, shift = pairs.turn[index], pairs.shift[index]
    right_fingers, left_fingers = np.array([-1.0, 0.0, 0.0]), rotations.rotate(turn, [1.0, 0.0, 0.0])
    up = right_fingers + left_fingers
    up /= np.linalg.norm(up)
    across = shift - up * (shift @ up)
    across /= np.linalg.norm(across)
    canonical = np.stack([across, up, np.cross(across, up)], axis=1)
    camera = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]).T
    view = rotations.matrix_from_vector([pitch, 0.0, 0.0]) @ rotations.matrix_from_vector([0.0, yaw, 0.0])
    root = rotations.quaternion_from_matrix(view @ camera @ canonical.T)
    half = 0.5 * rotations.rotate(root, shift + rotations.rotate(turn, [0.09, 0, 0]) + np.array([-0.09, 0, 0]))
    right_place = np.asarray(middle, np.float64) - half
    right = Pose(pairs.angles[index, 0], root, right_place)
    left = Pose(pairs.angles[index, 1], rotations.multiply(root, turn), right_place + rotations.rotate(root, shift))
    return right, left


def fingertips() -> Pairs:
    """Five fingertips against five."""
    random = np.random.default_rng(3)
    draft = families.FAMILIES["fingertips"].draft(random, 1, False)
    angles = np.tile(poses.named("ball"), (1, 2, 1, 1))
    tilt = np.radians([70.0])
    back = np.array([0.0, -1.0, 0.0])
    axis = rotations.quaternion_from_vector([0.0, 0.0, -float(tilt[0])])
    fingers, behind = rotations.rotate(axis, [-1.0, 0.0, 0.0]), rotations.rotate(axis, back)
    turn = rotations.quaternion_from_matrix(np.stack([fingers, behind, np.cross(fingers, behind)], axis=1))[None]
    tips = np.array([families.tip_sphere(finger) for finger in FINGERS])
    pulls = np.stack([tips, tips], axis=-1)[None]
    start = Pairs(angles, turn, np.zeros((1, 3)), draft.pairs.arm)
    start = families.brought(start, tips[2:3], tips[2:3], 0.002)
    return contact.relax(start, families.wishes(1, pulls, angles=22.0, shift=0.1, turn=30.0)).pairs


def interlaced() -> Pairs:
    """The cleanest of many interlaced drafts whose hands lie symmetrically."""
    draft = families.FAMILIES["interlaced"].draft(np.random.default_rng(5), _DRAFTS, False)
    outcome = contact.relax(draft.pairs, draft.wishes)
    left_fingers = rotations.rotate(outcome.pairs.turn, np.array([1.0, 0.0, 0.0]))
    opening = np.degrees(np.arccos(np.clip(-left_fingers[:, 0], -1, 1)))
    cost = outcome.depth * 1e3 + outcome.own_depth * 1e3 + np.abs(opening - 75.0) / 15.0
    best = int(cost.argmin())
    return outcome.pairs[np.array([best])]


def keys() -> list[Key]:
    """The whole choreography."""
    tips, laced = fingertips(), interlaced()
    up = (0.06, -1.0, 0.05)
    lean = (-0.1, -1.0, 0.08)

    def right(
        shape: str, place: Sequence[float], fingers: Sequence[float] = up, back: Sequence[float] = (0.12, 0, 1)
    ) -> Pose:
        return _pose("right", shape, fingers, back, place)

    def left(
        shape: str, place: Sequence[float], fingers: Sequence[float] = lean, back: Sequence[float] = (-0.2, 0, 1)
    ) -> Pose:
        return _pose("left", shape, fingers, back, place)

    def touching(time: float, drift: float) -> Key:
        return Key(time, *_pair_keys(tips, 0, middle=(0.0, -0.01 + drift, 0.50), pitch=0.18, yaw=0.30))

    def locked(time: float, drift: float, yaw: float) -> Key:
        return Key(time, *_pair_keys(laced, 0, middle=(0.005, 0.0 + drift, 0.50), pitch=0.25, yaw=yaw))

    def opened(time: float, apart: float) -> Key:
        """Interlaced hands drawn apart along their fingers, fingers straight and spread to slide between each other."""
        key = locked(time, 0.0, 0.35)
        mine = rotations.rotate(key.right.root, [-1.0, 0.0, 0.0])
        theirs = rotations.rotate(key.left.root, [1.0, 0.0, 0.0])
        spread = poses.named("spread")
        return Key(
            time,
            replace(key.right, angles=0.5 * (key.right.angles + spread), place=key.right.place - apart * mine),
            replace(key.left, angles=0.5 * (key.left.angles + spread), place=key.left.place - apart * theirs),
        )

    return [
        Key(0.00, right("fist", (-0.12, 0.085, 0.52)), left("relaxed", (0.13, 0.12, 0.54))),
        Key(0.20, right("fist", (-0.12, 0.085, 0.52)), left("relaxed", (0.13, 0.12, 0.54))),
        Key(0.40, right("one", (-0.12, 0.080, 0.515)), left("relaxed", (0.13, 0.118, 0.54))),
        Key(0.65, right("one", (-0.12, 0.080, 0.515)), left("relaxed", (0.13, 0.116, 0.54))),
        Key(0.85, right("two", (-0.118, 0.080, 0.51)), left("open", (0.132, 0.112, 0.535))),
        Key(1.10, right("two", (-0.118, 0.080, 0.51)), left("open", (0.132, 0.108, 0.535))),
        Key(1.30, right("three", (-0.115, 0.080, 0.51)), left("five", (0.134, 0.10, 0.53))),
        Key(1.55, right("three", (-0.115, 0.082, 0.51)), left("five", (0.134, 0.10, 0.53))),
        Key(
            2.05,
            right("five", (0.05, 0.10, 0.45), fingers=(0.35, -1.0, -0.05), back=(-0.1, 0, 1)),
            left("open", (-0.04, 0.11, 0.58), fingers=(-0.35, -1.0, 0.1), back=(0.1, 0, 1)),
        ),
        Key(
            2.55,
            right("open", (-0.115, 0.08, 0.50), fingers=(0.1, -1.0, 0.0), back=(-0.35, 0, 1)),
            left("open", (0.115, 0.085, 0.51), fingers=(-0.1, -1.0, 0.0), back=(0.35, 0, 1)),
        ),
        touching(3.05, 0.0),
        touching(3.45, -0.006),
        opened(3.85, 0.075),
        locked(4.20, 0.0, 0.35),
        locked(4.65, 0.01, 0.10),
        opened(4.98, 0.08),
        Key(
            5.40,
            right("five", (-0.125, 0.075, 0.51), fingers=(-0.05, -1.0, 0.0)),
            left("five", (0.13, 0.08, 0.52), fingers=(0.02, -1.0, 0.0)),
        ),
        Key(
            5.70,
            right("open", (-0.125, 0.07, 0.51), fingers=(0.22, -1.0, 0.0)),
            left("relaxed", (0.13, 0.09, 0.52), fingers=(-0.1, -1.0, 0.05)),
        ),
        Key(
            6.00,
            right("five", (-0.125, 0.072, 0.51), fingers=(-0.12, -1.0, 0.0)),
            left("relaxed", (0.13, 0.11, 0.53), fingers=(-0.1, -1.0, 0.05)),
        ),
    ]


def moved(choreography: Sequence[Key], times: Array) -> dict[Side, tuple[Array, Array, Array]]:
    """Angles (T, 16, 3), roots (T, 4) and places (T, 3) of each hand at `times`; smooth, without overshoot."""
    at = np.array([key.time for key in choreography])
    out: dict[Side, tuple[Array, Array, Array]] = {}
    for side in SIDES:
        each = [getattr(key, side) for key in choreography]
        root = rotations.continuous(np.array([pose.root for pose in each]))
        out[side] = (
            PchipInterpolator(at, np.array([pose.angles for pose in each]))(times),
            rotations.normalized(PchipInterpolator(at, root)(times)),
            PchipInterpolator(at, np.array([pose.place for pose in each]))(times),
        )
    return out


def pairs_of(motion: dict[Side, tuple[Array, Array, Array]]) -> Pairs:
    """The two hands relative to each other, frame by frame."""
    (right_angles, right_root, right_place), (left_angles, left_root, left_place) = motion["right"], motion["left"]
    back = rotations.conjugate(right_root)
    return Pairs(
        angles=np.stack([right_angles, left_angles], axis=1),
        turn=rotations.multiply(back, left_root),
        shift=rotations.rotate(back, left_place - right_place),
        arm=np.tile(rotations.IDENTITY, (len(right_root), 2, 1)),
    )


def without_penetration(motion: dict[Side, tuple[Array, Array, Array]]) -> dict[Side, tuple[Array, Array, Array]]:
    """Hands pressed apart wherever the way between two keys leads one through the other; changes spread over time."""
    for _ in range(3):
        before = pairs_of(motion)
        wishes = families.wishes(len(before), angles=7.0, turn=6.0, shift=0.008)
        after = contact.relax(before, wishes).pairs
        change_angles = gaussian_filter1d(after.angles - before.angles, 1.2, axis=0)
        turn_back = rotations.multiply(after.turn, rotations.conjugate(before.turn))
        change_turn = gaussian_filter1d(rotations.vector_from_quaternion(turn_back), 1.2, axis=0)
        change_shift = gaussian_filter1d(after.shift - before.shift, 1.2, axis=0)
        turn = rotations.multiply(rotations.quaternion_from_vector(change_turn), before.turn)
        angles = poses.clipped(before.angles + change_angles)
        _, root, place = motion["right"]
        motion = {
            "right": (angles[:, 0], root, place),
            "left": (
                angles[:, 1],
                rotations.multiply(root, turn),
                place + rotations.rotate(root, before.shift + change_shift),
            ),
        }
    return motion


def forearm(side: Side, root: Array, place: Array) -> Array:
    """(T, 4) forearm turns that lead from the wrists (T, 3) to an elbow at rest, as far as a wrist bends."""
    straight = np.array([1.0, 0.0, 0.0]) if side == "right" else np.array([-1.0, 0.0, 0.0])
    toward = rotations.rotate(rotations.conjugate(root), _ELBOW[side] - place)
    toward /= np.linalg.norm(toward, axis=1, keepdims=True)
    axis = np.cross(straight, toward)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.minimum(np.arctan2(sine, (toward @ straight)[:, None]), _WRIST_REACH)
    return rotations.quaternion_from_vector(axis / np.maximum(sine, 1e-9) * angle)


def truth() -> Take:
    """The clip as a take: exact rotations, places, points and contacts."""
    times = np.arange(round(SECONDS * RATE)) / RATE
    motion = without_penetration(moved(keys(), times))
    pairs = pairs_of(motion)
    camera = Camera.from_focal(WIDTH, HEIGHT, FOCAL)
    size = hand_model("right").palm_length
    tracks: dict[Side, HandTrack] = {}
    for side in SIDES:
        angles, root, place = motion[side]
        rotation = rotations.continuous(rotations_from_angles(angles, free_hinges(side), root))
        rest = hand_model(side).rest(np.zeros(10), size)
        points = hand_model(side).pose(rotation, place, rest).keypoints
        tracks[side] = replace(
            HandTrack.absent(len(times)),
            state=np.full(len(times), State.SEEN, np.uint8),
            confidence=np.ones(len(times)),
            seen2d=camera.project(points),
            visibility=np.ones((len(times), 21)),
            rotation=rotation,
            translation=place,
            raw_rotation=rotation,
            raw_translation=place,
            points=points,
        )
    return Take(
        meta={
            "source": "two_hands.mp4", "width": WIDTH, "height": HEIGHT, "rate": [RATE, 1], "mirrored": False,
            "definition": "model", "truth": True, "hand_model": hand_model("right").id,
        },
        frame=np.arange(len(times), dtype=np.int32),
        time=times,
        K=camera.K,
        dist=camera.dist,
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=size,
        contacts=_contacts(pairs),
    )  # fmt: skip


def _contacts(pairs: Pairs) -> NDArray[np.void]:
    gaps = mesh_gap.measure(pairs).part_gap
    rows = [(frame, left, right, 1.0) for frame, gap in enumerate(gaps) for left, right in contacts_of(gap)]
    return np.array(rows, CONTACT_DTYPE)


def scene_of(take: Take, index: int) -> Scene:
    """One frame as the footage renderer's scene; for previews and for visibility."""
    hands = []
    for side in SIDES:
        track = take.track(side)
        arm = forearm(side, track.rotation[index : index + 1, 0], track.translation[index : index + 1])[0]
        hands.append(HandPose(side, track.rotation[index], track.translation[index], arm))
    look = Look(
        skin=SKIN,
        lights=(Light(np.array([0.5, -0.6, -0.62]), np.array([0.75, 0.7, 0.62]), 0.2),),
        backdrop=Backdrop("room:3", blur=1.5),
        wear=tuple(Wear(hand, "sleeve", 4, (0.07, 0.01)) for hand in range(2)),
    )
    K = take.K if take.K.ndim == 2 else take.K[index]
    return Scene(tuple(hands), take.betas, take.size, K, WIDTH, HEIGHT, look)


def with_visibility(take: Take) -> Take:
    """The take with every keypoint's visibility, by the footage renderer's depth test."""
    seen = {side: np.zeros((len(take), 21)) for side in SIDES}
    for index in range(len(take)):
        for hand in draw(scene_of(take, index), 0).hands:
            seen[hand.pose.side][index] = hand.visible
    return replace(take, **{side: replace(take.track(side), visibility=seen[side]) for side in SIDES})


def write_preview(take: Take, path: Path, *, every: int = 1) -> None:
    """A quick movie by the footage renderer."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), RATE / every, (WIDTH, HEIGHT))
    for index in range(0, len(take), every):
        writer.write(cv2.cvtColor(draw(scene_of(take, index), index).image, cv2.COLOR_RGB2BGR))
    writer.release()


def write_bundle(take: Take, folder: Path) -> None:
    """Meshes of every frame and the skin as pictures: meshes.npz, albedo.png, surface.png."""
    from .skin import bake

    folder.mkdir(parents=True, exist_ok=True)
    arrays = {"K": take.K, "size": np.array([WIDTH, HEIGHT]), "rate": np.array(RATE)}
    for side in SIDES:
        mesh, track = render_hand(side), take.track(side)
        rest = hand_model(side).rest(take.betas, take.size)
        arms = forearm(side, track.rotation[:, 0], track.translation)
        posed = [
            mesh.vertices(HandPose(side, track.rotation[k], track.translation[k], arms[k]), rest)
            for k in range(len(take))
        ]
        arrays[f"{side}_vertices"] = np.array(posed, np.float32)
        arrays[f"{side}_faces"], arrays[f"{side}_uv"] = mesh.faces, mesh.face_uv
        arrays[f"{side}_along"] = mesh.canonical[:, 0]
    np.savez_compressed(folder / "meshes.npz", **arrays)
    skin = bake(SKIN, 2048)
    # Linear values, 16 bits; heights of +-1 mm around the middle grey.
    maps = {"albedo": skin.albedo[..., ::-1], "roughness": skin.roughness * 0.5, "height": skin.height * 500.0 + 0.5}
    for name, values in maps.items():
        cv2.imwrite(str(folder / f"{name}.png"), np.round(np.clip(values, 0.0, 1.0) * 65535).astype(np.uint16))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("truth")
    make.add_argument("--out", type=Path, required=True)
    make.add_argument("--preview", type=Path)
    bundle = commands.add_parser("bundle")
    bundle.add_argument("--truth", type=Path, required=True)
    bundle.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    if options.command == "truth":
        take = with_visibility(truth())
        save_take(take, options.out)
        if options.preview:
            write_preview(take, options.preview)
    else:
        write_bundle(load_take(options.truth), options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
