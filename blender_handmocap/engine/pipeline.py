# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole road: footage in, a take on disk; and the shorter ones that start from a take."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from .camera import Camera, choose_camera
from .errors import BadInputError, CancelledError, MovingCameraError, NothingFoundError
from .files import write_whole
from .fit.clip import solve
from .footage import Footage, open_footage
from .hand.hands import chosen_hands, free_hands
from .hand.model import HandModel
from .hand.names import SIDES, Side
from .memory import give_back
from .models import model_cards
from .overlay import draw_points, write_overlay
from .partial import PartialWork
from .polish import PolishSettings, polish
from .progress import Cancelled, OnProgress, Progress
from .see.clip import Seer, take_from
from .see.records import Records
from .settings import Settings
from .take import Take, save_take
from .version import VERSION

log = logging.getLogger("handmocap.pipeline")

OnPreview = Callable[[NDArray[np.uint8], int], None]
"""(picture (H, W, 3) RGB with the seen points drawn, source frame number)"""
OnPart = Callable[[Take], None]
"""takes the solved first seconds while the rest is still being seen"""

_CHUNK: Final = 16
"""pictures seen between two writes to the disk"""
_PART_FRAMES: Final = 64
"""pictures after which the first part of a capture is shown; two seconds of an ordinary clip"""
_AFTER_SEEING: Final = ("smoothing", "calibrate", "threads", "betas", "palm_mm", "mano_right", "mano_left")
"""settings that change how a result is solved and polished, not what is seen"""
_PREVIEW_QUALITY: Final = 80
_PREVIEW_SIDE: Final = 480
"""longer side of a preview picture, pixels"""


def hand_models(take: Take) -> dict[Side, HandModel]:
    """The hands a take was solved with, for drawing and export."""
    named = str(take.meta.get("hand_model", ""))
    # A take that says nothing, as a truth does, is of the hand that ships.
    if not named or named.startswith(free_hands().right.id):
        return free_hands().models
    choices = settings_of(take)
    hands = chosen_hands(choices.mano_right, choices.mano_left)
    if hands.id != named:
        raise BadInputError(
            f"The take was solved with the hand model {named.split('+')[0]!r}, which is not at hand; "
            "choose the MANO files it was solved with, or resolve it again."
        )
    return hands.models


def settings_as_dict(settings: Settings) -> dict[str, Any]:
    """JSON-ready settings, as a take's meta holds them."""
    return asdict(settings)


def settings_of(take: Take) -> Settings:
    """The settings a take was captured with; what a newer or older version wrote besides is left aside."""
    known = {f.name for f in fields(Settings)}
    given = {key: value for key, value in take.meta.get("settings", {}).items() if key in known}
    if given.get("region") is not None:
        given["region"] = tuple(given["region"])
    given["ignore"] = tuple(tuple(box) for box in given.get("ignore", ()))
    given["distortion"] = tuple(given.get("distortion", ()))
    given["betas"] = tuple(given.get("betas", ()))
    return Settings(**given)


def capture(
    source: str,
    settings: Settings,
    *,
    out: Path,
    resume: bool = False,
    on_progress: OnProgress | None = None,
    on_preview: OnPreview | None = None,
    on_part: OnPart | None = None,
    cancelled: Cancelled | None = None,
) -> Take:
    """Capture footage into the take at `out`.

    What is seen is kept in `<out>.partial/` as it goes. When `cancelled` says so, the take holds the
    frames until then, `meta["cancelled"]` is set, and the folder stays, so that `resume` can go on.
    """
    footage = open_footage(source, mirrored=settings.mirrored, any_size=settings.mode == "stills")
    if footage.kind == "camera":
        raise BadInputError(f"{source} is a camera and has no end; use the live command to capture it.")

    def open_work() -> PartialWork:
        return PartialWork(partial_folder(out), _request(source, settings), resume=resume, whole=_CHUNK)

    seen, work, stopped = _seen(footage, settings, open_work, on_progress, on_preview, on_part, cancelled)
    give_back()
    if not (seen.left.present.any() or seen.right.present.any()):
        if not stopped:
            work.discard()
        wanted = f"{settings.hands} hand" if settings.hands in SIDES else "hand"
        raise NothingFoundError(
            f"No {wanted} was found in {source}"
            + (" before it was stopped." if stopped else "; check the footage, or the region if one is set.")
        )
    meta = {**seen.meta, "models": _model_hashes(), **({"cancelled": True} if stopped else {})}
    # A first request to stop ends the seeing; what was seen is still solved, which is quick.
    take = solved(replace(seen, meta=meta), settings, on_progress=on_progress)
    save_take(take, out)
    if not stopped:
        work.discard()
    return take


def _seen(
    footage: Footage,
    settings: Settings,
    open_work: Callable[[], PartialWork],
    on_progress: OnProgress | None,
    on_preview: OnPreview | None,
    on_part: OnPart | None,
    cancelled: Cancelled | None,
) -> tuple[Take, PartialWork, bool]:
    """The take of everything seen, the work on disk, and whether it was stopped before the end.

    Work is opened last, so that nothing is left on disk by what cannot begin. Networks and records end with this
    function: solving a long clip has use for the memory.
    """
    camera = choose_camera(footage.width, footage.height, settings, film_focal=footage.film_focal)
    seer = Seer(camera, settings)
    work = open_work()

    def on_kept() -> None:
        if on_part is not None and _part_is_due(work):
            part = take_from(work.records(), footage, camera, settings, seer=seer)
            if part.left.present.any() or part.right.present.any():
                # Stopped just now: the take of all that was seen comes at once anyway.
                with suppress(CancelledError):
                    on_part(solved(part, settings, cancelled=cancelled))

    try:
        stopped = _see(footage, seer, work, settings, on_progress, on_preview, on_kept, cancelled)
    except MovingCameraError:
        # Nobody can go on with this: another setting is needed.
        work.discard()
        raise
    records = work.records() or Records().arrays()
    return take_from(records, footage, camera, settings, seer=seer), work, stopped


def _part_is_due(work: PartialWork) -> bool:
    """Whether the newest chunk has just made the first part whole."""
    return len(work) - work.lengths[-1] < _PART_FRAMES <= len(work)


def partial_folder(out: Path) -> Path:
    """Where the unfinished work of a take lives."""
    return out.with_name(f"{out.name}.partial")


def _request(source: str, settings: Settings) -> dict[str, Any]:
    """What must be the same for unfinished work to be gone on with."""
    path = Path(source)
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else sorted(path.parent.glob("*"))
    fingerprint = hashlib.sha256()
    for file in files:
        status = file.stat()
        fingerprint.update(f"{file.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    seeing = {k: v for k, v in settings_as_dict(settings).items() if k not in _AFTER_SEEING}
    return {
        "source": str(path.resolve()),
        "fingerprint": fingerprint.hexdigest(),
        "engine": VERSION,
        "settings": seeing,
        # What is seen depends on the networks alone.
        "models": {name: sha for name, sha in _model_hashes().items() if model_cards()[name].file.endswith(".onnx")},
    }


def _model_hashes() -> dict[str, str]:
    return {name: card.sha256 for name, card in sorted(model_cards().items())}


def _see(
    footage: Footage,
    seer: Seer,
    work: PartialWork,
    settings: Settings,
    on_progress: OnProgress | None,
    on_preview: OnPreview | None,
    on_kept: Callable[[], None],
    cancelled: Cancelled | None,
) -> bool:
    """See what has not been seen yet, chunk by chunk; whether it was stopped before the end."""
    seen, start = len(work), settings.start
    if work.last is not None:
        seer.restore(work.state)
        start = str(work.last + 1)
    records = Records()
    expected = footage.expected_frames(settings.start, settings.end)
    for frame in _frames_from(footage, start, settings.end, resumed=bool(seen)):
        if cancelled is not None and cancelled():
            _keep(work, records, seer)
            return True
        hands = seer.step(frame.image, time=frame.time, film_focal=frame.film_focal)
        records.append(frame.index, frame.time, hands, seer.read, seer.late)
        if on_preview is not None:
            on_preview(draw_points(frame.image, [hand.points2d for _, hand in hands]), frame.index)
        if on_progress is not None:
            on_progress(Progress("seeing", seen + len(records), expected))
        if len(records) == _CHUNK:
            _keep(work, records, seer)
            on_kept()
            seen, records = seen + len(records), Records()
    _keep(work, records, seer)
    return False


def _frames_from(footage: Footage, start: str, end: str, *, resumed: bool) -> Iterator[Any]:
    """The frames to see; a resumed clip that was already seen to its end has none left."""
    try:
        yield from footage.frames(start, end)
    except BadInputError:
        if not resumed:
            raise


def _keep(work: PartialWork, records: Records, seer: Seer) -> None:
    if len(records):
        work.append(records.arrays(), seer.checkpoint())


def write_overlay_of(
    take: Take,
    source: str,
    path: Path,
    *,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
) -> int:
    """Write the footage of a take with its hands drawn over; the frames written."""
    settings = settings_of(take)
    footage = open_footage(source, mirrored=bool(take.meta.get("mirrored")), any_size=settings.mode == "stills")

    def frames() -> Iterator[tuple[int, NDArray[np.uint8]]]:
        for done, frame in enumerate(footage.frames(settings.start, settings.end), start=1):
            if cancelled is not None and cancelled():
                return
            if on_progress is not None:
                on_progress(Progress("writing", done, len(take)))
            yield frame.index, frame.image

    return write_overlay(take, frames(), path, models=hand_models(take), size=(footage.width, footage.height))


def camera_of(take: Take) -> Camera:
    """The (first) camera of a take."""
    K = take.K if take.K.ndim == 2 else take.K[0]
    return Camera(K=K, dist=take.dist, width=int(take.meta["width"]), height=int(take.meta["height"]))


def solved(
    take: Take, settings: Settings, *, on_progress: OnProgress | None = None, cancelled: Cancelled | None = None
) -> Take:
    """Pose, shape and place from what a take has seen, then polished."""
    meta = {**take.meta, "engine": VERSION, "settings": settings_as_dict(settings)}
    posed = solve(replace(take, meta=meta), settings=settings, on_progress=on_progress, cancelled=cancelled)
    give_back()
    return polish(posed, PolishSettings(strength=settings.smoothing), models=hand_models(posed))


def resolve(
    take: Take,
    settings: Settings,
    *,
    parent: Path,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
) -> Take:
    """A new take solved from what the old one saw and from its corrections; no footage is read."""
    if not any(np.isfinite(take.track(side).seen2d).any() for side in SIDES):
        raise BadInputError(
            f"{parent.name} holds no observations, so it cannot be solved again; capture the clip again."
        )
    return solved(_child(take, parent), settings, on_progress=on_progress, cancelled=cancelled)


def repolish(take: Take, choices: PolishSettings, *, parent: Path) -> Take:
    """A new take with the raw result smoothed and its gaps filled anew."""
    return polish(_child(take, parent), choices, models=hand_models(take))


def _child(take: Take, parent: Path) -> Take:
    return replace(take, meta={**take.meta, "parent": parent.name})


class PreviewFile:
    """A small JPEG that is replaced in one step, not more often than told."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._seconds = seconds
        self._last = -np.inf

    def write(self, image: NDArray[np.uint8]) -> bool:
        """Write an RGB picture if it is time; whether it was."""
        now = time.monotonic()
        if now - self._last < self._seconds:
            return False
        self._last = now
        scale = min(1.0, _PREVIEW_SIDE / max(image.shape[:2]))
        small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else image
        ok, data = cv2.imencode(
            ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _PREVIEW_QUALITY]
        )
        if not ok:
            return False
        try:
            write_whole(self.path, data.tobytes())
        except OSError:
            # A preview is not worth a capture.
            log.info("The preview could not be written.", exc_info=True)
            return False
        return True
