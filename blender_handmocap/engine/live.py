# SPDX-License-Identifier: GPL-3.0-or-later
"""Live capture: a camera (or a movie at its own pace) to poses as they come, recorded when asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .camera import Camera, choose_camera
from .errors import BadInputError
from .fit.live import LiveFitter, LivePose
from .footage import Footage, open_footage
from .footage_stream import Frame, read_latest
from .hand.hands import chosen_hands
from .hand.names import SIDES, Side
from .live_recording import LiveRecording
from .notes import LENS_GUESSED, NOTHING_RECORDED
from .overlay import draw_points
from .polish.live import LivePolish
from .progress import Cancelled
from .see.clip import Seer
from .see.observation import Observation
from .settings import BETA_COUNT, Settings
from .take import HandTrack, State, Take
from .version import VERSION


@dataclass(frozen=True)
class LiveHand:
    """One hand of one live frame, in a take's conventions, polished."""

    rotation: NDArray[np.float64]
    """(16, 4)"""
    translation: NDArray[np.float64]
    """(3,)"""
    points: NDArray[np.float64]
    """(21, 3)"""
    confidence: float


@dataclass(frozen=True)
class LiveFrame:
    """What one picture gave."""

    index: int
    time: float
    """seconds since the start"""
    latency: float
    """seconds from the picture's arrival to this result"""
    dropped: int
    """pictures skipped so far because work was still going on"""
    hands: Mapping[Side, LiveHand]
    recording: bool = False
    countdown: float | None = None
    """seconds until the recording begins; None when none is about to"""

    def as_json(self) -> dict[str, Any]:
        """Plain numbers; see docs/worker.md."""
        hands: dict[str, Any] = {
            side: {
                "rotation": np.round(hand.rotation, 6).tolist(),
                "translation": np.round(hand.translation, 6).tolist(),
                "confidence": round(hand.confidence, 4),
            }
            for side, hand in self.hands.items()
        }
        return {
            "frame": self.index,
            "time": round(self.time, 4),
            "latency": round(self.latency, 4),
            "dropped": self.dropped,
            "recording": self.recording,
            "countdown": None if self.countdown is None else round(self.countdown, 2),
            **hands,
        }


@dataclass(frozen=True)
class LiveReport:
    """How a live capture went."""

    frames: int
    dropped: int
    seconds: float
    median_latency: float
    notes: tuple[str, ...]
    """sentences about damage and guesses"""
    recorded: bool = False
    """whether a take was written"""

    def sentence(self) -> str:
        """One sentence for people."""
        rate = self.frames / self.seconds if self.seconds > 0 else 0.0
        return (
            f"{self.frames} frames in {self.seconds:.1f} s ({rate:.1f}/s), {self.dropped} dropped, "
            f"{self.median_latency * 1e3:.0f} ms from picture to pose."
        )


class Recorder:
    """Where a live capture records, and from when on; another thread may start it while the capture runs."""

    def __init__(self) -> None:
        self._request: tuple[Path, float] | None = None

    def start(self, out: Path, *, countdown: float = 0.0) -> None:
        """Record into the take at `out`, beginning in `countdown` seconds; asking again while it runs does nothing."""
        if self._request is None:
            self._request = (out, time.monotonic() + countdown)

    @property
    def out(self) -> Path | None:
        """The take to write; None when nothing is to be recorded."""
        return None if self._request is None else self._request[0]

    @property
    def countdown(self) -> float | None:
        """Seconds until the recording begins; None when it runs already, or none was asked for."""
        left = 0.0 if self._request is None else self._request[1] - time.monotonic()
        return left if left > 0.0 else None

    @property
    def running(self) -> bool:
        """Whether what comes now is recorded."""
        return self._request is not None and self.countdown is None


class LiveCapture:
    """See, fit and polish one picture after another."""

    def __init__(self, camera: Camera, settings: Settings) -> None:
        size = None if settings.palm_mm is None else settings.palm_mm / 1000.0
        self._seer = Seer(camera, settings)
        self.definition = self._seer.definition
        self.notes = tuple(self._seer.notes)
        """sentences about eyes or a device that are not the ones asked for"""
        hands = chosen_hands(settings.mano_right, settings.mano_left)
        self.hand_model = hands.id
        self._fitter = LiveFitter(
            camera, betas=settings.betas or None, size=size, definition=self.definition, hands=hands
        )
        self._polish = {side: LivePolish(settings.smoothing) for side in SIDES}
        self.size = self._fitter.size
        # A network's first call is slow; better now than while the camera waits.
        fresh = self._seer.state()
        self._seer.live(np.zeros((camera.height, camera.width, 3), np.uint8), time=-1.0)
        self._seer.restore(fresh)

    def step(
        self, image: NDArray[np.uint8], at: float
    ) -> tuple[dict[Side, LiveHand], dict[Side, LivePose], dict[Side, Observation]]:
        """Polished hands, raw poses and observations of a picture at `at` seconds."""
        seen = self._seer.live(image, time=at)
        raw = self._fitter.step(seen, at)
        hands = {}
        for side in SIDES:
            if side not in raw or raw[side].restarted:
                self._polish[side].reset()
            if side in raw:
                pose = raw[side]
                rotation, translation = self._polish[side].step(pose.rotation, pose.translation, at)
                points = self._fitter.points(side, rotation, translation)
                hands[side] = LiveHand(rotation, translation, points, seen[side].confidence)
        return hands, raw, {side: seen[side] for side in raw}


def live(
    source: str,
    settings: Settings,
    *,
    out: Path | None = None,
    recorder: Recorder | None = None,
    seconds: float | None = None,
    on_frame: Callable[[LiveFrame], None] | None = None,
    on_preview: Callable[[NDArray[np.uint8], int], None] | None = None,
    cancelled: Cancelled | None = None,
) -> LiveReport:
    """Capture until cancelled, until `seconds` have passed, or until the source ends.

    `out` records a take from the start; a `recorder` records one when it is told to.
    """
    recorder = recorder or Recorder()
    if out is not None:
        recorder.start(out)
    footage = open_footage(source, mirrored=settings.mirrored)
    if footage.kind == "still":
        raise BadInputError(f"{source} is a single picture; capture it instead of playing it live.")
    camera = choose_camera(footage.width, footage.height, settings, film_focal=footage.film_focal)
    capture = LiveCapture(camera, replace(settings, mode="live"))
    recording: LiveRecording | None = None
    latencies: list[float] = []
    began, last_index, dropped, count = time.monotonic(), -1, 0, 0
    try:
        for frame, arrived in _at_its_own_pace(footage):
            if (cancelled is not None and cancelled()) or (seconds is not None and time.monotonic() - began >= seconds):
                break
            dropped += max(0, frame.index - last_index - 1)
            last_index, count = frame.index, count + 1
            hands, raw, seen = capture.step(frame.image, frame.time)
            latencies.append(time.monotonic() - arrived)
            if on_frame is not None:
                on_frame(
                    LiveFrame(
                        frame.index,
                        frame.time,
                        latencies[-1],
                        dropped,
                        hands,
                        recording=recorder.running,
                        countdown=recorder.countdown,
                    )
                )
            if on_preview is not None:
                on_preview(draw_points(frame.image, [hand.points2d for hand in seen.values()]), frame.index)
            if recorder.running and recorder.out is not None:
                if recording is None:
                    recording = LiveRecording(recorder.out, _empty_take(footage, camera, settings, capture))
                recording.append(frame.index, frame.time, _track_frames(hands, raw, seen))
    finally:
        # Also where a camera or a network fails in the middle: what was recorded is a take.
        if recording is not None:
            recording.finish(warnings=(*footage.warnings, *capture.notes))
    report = LiveReport(
        frames=count,
        dropped=dropped,
        seconds=time.monotonic() - began,
        median_latency=float(np.median(latencies)) if latencies else 0.0,
        notes=(
            *footage.warnings,
            *capture.notes,
            *((LENS_GUESSED,) if camera.source == "estimated" else ()),
            *((NOTHING_RECORDED,) if recorder.out is not None and recording is None else ()),
        ),
        recorded=recording is not None,
    )
    return report


def _empty_take(footage: Footage, camera: Camera, settings: Settings, capture: LiveCapture) -> Take:
    """What is known of a recording before its first frame."""
    return Take(
        meta={
            "source": footage.source,
            "width": camera.width,
            "height": camera.height,
            "rate": [footage.rate.numerator, footage.rate.denominator],
            "mirrored": footage.mirrored,
            "camera": camera.source,
            "definition": capture.definition,
            "engine": VERSION,
            "live": True,
            "settings": asdict(settings),
            "hand_model": capture.hand_model,
            "warnings": [],
        },
        frame=np.zeros(0, np.int32),
        time=np.zeros(0),
        K=camera.K,
        dist=camera.dist,
        left=HandTrack.absent(0),
        right=HandTrack.absent(0),
        betas=np.array(settings.betas) if settings.betas else np.zeros(BETA_COUNT),
        size=capture.size,
    )


def _track_frames(
    hands: Mapping[Side, LiveHand], raw: Mapping[Side, LivePose], seen: Mapping[Side, Observation]
) -> dict[Side, HandTrack]:
    """The hands of one picture as tracks of one frame; both sides are told."""
    tracks = {side: HandTrack.absent(1) for side in SIDES}
    for side, hand in hands.items():
        values = {
            "state": np.uint8(State.SEEN),
            "confidence": hand.confidence,
            "rotation": hand.rotation,
            "translation": hand.translation,
            "raw_rotation": raw[side].rotation,
            "raw_translation": raw[side].translation,
            "points": hand.points,
            "seen2d": seen[side].points2d,
            "seen2d_sigma": seen[side].sigma2d,
            "seen3d": seen[side].points3d,
            "seen3d_sigma": seen[side].sigma3d,
            "visibility": seen[side].visibility,
        }
        tracks[side] = HandTrack(**{name: np.asarray(value)[None] for name, value in values.items()})
    return tracks


def _at_its_own_pace(footage: Footage) -> Iterator[tuple[Frame, float]]:
    """(frame, when it arrived): a camera's as they come; a movie's when its clock says so, late ones dropped."""
    if footage.kind == "camera":
        for frame in footage.frames():
            yield frame, time.monotonic()
        return
    began: float | None = None

    def due() -> Iterator[Frame]:
        nonlocal began
        for frame in footage.frames():
            began = time.monotonic() - frame.time if began is None else began
            time.sleep(max(0.0, began + frame.time - time.monotonic()))
            yield frame

    for frame in read_latest(due()):
        yield frame, frame.time + (began or 0.0)
