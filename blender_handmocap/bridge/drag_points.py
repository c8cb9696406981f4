# SPDX-License-Identifier: GPL-3.0-or-later
"""The points of a hand as objects over the footage: drag one, and it says where that joint is in the picture.

They are ordinary empties, so Blender's own selecting, moving and undo work on them; where they were put says which
of them moved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import NDArray

from ..engine.hand.names import KEYPOINT_COUNT, KEYPOINT_NAMES, SIDE_SUFFIX, SIDES, Side
from ..engine.take import Take
from . import camera_path
from .frames import camera_points, world_points

Array = NDArray[np.float64]

COLLECTION: Final = "HandMocap Points"
_POINT: Final = "handmocap_point"
"""Custom property of an empty: side, keypoint, the take's frame index, and where it was put."""
_MOVED: Final = 0.5
"""pixels: a point dragged by less was not meant to move"""
_SIZE: Final = 0.004


def show(scene: bpy.types.Scene, take: Take, index: int, sides: Mapping[Side, object]) -> list[bpy.types.Object]:
    """Put the points of hands in the take's frame `index` where the take has them; older points go."""
    clear(scene)
    collection = bpy.data.collections.new(COLLECTION)
    scene.collection.children.link(collection)
    placed = camera_path.in_world(take)
    made = []
    for side in SIDES:
        if side not in sides or not take.track(side).present[index]:
            continue
        where = world_points(placed.track(side).points[index])
        for keypoint in range(KEYPOINT_COUNT):
            empty = bpy.data.objects.new(f"{KEYPOINT_NAMES[keypoint]}.{SIDE_SUFFIX[side]} point", None)
            collection.objects.link(empty)
            empty.empty_display_type, empty.empty_display_size = "SPHERE", _SIZE
            empty.show_in_front = True
            empty.location = Vector(where[keypoint])
            empty.lock_rotation, empty.lock_scale = (True,) * 3, (True,) * 3
            # Kept in single precision, as the location is: an untouched point has not moved at all.
            put = list(empty.location)
            empty[_POINT] = {"side": side, "keypoint": keypoint, "index": index, "put": put}
            made.append(empty)
    return made


def moved(scene: bpy.types.Scene, take: Take) -> dict[tuple[Side, int], dict[int, Array]]:
    """(side, frame index) -> keypoint -> pixel (2,), of every point that was dragged."""
    found: dict[tuple[Side, int], dict[int, Array]] = {}
    for obj in _points_of(scene):
        mark = obj[_POINT]
        index = int(mark["index"])
        if index >= len(take):
            continue
        now, put = (
            _pixel(take, index, np.array(place, dtype=np.float64))
            for place in (obj.matrix_world.translation, mark["put"])
        )
        if np.linalg.norm(now - put) > _MOVED:
            found.setdefault((mark["side"], index), {})[int(mark["keypoint"])] = now
    return found


def clear(scene: bpy.types.Scene) -> None:
    """Remove all points, and their collection."""
    for obj in _points_of(scene):
        bpy.data.objects.remove(obj)
    for collection in list(scene.collection.children):
        if collection.name.startswith(COLLECTION) and collection.library is None and not collection.all_objects:
            bpy.data.collections.remove(collection)


def shown(scene: bpy.types.Scene) -> bool:
    """Whether points stand in the scene."""
    return any(True for _ in _points_of(scene))


def _points_of(scene: bpy.types.Scene) -> list[bpy.types.Object]:
    return [obj for obj in scene.objects if obj.type == "EMPTY" and _POINT in obj]


def _pixel(take: Take, index: int, world: Array) -> Array:
    """(2,) where a place in the world is in the picture of a frame."""
    # OpenCV is slow to load, and enabling the extension must not wait for it.
    from ..engine.camera import Camera

    still = np.zeros((1, 16, 4))
    still[..., 0] = 1.0
    _, place = camera_path.seen_by_camera(take, still, camera_points(world)[None], index=index)
    K = take.K if take.K.ndim == 2 else take.K[index]
    width, height = take.picture_size(index)
    camera = Camera(K=K, dist=take.dist, width=width, height=height)
    pixel: Array = camera.project(place)[0]
    return pixel
