# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera of a take: at the origin, looking along +Y, with the solver's lens and the clip behind it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from mathutils import Matrix
from numpy.typing import ArrayLike, NDArray

from ..engine.footage_metadata import picture_turn
from ..engine.take import Take
from . import channels, timing
from .channels import ValueChannel
from .frames import WORLD_FROM_CAMERA
from .timing import Timing

log = logging.getLogger("handmocap.camera")

Array = NDArray[np.float64]

CAMERA_NAME: Final = "HandMocap Camera"
_MARK: Final = "handmocap_camera"
_SENSOR: Final = 36.0
"""Millimetres. The width of a full-frame sensor, so lenses read as the 35 mm equivalent."""
_SQUARE: Final = 1e-4
_TURNS_CLIPS: Final = (4, 5, 0)
"""the first Blender that shows a clip upright by its rotation flag"""


@dataclass(frozen=True)
class Lens:
    """A pinhole lens as Blender states it, for a frame of W by H pixels with the sensor fitted to the width."""

    lens: Array
    """(T,) millimetres on a sensor 36 mm wide"""
    shift_x: Array
    """(T,)"""
    shift_y: Array
    """(T,)"""
    pixel_aspect: tuple[float, float]
    """x, y; both at least 1"""


def lens_of(K: ArrayLike, width: int, height: int) -> Lens:
    """K (3, 3) or (T, 3, 3), pixels with integers at pixel centres -> the lens.

    The frame moves against the lens by its shift, so the principal point moves the other way; v runs down.
    """
    k = np.asarray(K, dtype=np.float64).reshape(-1, 3, 3)
    fx, fy = k[:, 0, 0], k[:, 1, 1]
    ratio = float(np.median(fx / fy))
    # A pixel of ratio > 1 is taller than wide: fewer of them cover the same angle.
    aspect = (1.0, ratio) if ratio >= 1.0 else (1.0 / ratio, 1.0)
    if abs(ratio - 1.0) < _SQUARE:
        ratio, aspect = 1.0, (1.0, 1.0)
    return Lens(
        lens=fx * _SENSOR / width,
        shift_x=((width - 1) / 2 - k[:, 0, 2]) / width,
        shift_y=(k[:, 1, 2] - (height - 1) / 2) * ratio / width,
        pixel_aspect=aspect,
    )


def matrix_of(camera: bpy.types.Camera, scene: bpy.types.Scene, size: tuple[int, int]) -> Array:
    """K (3, 3) of a Blender camera for a picture of W by H pixels that fills its frame; the opposite of `lens_of`."""
    width, height = size
    render = scene.render
    ratio = render.pixel_aspect_y / render.pixel_aspect_x
    wide = width >= height * ratio if camera.sensor_fit == "AUTO" else camera.sensor_fit == "HORIZONTAL"
    sensor = camera.sensor_height if camera.sensor_fit == "VERTICAL" else camera.sensor_width
    # Blender states focal length and shift in shares of the side that the sensor is fitted to.
    side = width if wide else height * ratio
    fx = camera.lens / sensor * side
    cx = (width - 1) / 2 - camera.shift_x * side
    cy = (height - 1) / 2 + camera.shift_y * side / ratio
    return np.array([[fx, 0.0, cx], [0.0, fx / ratio, cy], [0.0, 0.0, 1.0]])


def picture_size(take: Take) -> tuple[int, int]:
    """Width and height of the displayed picture, pixels."""
    return int(take.meta["width"]), int(take.meta["height"])


def differ_in_size(take: Take) -> bool:
    """Whether the take is of stills whose sizes differ."""
    return len({take.picture_size(index) for index in range(len(take))}) > 1 if take.meta.get("sizes") else False


def _frame_ratio(scene: bpy.types.Scene) -> float:
    """Width to height of the camera's frame as it is seen."""
    render = scene.render
    return float(render.resolution_x * render.pixel_aspect_x / (render.resolution_y * render.pixel_aspect_y))


def _pixel_ratio(scene: bpy.types.Scene) -> float:
    return float(scene.render.pixel_aspect_x / scene.render.pixel_aspect_y)


def _lens_of_frames(scene: bpy.types.Scene, take: Take) -> Lens:
    """The lens in each frame in which it changes, told of the camera's frame.

    Pictures of one size fill the frame's width. Of stills that differ in size each is fitted into the frame as a whole.
    """
    if not differ_in_size(take):
        return lens_of(take.K, *picture_size(take))
    K = np.broadcast_to(take.K, (len(take), 3, 3))
    each = [lens_of(K[index], *take.picture_size(index)) for index in range(len(take))]
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = each[0].pixel_aspect
    width, height = np.array([take.picture_size(index) for index in range(len(take))], dtype=np.float64).T
    share = np.minimum(1.0, width / height * _pixel_ratio(scene) / _frame_ratio(scene))
    lens, x, y = (np.array([getattr(one, name)[0] for one in each]) * share for name in ("lens", "shift_x", "shift_y"))
    return Lens(lens, x, y, each[0].pixel_aspect)


def place_camera(scene: bpy.types.Scene, take: Take, frames: ArrayLike) -> bpy.types.Object:
    """Make or update the take's camera and make it the scene's; a lens that changes is keyed at `frames` (T,)."""
    lens = _lens_of_frames(scene, take)
    camera = find_camera(scene)
    if camera is None:
        camera = bpy.data.objects.new(CAMERA_NAME, bpy.data.cameras.new(CAMERA_NAME))
        camera[_MARK] = True
        scene.collection.objects.link(camera)
        camera.matrix_world = _looking_along_y()
        camera.data.clip_start = 0.01
    data = camera.data
    data.type, data.lens_unit = "PERSP", "MILLIMETERS"
    data.sensor_fit, data.sensor_width = "HORIZONTAL", _SENSOR
    data.animation_data_clear()
    data.lens, data.shift_x, data.shift_y = (float(v[0]) for v in (lens.lens, lens.shift_x, lens.shift_y))
    scene.render.pixel_aspect_x, scene.render.pixel_aspect_y = lens.pixel_aspect
    if len(lens.lens) > 1:
        # A still has a lens of its own; between two there is none.
        how = "CONSTANT" if differ_in_size(take) else "LINEAR"
        items = [ValueChannel(name, getattr(lens, name), "Lens") for name in ("lens", "shift_x", "shift_y")]
        channels.write(data, frames, items, interpolation=how, action_name=f"{CAMERA_NAME} Lens")
    scene.camera = camera
    return camera


def find_camera(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """The camera an earlier take left in the scene."""
    return next((obj for obj in scene.objects if obj.type == "CAMERA" and _MARK in obj), None)


def show_clip(
    scene: bpy.types.Scene,
    camera: bpy.types.Object,
    take: Take,
    clip: bpy.types.MovieClip,
    *,
    how: Timing,
    start: int,
    end: int,
    tell_lens: bool = True,
) -> None:
    """Put the clip behind the camera so that each scene frame shows the picture that the keys there were seen in.

    `tell_lens` also gives Blender's tracker the take's lens; a camera of the user's own has its lens already.
    """
    scene_rate, clip_rate = timing.scene_rate(scene), timing.played_rate(take, clip)
    first = timing.first_clip_frame(take, clip_rate)
    clip.frame_start, clip.frame_offset = start, first
    if tell_lens:
        _tell_lens(clip, take)
    data = camera.data
    data.show_background_images = True
    background = data.background_images[0] if data.background_images else data.background_images.new()
    background.alpha, background.display_depth = 1.0, "BACK"
    background.frame_method = _frame_method(scene, take)
    background.use_flip_x = bool(take.meta.get("mirrored", False))
    _turn_upright(scene, background, take, clip)
    is_retimed = how is Timing.TRUE_TIME and not timing.same_rate(scene_rate, clip_rate)
    # An image cannot be freed of distortion; then the picture before the moment must do.
    is_retimed |= not timing.is_even(take) and not take.dist.any()
    if not is_retimed:
        background.source, background.clip = "MOVIE_CLIP", clip
        # The hands stand where a lens without distortion sees them.
        background.clip_user.use_render_undistorted = bool(take.dist.any())
        return
    # A movie clip always plays a frame a frame; an image's frame offset can be animated.
    background.source = "IMAGE"
    background.image = _as_image(clip)
    user = background.image_user
    user.frame_duration, user.frame_start, user.use_auto_refresh = clip.frame_duration, 1, True
    shown = first + 1 + timing.shown_clip_frames(take, how, start, end, rate=scene_rate, clip_rate=clip_rate)
    scene_frames = np.arange(start, end + 1)
    item = ValueChannel("background_images[0].image_user.frame_offset", (shown - scene_frames).astype(float), "Clip")
    channels.write(data, scene_frames, [item], interpolation="CONSTANT", action_name=f"{CAMERA_NAME} Lens")


def unseen_turn(take: Take, clip: bpy.types.MovieClip) -> float:
    """Degrees, clockwise, by which the picture must still be turned.

    Blender ignores what a photo says of its orientation, and before 4.5 what a movie says.
    """
    if clip.source != "MOVIE":
        return float(picture_turn(Path(bpy.path.abspath(clip.filepath))))
    if bpy.app.version >= _TURNS_CLIPS:
        return 0.0
    # OpenCV is slow to load, and few clips need it here.
    import cv2

    capture = cv2.VideoCapture(bpy.path.abspath(clip.filepath))
    turn = float(capture.get(cv2.CAP_PROP_ORIENTATION_META)) % 360.0
    capture.release()
    width, height = picture_size(take)
    is_across = width != height and tuple(clip.size) == (height, width)
    return turn if turn == 180.0 or is_across else 0.0


def _turn_upright(scene: bpy.types.Scene, background: Any, take: Take, clip: bpy.types.MovieClip) -> None:
    """Do with the background what Blender does not do with the clip."""
    turn = unseen_turn(take, clip)
    background.rotation, background.scale = math.radians(turn), 1.0
    if turn in (90.0, 270.0):
        frame = _frame_ratio(scene)
        lying = clip.size[0] / clip.size[1]
        # Fitted into the frame while it lies; once it stands, its height is to be the frame's width.
        background.frame_method = "FIT"
        background.scale = lying if lying > frame else frame


def load_clip(path: Path) -> bpy.types.MovieClip:
    """The movie clip of a file, or of a folder's pictures; shared when the .blend has it already."""
    wanted = path.resolve()
    if wanted.is_dir():
        pictures = sorted(path for path in wanted.iterdir() if path.suffix.lower() in bpy.path.extensions_image)
        wanted = pictures[0] if pictures else wanted
    for clip in bpy.data.movieclips:
        if Path(bpy.path.abspath(clip.filepath)).resolve() == wanted:
            return clip
    return bpy.data.movieclips.load(str(wanted))


def _tell_lens(clip: bpy.types.MovieClip, take: Take) -> None:
    """Give Blender's own tracker and undistortion the take's lens (OpenCV's coefficients are its Brown model)."""
    K = take.K.reshape(-1, 3, 3)[0]
    camera = clip.tracking.camera
    width, height = picture_size(take)
    camera.sensor_width, camera.units = _SENSOR, "MILLIMETERS"
    camera.pixel_aspect = float(K[0, 0] / K[1, 1])
    camera.focal_length = float(K[0, 0]) * _SENSOR / width
    # Blender counts from the lower left corner of the picture's edge.
    camera.principal_point_pixels = (float(K[0, 2]) + 0.5, height - 0.5 - float(K[1, 2]))
    camera.distortion_model = "BROWN"
    camera.brown_k1, camera.brown_k2, camera.brown_p1, camera.brown_p2, camera.brown_k3 = map(float, take.dist)


def _frame_method(scene: bpy.types.Scene, take: Take) -> str:
    """How the clip must fill the camera's frame to keep its width there, as the lens is fitted to the width."""
    if differ_in_size(take):
        return "FIT"
    width, height = picture_size(take)
    frame, picture = _frame_ratio(scene), width / height * _pixel_ratio(scene)
    if abs(frame / picture - 1.0) < 1e-3:
        return "STRETCH"
    return "CROP" if frame > picture else "FIT"


def _as_image(clip: bpy.types.MovieClip) -> bpy.types.Image:
    image = bpy.data.images.load(bpy.path.abspath(clip.filepath), check_existing=True)
    image.source = "SEQUENCE" if clip.source == "SEQUENCE" else "MOVIE"
    return image


def _looking_along_y() -> Matrix:
    """A Blender camera looks along its -Z with +Y up; camera space has y down and z forward."""
    return Matrix((WORLD_FROM_CAMERA @ np.diag([1.0, -1.0, -1.0])).tolist()).to_4x4()
