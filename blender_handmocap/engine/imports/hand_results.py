# SPDX-License-Identifier: GPL-3.0-or-later
"""HaMeR's, WiLoR's and similar results as a take.

Such networks see one hand at a time and guess its depth from a made-up lens, so depths jump and the hands stand
wrongly to each other. Only what they are good at is taken over: where the joints are in the picture, and how they lie
relative to each other. Place and pose are then solved for by the fitter, with one lens and one size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..camera import Camera, choose_camera
from ..errors import BadInputError
from ..hand.free import free_hand
from ..hand.names import KEYPOINT_COUNT, SIDES, Side
from ..see.definitions import MODEL
from ..settings import Settings
from ..take import HandTrack, State, Take
from .records import Record, read_records

Array = NDArray[np.float64]

_SIDE_KEYS: Final = ("is_right", "right", "is_right_hand", "hand_side", "handedness", "side", "hand_type")
_POINTS_2D: Final = ("pred_keypoints_2d_full", "keypoints_2d", "pred_keypoints_2d", "kpts_2d", "joints_2d", "joints2d")
_POINTS_3D: Final = ("pred_keypoints_3d", "keypoints_3d", "joints_3d", "joints3d", "joints")
_PLACE: Final = ("pred_cam_t_full", "cam_t_full", "cam_t", "pred_cam_t", "transl", "trans")
_SCORE: Final = ("score", "conf", "confidence", "hand_conf", "det_conf")
_IN_CROP: Final = 2.0
"""keypoints no larger than this are told in shares of the crop, not in pixels"""
_PIXEL_SIGMA, _POINT_SIGMA = 2.0, 0.08
"""how far such results are usually off: pixels, and palm lengths"""
_PALM: Final = (5, 9, 13, 17)


def import_results(
    path: Path,
    settings: Settings | None = None,
    *,
    rate: float = 30.0,
    size: tuple[int, int] | None = None,
    mirrored_left: bool = True,
    source: str = "",
) -> Take:
    """A take whose seen part is filled from a file of results; solve it to get poses.

    `size` is the picture's width and height, where the file does not say. `mirrored_left`: the values of left hands
    are those of their mirror image, as HaMeR and WiLoR give them; else they are MANO_LEFT's own.
    """
    records = read_records(path)
    choices = Settings() if settings is None else settings
    try:
        hands = [_Hand(record, mirrored_left) for record in records]
    except (ValueError, TypeError, IndexError) as error:
        raise BadInputError(
            f"{path.name} holds a hand that cannot be read ({error}); save the network's results as they come."
        ) from error
    width, height = size or _picture_size(hands)
    camera = choose_camera(width, height, choices)
    frames = np.unique([hand.frame for hand in hands])
    number = np.arange(frames[0], frames[-1] + 1, dtype=np.int32)
    if len(number) > 50 * len(frames) + 100:
        raise BadInputError(f"{path.name} has frame numbers that leap from {frames[0]} to {frames[-1]}; number them.")
    tracks = {side: HandTrack.absent(len(number)) for side in SIDES}
    best: dict[tuple[Side, int], float] = {}
    for hand in hands:
        at = int(hand.frame - number[0])
        if best.get((hand.side, at), -1.0) >= hand.score:
            # Of two hands that are said to be the same one the surer is kept.
            continue
        best[hand.side, at] = hand.score
        _write(tracks[hand.side], at, hand, (width, height))
    return Take(
        meta={
            "source": source,
            "rate": [round(rate * 1000), 1000],
            "width": width,
            "height": height,
            "mirrored": False,
            "definition": MODEL,
            "imported": path.name,
        },
        frame=number,
        time=(number - number[0]) / rate,
        K=_matrix(camera),
        dist=np.zeros(5),
        left=tracks["left"],
        right=tracks["right"],
        betas=np.zeros(10),
        size=(choices.palm_mm or free_hand("right").palm_length * 1000.0) / 1000.0,
    )


def _matrix(camera: Camera) -> Array:
    return np.asarray(camera.K, dtype=np.float64)


def _write(track: HandTrack, at: int, hand: _Hand, size: tuple[int, int]) -> None:
    points = hand.relative()
    palm = np.linalg.norm(points[list(_PALM)] - points[0], axis=-1).mean()
    track.seen2d[at] = hand.pixels(size)
    track.seen2d_sigma[at] = _PIXEL_SIGMA * max(size) / 1280.0
    track.seen3d[at] = (points - points[0]) / palm
    track.seen3d_sigma[at] = _POINT_SIGMA
    track.visibility[at] = 1.0
    track.confidence[at] = np.clip(hand.score, 0.0, 1.0)
    track.state[at] = State.SEEN


class _Hand:
    """One hand of one frame as the file tells it."""

    def __init__(self, record: Record, mirrored_left: bool) -> None:
        self._record = record
        self.frame = int(record["frame"])
        self.side: Side = _side(record)
        self.score = float(np.ravel(_first(record, _SCORE, 0.8))[0])
        self.mirror = self.side == "left" and mirrored_left
        self.rotation = _rotations(record)
        if self.mirror:
            self.rotation = rotations.mirrored(self.rotation)

    def relative(self) -> Array:
        """(21, 3) joints in camera axes, told from any origin in any unit."""
        given = _first(self._record, _POINTS_3D, None)
        if given is not None and np.shape(given) == (KEYPOINT_COUNT, 3):
            points = np.array(given, dtype=np.float64)
            # A left hand's points are mirrored back by some programs and not by others: the pose tells.
            ours = self._posed()
            flipped = points * np.array([-1.0, 1.0, 1.0])
            errors = [np.linalg.norm(_shape(p) - _shape(ours)) for p in (points, flipped)]
            return points if errors[0] <= errors[1] else flipped
        return self._posed()

    def _posed(self) -> Array:
        """The same of the free hand in this pose, for files without joints."""
        model = free_hand(self.side)
        points: Array = model.pose(self.rotation[None], np.zeros((1, 3)), model.rest()).keypoints[0]
        return points

    def pixels(self, size: tuple[int, int]) -> Array:
        """(21, 2) pixels of the whole picture."""
        given = _first(self._record, _POINTS_2D, None)
        if given is not None and np.shape(given)[0] == KEYPOINT_COUNT:
            points = np.array(given, dtype=np.float64)[:, :2]
            if np.abs(points).max() > _IN_CROP:
                return points
            if "box_center" in self._record and "box_size" in self._record:
                if self.mirror:
                    points = points * np.array([-1.0, 1.0])
                box = float(np.ravel(self._record["box_size"])[0])
                return points * box + np.ravel(self._record["box_center"])[:2].astype(np.float64)
        place, joints = _first(self._record, _PLACE, None), _first(self._record, _POINTS_3D, None)
        focal = _first(self._record, ("scaled_focal_length", "focal_length", "focal"), None)
        if place is None or joints is None or focal is None:
            raise ValueError("it needs 2D keypoints, or 3D keypoints with a camera translation and a focal length")
        # The network's own camera puts its joints where it saw them, whatever depth it made up.
        points = self.relative() + np.ravel(place)[:3].astype(np.float64)
        middle = np.array(size, dtype=np.float64) / 2.0
        return points[:, :2] / points[:, 2:] * float(np.ravel(focal)[0]) + middle

    @property
    def extent(self) -> tuple[float, float]:
        """The picture's size as far as the record tells, else as far as its points reach."""
        for key in ("img_size", "image_size"):
            if key in self._record:
                width, height = np.ravel(self._record[key])[:2]
                return float(width), float(height)
        for key in ("img_shape", "image_shape"):
            if key in self._record:
                height, width = np.ravel(self._record[key])[:2]
                return float(width), float(height)
        given = _first(self._record, _POINTS_2D, None)
        if given is None or np.abs(given).max() <= _IN_CROP:
            raise ValueError("it does not say how large the picture is")
        reach = np.asarray(given, dtype=np.float64)[:, :2].max(0) * 1.1
        return float(reach[0]), float(reach[1])


def _shape(points: Array) -> Array:
    centred = points - points[0]
    shape: Array = centred / np.linalg.norm(centred[list(_PALM)], axis=-1).mean()
    return shape


def _first(record: Record, names: tuple[str, ...], default: Any) -> Any:
    return next((record[name] for name in names if name in record and record[name] is not None), default)


def _side(record: Record) -> Side:
    value = _first(record, _SIDE_KEYS, "right")
    if isinstance(value, str):
        return "left" if value.lower().startswith("l") else "right"
    return "right" if float(np.ravel(value)[0]) > 0.5 else "left"


def _rotations(record: Record) -> Array:
    """(16, 4) from matrices, axis-angles or six numbers a joint."""
    root = np.asarray(_first(record, ("global_orient", "pred_global_orient"), np.zeros(0)), dtype=np.float64)
    fingers = np.asarray(_first(record, ("hand_pose", "pred_hand_pose", "poses"), np.zeros(0)), dtype=np.float64)
    values = np.concatenate([root.ravel(), fingers.ravel()])
    if not np.isfinite(values).all():
        raise ValueError("its numbers are not finite")
    if values.size == 16 * 9:
        return rotations.quaternion_from_matrix(rotations.nearest_rotation(values.reshape(16, 3, 3)))
    if values.size == 16 * 3:
        return rotations.quaternion_from_vector(values.reshape(16, 3))
    raise ValueError(f"its pose has {values.size} numbers, not 48 or 144")


def _picture_size(hands: list[_Hand]) -> tuple[int, int]:
    try:
        extents = np.array([hand.extent for hand in hands])
    except ValueError as error:
        raise BadInputError(f"The results cannot be placed ({error}); give the picture's width and height.") from error
    width, height = extents.max(0)
    return round(float(width)), round(float(height))
