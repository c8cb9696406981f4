# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures that are no pair of hands: no crash, and no hand where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba")

from blender_handmocap.engine.errors import NothingFoundError
from blender_handmocap.engine.footage import Footage, open_footage
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.models import model_file
from blender_handmocap.engine.see.clip import see
from blender_handmocap.engine.see.landmarks import HAND_MODEL
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take
from training.footage.render import draw
from training.footage.scene import Scene
from training.footage.situations import Mixture, Sampler
from training.pair.pictures import with_strangers

pytestmark = pytest.mark.skipif(not model_file(HAND_MODEL).exists(), reason="MediaPipe's networks are not there")

FRAMES = 5
SURE = 0.5
Drawn = tuple[np.ndarray, np.ndarray]
"""picture (H, W, 3) and where it shows hands (H, W)"""


def shown(hands: int, seed: int) -> Drawn:
    """A drawn picture of so many hands held up before the camera."""
    mixture = Mixture(touching=0.0, near=1.0 if hands > 1 else 0.0, apart=0.0, frontal=1.0, nearest=0.4, farthest=0.5)
    sampler = Sampler(np.random.default_rng(seed), mixture=mixture, pool=20)
    scene: Scene = sampler.scene(np.random.default_rng(seed))
    if hands == 0:
        picture = draw(scene, seed, quality="plain", hands_shown=False)
        return picture.image, np.zeros(picture.side.shape, bool)
    if hands == -2:
        scene = with_strangers(scene)
    picture = draw(scene, seed, quality="plain")
    return picture.image, picture.side > 0


def beside(first: Drawn, second: Drawn) -> Drawn:
    """Two pictures side by side."""
    height = first[0].shape[0]
    size = (round(second[0].shape[1] * height / second[0].shape[0]), height)
    image, mask = cv2.resize(second[0], size), cv2.resize(second[1].astype(np.uint8), size) > 0
    return np.concatenate([first[0], image], axis=1), np.concatenate([first[1], mask], axis=1)


def mirror() -> Drawn:
    """A hand and its image in a mirror."""
    image, mask = shown(1, 3)
    return beside((image, mask), (np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])))


def poster() -> Drawn:
    """A picture of a hand on a wall, seen from the side."""
    image, mask = shown(1, 4)
    height, width = image.shape[:2]
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    place = np.array([[0.3, 0.3], [0.6, 0.36], [0.6, 0.68], [0.3, 0.75]], np.float32) * [width, height]
    flat = cv2.getPerspectiveTransform(corners, place.astype(np.float32))
    wall = np.full_like(image, 180)
    paper = cv2.warpPerspective(np.full_like(mask, 1, np.uint8), flat, (width, height)) > 0
    wall[paper] = cv2.warpPerspective(image, flat, (width, height))[paper]
    return wall, cv2.warpPerspective(mask.astype(np.uint8), flat, (width, height)) > 0


PICTURES = {
    "none": lambda: shown(0, 1),
    "one": lambda: shown(1, 2),
    "three": lambda: beside(shown(2, 5), shown(1, 2)),
    "two people": lambda: shown(-2, 6),
    "mirror": mirror,
    "poster": poster,
}


@pytest.mark.parametrize("name", list(PICTURES))
def test_no_hand_is_seen_where_there_is_none(name: str, tmp_path: Path) -> None:
    image, mask = PICTURES[name]()
    for k in range(FRAMES):
        cv2.imwrite(str(tmp_path / f"{k:03d}.png"), np.ascontiguousarray(image[..., ::-1]))
    footage = open_footage(tmp_path)
    for choices in (Settings(threads=1), replace(Settings(threads=1), maps=True)):
        if name == "none":
            with pytest.raises(NothingFoundError, match="No hand was found"):
                see(footage, choices)
        else:
            check(_seen(footage, choices), mask)


def _seen(footage: Footage, choices: Settings) -> Take | None:
    try:
        return see(footage, choices)
    except NothingFoundError:
        return None


def check(take: Take | None, mask: np.ndarray) -> None:
    """Who is said to be there with any certainty lies on a hand of the picture."""
    if take is None:
        return
    reach = max(mask.shape) // 40
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    places = []
    for side in SIDES:
        track = take.track(side)
        for frame in np.flatnonzero(track.present & (track.confidence >= SURE)):
            points = np.rint(track.seen2d[frame]).astype(int)
            inside = ((points >= 0) & (points < mask.shape[::-1])).all(-1)
            column, row = points[inside].T
            assert wide[row, column].mean() > 0.6, f"{side} hand of frame {frame}"
            places.append((int(frame), track.seen2d[frame]))
    for i, (frame, points) in enumerate(places):
        for other_frame, others in places[i + 1 :]:
            # No hand is seen twice, as the left one and as the right one.
            if frame == other_frame:
                box = np.ptp(points, axis=0).max()
                assert np.linalg.norm(points - others, axis=1).mean() > 0.15 * box
