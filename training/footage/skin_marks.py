# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines and marks on skin: creases, knuckle wrinkles, veins, tendons, hair, tattoos. Fields over an atlas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, FOREARM_PART

from . import noise
from .atlas import Atlas, sampled

FloatArray = NDArray[np.float32]

_PALM_LINES: Final = (
    # From and to in shares of the palm (0 wrist .. 1 knuckles; -1 pinky's side .. 1 thumb's side), and the bend.
    ((0.86, 0.95), (0.78, -0.75), -0.14),
    ((0.88, 0.95), (0.42, -0.80), -0.10),
    ((0.86, 0.95), (0.06, 0.15), 0.26),
)


@dataclass(frozen=True)
class Lines:
    """Fields (N,) of an atlas, 0 none .. 1 strong."""

    dark: FloatArray
    red: FloatArray
    height: FloatArray
    """metres"""
    vein: FloatArray


def lines(atlas: Atlas, seed: int, *, age: float, leanness: float) -> Lines:
    """Creases, wrinkles, veins and tendons of one person; age and leanness 0..1 make them stronger."""
    p, dorsal = atlas.position, atlas.dorsal
    dark, red, height = (np.zeros(len(p), np.float32) for _ in range(3))
    for f, finger in enumerate(FINGERS):
        axis = atlas.finger_axis[finger]
        on_finger = atlas.weight[:, list(FINGER_JOINTS[finger])].sum(1)
        tip = np.linalg.norm(p - axis[3], axis=1)
        red += 0.7 * np.exp(-((tip / 0.011) ** 2))
        for k in range(3):
            bone = axis[k + 1] - axis[k]
            bone = bone / np.linalg.norm(bone)
            along = (p - axis[k]) @ bone
            radius = np.linalg.norm(p - axis[k] - along[:, None] * bone, axis=1)
            near = np.exp(-((radius / 0.014) ** 4))
            knuckle = np.exp(-((along / 0.008) ** 2)) * near * dorsal
            red += (0.55 if k else 0.35) * knuckle
            wobble = 0.0012 * noise.space(p * 110, seed + 31 * f + k)
            root = k == 0 and finger != "thumb"
            # Finger joints crease on the palm side; the web's crease lies a finger's width beyond the knuckle.
            place = along + wobble - (0.017 if root else 0.0)
            crease = _groove(place, 0.0006) + 0.55 * _groove(place - 0.0021, 0.00045)
            crease = crease * near * (1 - dorsal) * np.clip(on_finger * 1.6, 0, 1)
            dark += 0.42 * crease
            height -= 0.00032 * crease
            if k > 0 or finger == "thumb":
                folds = sum(
                    _groove(along + 0.0008 * noise.space(p * 190, seed + 7 * j + f) - offset, 0.0005)
                    for j, offset in enumerate((-0.0058, -0.0036, -0.0016, 0.0002, 0.0021, 0.0042))
                )
                strength = (0.5 + 0.7 * age) * (1.0 if k == 1 else 0.6)
                folds = folds * near * dorsal * (on_finger > 0.5) * strength
                dark += 0.2 * folds
                height -= 0.00022 * folds
    palm = _palm_lines(atlas, seed)
    dark += 0.4 * palm
    height -= 0.0004 * palm
    dark += 0.25 * (wrist := _wrist_lines(atlas, seed))
    height -= 0.0002 * wrist
    tendon, vein = _tendons(atlas), _veins(atlas, seed)
    height += leanness * (0.0006 * tendon + 0.0006 * vein)
    # Fine net of the back of the hand, longer lines on the palm.
    net = np.abs(noise.space(p * 420, seed + 3)) + np.abs(noise.space(p * 700, seed + 4))
    ridges = np.abs(noise.space(p * np.array([160, 300, 520], np.float32), seed + 5))
    height += (0.00005 + 0.00006 * age) * net * dorsal + 0.00006 * ridges * (1 - dorsal)
    return Lines(dark=np.clip(dark, 0, 1), red=np.clip(red, 0, 1), height=height, vein=vein * leanness)


def _groove(distance: FloatArray, width: float) -> FloatArray:
    return np.exp(-((distance / np.float32(width)) ** 2))


def _palm_lines(atlas: Atlas, seed: int) -> FloatArray:
    p = atlas.position
    index, pinky = atlas.finger_axis["index"][0], atlas.finger_axis["pinky"][0]
    length = -float(atlas.finger_axis["middle"][0][0])
    middle, half = 0.5 * float(index[2] + pinky[2]), 0.62 * float(index[2] - pinky[2])
    along, across = -p[:, 0] / length, (p[:, 2] - middle) / half
    random = np.random.default_rng(seed + 101)
    below = np.clip((1 - atlas.dorsal) * 1.6, 0, 1) * (atlas.normal[:, 1] < 0)
    total = np.zeros(len(p), np.float32)
    wobble = 0.02 * noise.space(p * 55, seed + 33)
    minor = [
        (tuple(random.uniform(0.1, 0.95, 1)) + tuple(random.uniform(-0.8, 0.8, 1)),)
        for _ in range(random.integers(4, 10))
    ]
    strokes = [(a, b, bend, 1.0, 0.0009) for a, b, bend in _PALM_LINES]
    for (start,) in minor:
        stop = (start[0] + random.normal() * 0.18, start[1] + random.normal() * 0.25)
        strokes.append((start, stop, random.normal() * 0.05, 0.35, 0.0005))
    for (a0, c0), (a1, c1), bend, strength, width in strokes:
        a0, c0, a1, c1 = (value + random.normal() * 0.03 for value in (a0, c0, a1, c1))
        share = np.clip(
            ((along - a0) * (a1 - a0) + (across - c0) * (c1 - c0)) / ((a1 - a0) ** 2 + (c1 - c0) ** 2), 0, 1
        )
        bow = bend * np.sin(np.pi * share)
        da = (along - a0 - share * (a1 - a0) + bow * 0.4 + wobble) * length
        dc = (across - c0 - share * (c1 - c0) - bow + wobble) * half
        total += (
            strength * np.exp(-(da**2 + dc**2) / width**2) * (0.6 + 0.4 * np.sin(np.pi * np.clip(share + 0.2, 0, 1)))
        )
    return np.clip(total * below, 0, 1).astype(np.float32)


def _wrist_lines(atlas: Atlas, seed: int) -> FloatArray:
    x = atlas.position[:, 0] + 0.002 * noise.space(atlas.position * 60, seed + 44)
    rings = _groove(x - 0.002, 0.0007) + 0.6 * _groove(x - 0.009, 0.0006)
    return (rings * (1 - atlas.dorsal)).astype(np.float32)


def _tendons(atlas: Atlas) -> FloatArray:
    """Cords from the wrist to the four knuckles."""
    p, total = atlas.position, np.zeros(len(atlas.position), np.float32)
    start = np.array([0.02, 0.0], np.float32)
    for finger in FINGERS[1:]:
        end = atlas.finger_axis[finger][0][[0, 2]]
        line = end - start
        share = np.clip(((p[:, [0, 2]] - start) @ line) / (line @ line), 0, 1)
        off = np.linalg.norm(p[:, [0, 2]] - start - share[:, None] * line, axis=1)
        total = np.maximum(total, np.exp(-((off / 0.0042) ** 2)) * np.abs(np.sin(np.pi * share)) ** 1.5)
    return (total * np.clip(atlas.normal[:, 1] * 1.5, 0, 1)).astype(np.float32)


def _veins(atlas: Atlas, seed: int) -> FloatArray:
    p = atlas.position
    stretched = p * np.array([26, 9, 70], np.float32)
    winding = stretched + noise.space(p * 45, seed + 52)[:, None] * np.float32(0.35)
    field = noise.space_octaves(winding, seed + 50, 2)
    branch = np.exp(-((field / 0.055) ** 2))
    fade = np.clip(0.6 + 0.8 * noise.space(p * 22, seed + 51), 0, 1)
    reach = np.clip((p[:, 0] + 0.105) / 0.02, 0, 1) * np.clip(atlas.normal[:, 1] * 1.6 - 0.2, 0, 1)
    inner = atlas.weight[:, FOREARM_PART] * (1 - atlas.dorsal) * 0.6
    return (branch * fade * np.maximum(reach, inner)).astype(np.float32)


def hair(atlas: Atlas, seed: int, amount: float) -> FloatArray:
    """Hairs (N,) 0..1 on the forearm, the back of the hand and the fingers' first bones."""
    if amount <= 0:
        return np.zeros(len(atlas.position), np.float32)
    random = np.random.default_rng(seed + 201)
    where = 0.9 * atlas.weight[:, FOREARM_PART] * (0.35 + 0.65 * atlas.dorsal)
    back = (1 - atlas.weight[:, FOREARM_PART]) * np.clip(atlas.normal[:, 1], 0, 1)
    ulnar = np.clip(0.5 - atlas.position[:, 2] * 18, 0.1, 1)
    first_bones = atlas.weight[:, [FINGER_JOINTS[f][0] for f in FINGERS[1:]]].sum(1)
    where = where + back * (0.16 * ulnar * atlas.weight[:, 0] + 0.3 * first_bones)
    where *= np.clip(0.7 + noise.space(atlas.position * 40, seed + 202), 0, 1)
    count = int(4200 * amount)
    roots = random.choice(len(where), count, p=where / where.sum())
    canvas = np.zeros((atlas.size, atlas.size), np.uint8)
    # Hairs lie towards the little finger and the fingertips.
    lie = np.array([-0.75, 0.0, -0.65]) + random.normal(size=(count, 3)) * 0.3
    along = lie - (lie * atlas.normal[roots]).sum(1, keepdims=True) * atlas.normal[roots]
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    step = (
        np.stack([(atlas.gradient_u[roots] * along).sum(1), (atlas.gradient_v[roots] * along).sum(1)], axis=1)
        * atlas.size
    )
    length = random.uniform(0.003, 0.011, count) * (0.5 + 0.5 * np.clip(where[roots], 0, 1))
    starts = np.stack([atlas.columns[roots], atlas.rows[roots]], axis=1).astype(np.float64)
    ends = starts + step * length[:, None]
    bow = np.stack([-(ends - starts)[:, 1], (ends - starts)[:, 0]], axis=1) * random.normal(size=(count, 1)) * 0.12
    # A hair is far thinner than a texel, so it covers a part of it only.
    shades = random.uniform(20, 70, count) * atlas.size / 1024
    for start, end, bend, shade in zip(starts, ends, bow, shades, strict=True):
        if np.abs(end - start).max() > 0.03 * atlas.size:
            continue
        points = np.rint(np.array([start, 0.5 * (start + end) + bend, end]) * 16).astype(np.int32)
        cv2.polylines(canvas, [points], False, float(shade), 1, cv2.LINE_AA, 4)
    return canvas[atlas.rows, atlas.columns].astype(np.float32) / 255.0


def tattoo(atlas: Atlas, seed: int) -> FloatArray:
    """Ink (N,) 0..1: drawings on the back of the hand, the fingers or the forearm, projected from above."""
    random = np.random.default_rng(seed + 301)
    size = 512
    canvas = np.zeros((size, size), np.uint8)
    for _ in range(int(random.integers(2, 9))):
        x, y = (int(value) for value in random.integers(60, size - 60, 2))
        radius, width = int(random.integers(14, 75)), int(random.integers(2, 8))
        kind = random.integers(5)
        if kind == 0:
            cv2.circle(canvas, (x, y), radius, 255, width, cv2.LINE_AA)
        elif kind == 1:
            word = "".join(chr(int(c)) for c in random.integers(65, 91, int(random.integers(2, 6))))
            cv2.putText(canvas, word, (x - radius, y), int(random.integers(0, 8)), radius / 26, 255, width, cv2.LINE_AA)
        elif kind == 2:
            points = [[x + radius * np.cos(t), y + radius * np.sin(t)] for t in np.arange(5) * 4 * np.pi / 5]
            cv2.polylines(canvas, [np.rint(points).astype(np.int32)], True, 255, width, cv2.LINE_AA)
        elif kind == 3:
            t = np.linspace(0, 1, 60)
            curve = np.stack([x + 2 * radius * (t - 0.5), y + radius * np.sin(t * random.uniform(6, 20))], axis=1)
            cv2.polylines(canvas, [np.rint(curve).astype(np.int32)], False, 255, width, cv2.LINE_AA)
        else:
            for turn in np.arange(0, 2 * np.pi, np.pi / int(random.integers(3, 8))):
                end = (round(x + radius * np.cos(turn)), round(y + radius * np.sin(turn)))
                cv2.ellipse(canvas, ((x + end[0]) // 2, (y + end[1]) // 2), (radius // 2, radius // 6),
                            np.degrees(turn), 0, 360, 255, max(width // 2, 1), cv2.LINE_AA)  # fmt: skip
    centre = random.uniform([-0.13, -0.02], [0.16, 0.02])
    reach = random.uniform(0.03, 0.07)
    x = (atlas.position[:, 0] - centre[0]) / reach * size / 2 + size / 2
    y = (atlas.position[:, 2] - centre[1]) / reach * size / 2 + size / 2
    ink = sampled(canvas, x, y, cv2.INTER_LINEAR) / 255.0
    upper = atlas.normal[:, 1] > 0.05 if random.random() < 0.8 else atlas.normal[:, 1] < -0.05
    return (ink * upper).astype(np.float32)
