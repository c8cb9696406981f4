# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeing a clip: pictures in, a take out whose seen part is filled; or one picture at a time for live use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ..camera import Camera, camera_of_still, choose_camera, load_camera_path
from ..camera_motion import CameraMotion
from ..errors import CancelledError, NothingFoundError
from ..footage import Footage
from ..footage_stream import Frame
from ..hand.free import free_hand
from ..hand.names import SIDES, Side
from ..progress import Cancelled, OnProgress, Progress
from ..runtime import Runtime
from ..settings import BETA_COUNT, Mode, Settings
from ..take import HandTrack, State, Take
from .crops import Array, Image
from .definitions import MEDIAPIPE
from .detnet import load_or_explain
from .fusion import is_easy, observed
from .identity import NOBODY, SideAssigner, Sightings, decide_sides
from .judge import load_or_explain as load_judge_or_explain
from .landmarks import HandNetwork, SeenHand
from .maps import load_or_explain as load_maps_or_explain, with_maps
from .observation import Observation
from .pair import load_or_explain as load_pair_or_explain, with_pair
from .pair_crop import Expected, PairReading, load_or_explain as load_pair_crop_or_explain
from .pair_join import Readings, with_live, with_readings
from .pair_watch import PairWatch
from .palms import PalmDetector
from .records import Arrays, Records, joined
from .regions import load_or_explain as load_finder_or_explain
from .search import Area, SearchPlan
from .tracker import Past, Refused, Track, Tracker

_BACK: Final = 15
"""pictures through which a hand that was just found is followed back, offline"""
_BACK_BYTES: Final = 64 * 2**20
"""... as far as so much memory holds them"""
_CANDIDATES: Final = 4
"""Hands followed at most offline: the performer's two are chosen over the whole clip."""


def _plan(mode: Mode) -> SearchPlan:
    """How hard to search: sparingly live, in every picture offline."""
    if mode == "live":
        return SearchPlan(interval=6, tile_interval=3, patience=10, longest_interval=9)
    if mode == "stills":
        return SearchPlan(most_hands=_CANDIDATES, interval=1, tiles_at_once=99)
    return SearchPlan(most_hands=_CANDIDATES, interval=1, tile_interval=3, idle_interval=15, patience=30)


class Seer:
    """Eyes for one clip or camera: `step` takes its pictures in order."""

    def __init__(self, camera: Camera, settings: Settings, *, runtime: Runtime | None = None) -> None:
        self.definition = MEDIAPIPE
        """whose keypoints the observations are"""
        self.camera = self._first_camera = camera
        """of the newest picture; only stills differ in it"""
        self.settings = settings
        self.runtime = runtime or Runtime.choose(settings.device, settings.threads)
        area = Area(camera.width, camera.height, settings.region, settings.ignore)
        self._detnet, self._note = load_or_explain(self.runtime) if settings.eyes != "mediapipe" else (None, "")
        self.pair, self._pair_note = load_pair_or_explain(self.runtime) if settings.mode == "best" else (None, "")
        """what relates both hands to each other over a whole clip"""
        judge, self._judge_note = load_judge_or_explain(self.runtime)
        finder, self._finder_note = load_finder_or_explain(self.runtime)
        # Live, every millisecond counts.
        alone = is_easy if settings.eyes == "both" and settings.mode == "live" else None
        self._hands = HandNetwork(self.runtime, self._detnet, judge, is_easy=alone)
        self._tracker = Tracker(PalmDetector(self.runtime, finder), self._hands, _plan(settings.mode), area)
        wanted = settings.pair_eyes and settings.hands in ("auto", "both")
        maps, self._maps_note = load_maps_or_explain(self.runtime) if wanted and settings.maps else (None, "")
        live = settings.mode == "live"
        both, self._both_note = load_pair_crop_or_explain(self.runtime, maps, mirror=not live) if wanted else (None, "")
        self.watch = None if both is None else PairWatch(both, lost_only=live, partners=settings.mode == "best")
        """looks at both hands at once where they are near each other"""
        self.read: PairReading | None = None
        """what it read in the last picture"""
        self.late: list[tuple[int, int, Observation]] = []
        """(pictures ago, track, observation) of hands found in the last picture, followed back"""
        self._past: deque[Past] = deque()
        self._sides = SideAssigner(settings.hands)
        watched = settings.mode == "best" and not settings.camera_path
        self._motion = CameraMotion() if watched else None

    @property
    def notes(self) -> list[str]:
        """Sentences about eyes or a device that are not the ones asked for."""
        notes = (
            self.runtime.note,
            self._note,
            self._pair_note,
            self._judge_note,
            self._finder_note,
            self._both_note,
            self._maps_note,
        )
        return [note for note in notes if note]

    def step(self, image: Image, *, time: float, film_focal: float | None = None) -> list[tuple[int, Observation]]:
        """(track, observation) of every hand in the next picture (H, W, 3) RGB; `film_focal` of a still's own file."""
        if self.settings.mode == "stills":
            height, width = image.shape[:2]
            self.camera = camera_of_still(self._first_camera, width, height, film_focal=film_focal)
            self._tracker.tracks, self._tracker.refused = [], []
            self._tracker.area = replace(self._tracker.area, width=image.shape[1], height=image.shape[0])
        size = (image.shape[1], image.shape[0])
        tracked = self._tracker.step(image, time)
        seen = [(hand.track, self._observed(hand.seen, hand.motion, size)) for hand in tracked]
        expected = self._expected(seen)
        twin = None if self.watch is None else self.watch.twin(image, expected, self.camera)
        if twin is not None:
            self._tracker.give_up(tracked[twin].track, time)
            del tracked[twin], seen[twin], expected[twin]
        odds = [] if self.watch is None else self.watch.sides(image, expected, self.camera)
        if any(odds):
            seen = self._with_sides(seen, odds)
            expected = self._expected(seen)
        if self.settings.mode == "best":
            self.late = [
                (ago, hand.track, self._observed(hand.seen, hand.motion, size))
                for number in self._tracker.adopted
                for ago, hand in self._tracker.traced_back(number, self._past)
            ]
            self._past.appendleft(Past(image, time, [hand.seen for hand in tracked]))
            while len(self._past) > min(_BACK, _BACK_BYTES // max(image.nbytes, 1)):
                self._past.pop()
        self.read = self._both(image, time, expected)
        if self._motion is not None:
            self._motion.look(image, time, [observation.crop for _, observation in seen])
        return seen

    def _observed(self, seen: SeenHand, motion: float, size: tuple[int, int]) -> Observation:
        blend = None if self._detnet is None else self._detnet.blend
        easy_kept = self.settings.eyes == "both"
        observation = observed(seen, self.camera, blend, motion=motion, size=size, easy_kept=easy_kept)
        if seen.judged is None:
            return observation
        return replace(observation, presence=seen.there, right=seen.judged.right)

    def _with_sides(
        self, seen: Sequence[tuple[int, Observation]], odds: Sequence[float]
    ) -> list[tuple[int, Observation]]:
        """With what the network of both hands says of sides that are in doubt; the tracks are told, too."""
        for (track, _), one in zip(seen, odds, strict=True):
            if one:
                self._tracker.tell_side(track, one)
        return [(track, replace(hand, side_odds=one)) for (track, hand), one in zip(seen, odds, strict=True)]

    def _both(self, image: Image, time: float, hands: Sequence[Expected]) -> PairReading | None:
        """What the picture shows of two hands at once."""
        if self.watch is None:
            return None
        if self.settings.mode == "stills":
            self.watch.last = None
        return self.watch.step(image, time, hands, self.camera)

    def _expected(self, seen: Sequence[tuple[int, Observation]]) -> list[Expected]:
        """The hands as the network of both is told of them."""
        right = {track.id: track.right for track in self._tracker.tracks}
        return [Expected.of(observation, right.get(track, observation.right)) for track, observation in seen]

    def live(self, image: Image, *, time: float) -> dict[Side, Observation]:
        """The hand of each side in the next picture, decided from what was seen so far."""
        hands = self._sides.assign(self.step(image, time=time))
        if self.watch is None or self.read is None:
            return hands
        return with_live(hands, self.read, self.watch.network.calibration, (self.camera.width, self.camera.height))

    def checkpoint(self) -> Arrays:
        """The `state` of a point behind which nothing is looked at again, so that a clip may be cut there."""
        self._past.clear()
        return self.state()

    def state(self) -> Arrays:
        """Everything the next picture depends on, so that a stopped clip goes on as if it had not stopped."""
        tracks, plan = self._tracker.tracks, self._tracker.plan
        count = len(tracks)
        return {
            "ids": np.array([track.id for track in tracks], np.int64),
            "lost": np.array([track.lost for track in tracks], bool),
            "crop": np.array([track.crop for track in tracks]).reshape(count, 5),
            "points": np.array([track.points for track in tracks]).reshape(count, 21, 2),
            "velocity": np.array([track.velocity for track in tracks]).reshape(count, 2),
            "right": np.array([track.right for track in tracks], np.float64),
            "time": np.array([track.time for track in tracks], np.float64),
            "strength": np.array([track.strength for track in tracks], np.float64),
            "refused": np.array([[*one.crop, one.time] for one in self._tracker.refused]).reshape(-1, 6),
            "plan": np.array(
                [self._tracker.next_id, plan.known, plan.waited, plan.eager, plan.next_tile, plan.searched], np.int64
            ),
            **({} if self.watch is None else self.watch.state()),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a `state`."""
        columns = ("ids", "crop", "points", "velocity", "right", "time", "strength", "lost")
        self._tracker.tracks = [
            Track(int(id_), crop, points, velocity, float(right), float(time), float(strength), bool(lost))
            for id_, crop, points, velocity, right, time, strength, lost in zip(
                *(state[key] for key in columns), strict=True
            )
        ]
        self._tracker.refused = [Refused(row[:5], float(row[5])) for row in state.get("refused", np.zeros((0, 6)))]
        if self.watch is not None and "pair_time" in state:
            self.watch.restore(state)
        plan = self._tracker.plan
        values = (int(value) for value in state["plan"])
        self._tracker.next_id, plan.known, plan.waited, plan.eager, plan.next_tile, plan.searched = values


def take_from(
    records: Mapping[str, NDArray[Any]],
    footage: Footage,
    camera: Camera,
    settings: Settings,
    *,
    seer: Seer | None = None,
) -> Take:
    """The take of everything seen (`Records.arrays`, joined) by `seer`: sides decided over the whole clip."""
    count = records["count"]
    picture = np.repeat(np.arange(len(count)), count)
    labels = decide_sides(
        Sightings(
            frame=picture,
            time=records["time"][picture],
            track=records["track"],
            right=records["right"].astype(np.float64),
            confidence=records["confidence"].astype(np.float64),
            points=records["points2d"].astype(np.float64),
            odds=records["side_odds"].astype(np.float64),
        ),
        settings.hands,
        ordered=settings.mode != "stills",
    )
    tracks = {side: _track(records, picture, labels == index) for index, side in enumerate(SIDES)}
    frames = records["frame"].astype(np.int32)
    K, moved = _cameras(frames, camera, settings, mirrored=footage.mirrored)
    model = free_hand("right")
    meta: dict[str, Any] = {
        "source": footage.source,
        "width": camera.width,
        "height": camera.height,
        "rate": [footage.rate.numerator, footage.rate.denominator],
        "mirrored": footage.mirrored,
        "performer": "",
        "definition": MEDIAPIPE if seer is None else seer.definition,
        "camera": camera.source,
        "settings": asdict(settings),
        "warnings": [*footage.warnings, *(seer.notes if seer is not None else [])],
        "dropped_hands": int((labels == NOBODY).sum()),
    }
    if moved:
        meta["camera_path"] = moved
    if settings.mode == "stills" and (stills := _still_cameras(frames, footage, camera)):
        K = np.stack([one.K for one in stills])
        meta["sizes"] = [[one.width, one.height] for one in stills]
    if seer is not None:
        meta["device"] = seer.runtime.device
    if looks_mirrored(tracks):
        meta["hint"] = MIRROR_HINT
    take = Take(
        meta=meta,
        frame=frames,
        time=records["time"].astype(np.float64),
        K=K,
        dist=camera.dist,
        left=tracks["left"],
        right=tracks["right"],
        betas=np.array(settings.betas) if settings.betas else np.zeros(BETA_COUNT),
        size=model.palm_length if settings.palm_mm is None else settings.palm_mm / 1000.0,
    )
    if seer is not None and seer.watch is not None:
        ordered = settings.mode != "stills"
        take = with_readings(
            take, Readings.of(records), seer.watch.network.calibration, ordered=ordered, several=count > 1
        )
        if seer.watch.network.maps is not None:
            take = with_maps(take, records, seer.watch.network.maps.calibration)
    return take if seer is None or seer.pair is None else with_pair(take, seer.pair)


def _cameras(
    frames: NDArray[np.int32], camera: Camera, settings: Settings, *, mirrored: bool
) -> tuple[Array, dict[str, Any]]:
    """K (3, 3) or a frame's each (T, 3, 3), and where a moving camera was: world to camera, for `meta`."""
    if not settings.camera_path:
        return camera.K, {}
    path = load_camera_path(settings.camera_path)
    entries = [path.nearest(int(frame)) for frame in frames]
    cameras = [path.camera(int(frame), camera.width, camera.height) for frame in frames]
    K = np.stack([(one.mirrored() if mirrored else one).K for one in cameras])
    return K, {
        "rotation": path.rotation[entries].tolist(),
        "translation": path.translation[entries].tolist(),
    }


def _still_cameras(frames: NDArray[np.int32], footage: Footage, first: Camera) -> list[Camera]:
    """The camera of each still (T,); none where all have the first one's."""
    lenses = [footage.lens_of(int(frame)) for frame in frames]
    cameras = [camera_of_still(first, width, height, film_focal=film) for width, height, film in lenses]
    same = [(one.width, one.height) == (first.width, first.height) and np.allclose(one.K, first.K) for one in cameras]
    return [] if all(same) else cameras


def _track(records: Mapping[str, NDArray[Any]], picture: NDArray[np.int64], chosen: NDArray[np.bool_]) -> HandTrack:
    absent = HandTrack.absent_views(len(records["count"]))
    rows = picture[chosen]

    def filled(values: Array, key: str) -> Array:
        out = values.copy()
        out[rows] = records[key][chosen]
        return out

    state = absent.state.copy()
    state[rows] = State.SEEN
    return replace(
        absent,
        state=state,
        confidence=filled(absent.confidence, "confidence"),
        seen2d=filled(absent.seen2d, "points2d"),
        seen2d_sigma=filled(absent.seen2d_sigma, "sigma2d"),
        seen3d=filled(absent.seen3d, "points3d"),
        seen3d_sigma=filled(absent.seen3d_sigma, "sigma3d"),
        visibility=filled(absent.visibility, "visibility"),
    )


MIRROR_HINT: Final = (
    "The right hand is nearly always to the right of the left one; if the performer faces the camera, "
    "the picture is a mirror image: capture it again as mirrored."
)
_MIRROR_FRAMES: Final = 15
_MIRROR_SHARE: Final = 0.9


def looks_mirrored(tracks: Mapping[Side, HandTrack]) -> bool:
    """Whether the hands' places suggest a mirror image (or a performer seen from behind)."""
    both = tracks["left"].present & tracks["right"].present
    if int(both.sum()) < _MIRROR_FRAMES:
        return False
    x = {side: tracks[side].seen2d[both].mean(1)[:, 0] for side in SIDES}
    return bool((x["right"] > x["left"]).mean() >= _MIRROR_SHARE)


def see(
    footage: Footage,
    settings: Settings,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
    on_frame: Callable[[Frame, list[tuple[int, Observation]]], None] | None = None,
) -> Take:
    """See a whole clip. Frames seen before a cancellation are thrown away; `Seer` and `Records` keep them."""
    camera = choose_camera(footage.width, footage.height, settings, film_focal=footage.film_focal)
    seer = Seer(camera, settings)
    records = Records()
    for frame in footage.frames(settings.start, settings.end):
        if cancelled is not None and cancelled():
            raise CancelledError("Seeing was stopped; nothing was kept.")
        seen = seer.step(frame.image, time=frame.time, film_focal=frame.film_focal)
        records.append(frame.index, frame.time, seen, seer.read, seer.late)
        if on_frame is not None:
            on_frame(frame, seen)
        if on_progress is not None:
            on_progress(Progress("seeing", len(records), footage.frame_count))
    take = take_from(joined([records.arrays()]), footage, camera, settings, seer=seer)
    if not (take.left.present.any() or take.right.present.any()):
        raise NothingFoundError(
            f"No hand was found in {footage.source}; check the footage, or the region if one is set."
        )
    return take
