# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine from a shell: capture, live, info, export, polish, resolve, worker."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, get_args

from .calibrate.references import REFERENCES
from .errors import BadInputError, CancelledError, HandMocapError
from .export import FORMATS
from .hand.names import SIDES
from .progress import Reporter, Style
from .settings import Device, Eyes, Hands, Mode, Settings, box_from_text, numbers_from_text
from .version import VERSION

if TYPE_CHECKING:
    from .live import LiveFrame
    from .take import Take

log = logging.getLogger("handmocap")

EXIT_CANCELLED: Final = CancelledError.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 nothing found, 2 bad input, 130 cancelled."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        return int(options.run(options) or 0)
    except HandMocapError as error:
        log.debug("failed", exc_info=True)
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return EXIT_CANCELLED
    except BrokenPipeError:
        return 0


def build_parser() -> argparse.ArgumentParser:
    """Every command and option."""
    parser = argparse.ArgumentParser(prog="handmocap", description="Both hands from a clip or a webcam.")
    parser.add_argument("--version", action="version", version=f"HandMocap {VERSION}")
    parser.add_argument("--verbose", action="store_true", help="tell everything on standard error")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    capture = commands.add_parser("capture", help="capture a movie, pictures or a still into a take")
    capture.add_argument("source", help="movie, folder of pictures, pattern such as shot_%%04d.png, or a still")
    _add_out(capture, "the take to write; default: SOURCE.take.npz", required=False)
    lens = _add_capture_options(capture)
    lens.add_argument(
        "--camera-path", default="", metavar="NPZ", help="where a moving camera was: K, rotation, translation a frame"
    )
    capture.add_argument("--start", default="", help="first frame, inclusive: a number, or seconds as 1.5s")
    capture.add_argument("--end", default="", help="last frame, inclusive")
    capture.add_argument("--mode", choices=get_args(Mode), default="best")
    capture.add_argument("--performer", type=Path, metavar="JSON", help="a measured hand, from calibrate-photo")
    capture.add_argument("--calibrate", action="store_true", help="estimate bone proportions from the clip")
    capture.add_argument(
        "--overlay", type=Path, metavar="MP4", help="also write the footage with the hands drawn over it"
    )
    capture.add_argument(
        "--resume", action="store_true", help="go on where a stopped capture of the same footage ended"
    )
    _add_progress(capture)
    capture.set_defaults(run=_capture)

    live = commands.add_parser("live", help="capture from a webcam until Ctrl-C")
    live.add_argument("source", nargs="?", default="0", help="camera number, or a movie played at its own pace")
    _add_out(live, "record what was captured into a take", required=False)
    _add_capture_options(live)
    live.add_argument("--seconds", type=float, help="stop after this many seconds")
    live.add_argument(
        "--json", action="store_true", help="write every frame's rotations as a JSON line on standard output"
    )
    live.add_argument("--recover", action="store_true", help="make the take at --out of a recording that was cut off")
    live.set_defaults(run=_live, mode="live")

    info = commands.add_parser("info", help="devices, models and versions; or what a take holds")
    info.add_argument("take", type=Path, nargs="?", help="a take to tell about")
    info.add_argument(
        "--report", action="store_true", help="everything a bug report needs, paths masked, with a self-test"
    )
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    export = commands.add_parser("export", help="a take as BVH, MANO parameters or CSV")
    export.add_argument("take", type=Path)
    _add_out(export, "the file to write; its ending chooses the format", required=True)
    export.add_argument("--format", choices=FORMATS)
    export.add_argument("--side", choices=[*SIDES, "both"], default="both")
    export.set_defaults(run=_export)

    polish = commands.add_parser("polish", help="smooth a take again, from its raw result")
    polish.add_argument("take", type=Path)
    _add_out(polish, "the take to write", required=True)
    polish.add_argument("--smoothing", type=float, default=1.0, help="strength; 0 keeps the raw result")
    polish.add_argument("--gaps", choices=["hold", "interpolate", "rest", "none"], default="interpolate")
    polish.add_argument("--longest-gap", type=float, default=1.0, metavar="SECONDS")
    polish.set_defaults(run=_polish)

    resolve = commands.add_parser("resolve", help="solve a take again with its corrections; needs no footage")
    resolve.add_argument("take", type=Path)
    _add_out(resolve, "the take to write", required=True)
    resolve.add_argument("--palm-mm", type=float)
    resolve.add_argument("--smoothing", type=float, default=1.0)
    _add_mano(resolve)
    _add_progress(resolve)
    resolve.set_defaults(run=_resolve)

    photo = commands.add_parser("calibrate-photo", help="measure a performer's hand in a photo, in millimetres")
    photo.add_argument("photo", help="the flat hand with spread fingers on a sheet, or beside a bank card, from above")
    photo.add_argument(
        "--reference", choices=list(REFERENCES), default="a4", help="what lies there whose size is known"
    )
    photo.add_argument("--name", default="", help="the performer's name; default: the photo's")
    _add_out(photo, "the performer's file; default: PHOTO.performer.json", required=False)
    photo.add_argument("--picture", type=Path, metavar="JPG", help="also write the photo with what was measured")
    photo.add_argument("--json", action="store_true", help="write every bone on standard output")
    photo.set_defaults(run=_calibrate_photo)

    worker = commands.add_parser("worker", help="serve a program over JSON lines on standard input and output")
    worker.set_defaults(run=_worker)
    return parser


def _add_out(parser: argparse.ArgumentParser, text: str, *, required: bool) -> None:
    parser.add_argument("--out", type=Path, required=required, help=text)
    parser.add_argument("--force", action="store_true", help="overwrite what is there")


def _add_progress(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--progress", choices=get_args(Style), default="auto")


def _add_mano(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mano-dir", metavar="FOLDER", help="solve with your own MANO_RIGHT and MANO_LEFT files (.pkl or .npz)"
    )


def _add_capture_options(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Everything that seeing needs to know; returned is the group of options that name the lens."""
    parser.add_argument("--hands", choices=get_args(Hands), default="auto")
    parser.add_argument("--mirrored", action="store_true", help="the picture is a mirror image")
    parser.add_argument("--region", metavar="X0,Y0,X1,Y1", help="shares of the picture; only hands inside count")
    parser.add_argument(
        "--ignore", action="append", default=[], metavar="X0,Y0,X1,Y1", help="hands inside do not count"
    )
    lens = parser.add_mutually_exclusive_group()
    lens.add_argument("--fov", type=float, help="horizontal field of view, degrees")
    lens.add_argument("--focal", type=float, help="focal length, pixels")
    parser.add_argument("--distortion", metavar="K1,K2,P1,P2,K3", help="lens distortion as OpenCV has it")
    parser.add_argument("--palm-mm", type=float, help="palm length, wrist to middle knuckle, millimetres")
    _add_mano(parser)
    parser.add_argument("--smoothing", type=float, default=1.0, help="strength of the polish; 0: none")
    parser.add_argument(
        "--eyes",
        choices=get_args(Eyes),
        default=Settings.eyes,
        help="MediaPipe alone; DetNet besides, everywhere; or both: DetNet where MediaPipe is not sure",
    )
    parser.add_argument("--device", choices=get_args(Device), default="auto")
    parser.add_argument("--threads", type=int, default=0)
    return lens


def settings_from(options: argparse.Namespace) -> Settings:
    """The frozen settings of a parsed command."""
    given = vars(options)
    plain = {f.name: given[f.name] for f in fields(Settings) if f.name in given}
    plain["region"] = box_from_text(options.region) if options.region else None
    plain["ignore"] = tuple(box_from_text(text) for text in options.ignore)
    plain["distortion"] = numbers_from_text(options.distortion, 5) if options.distortion else ()
    return _with_mano(_with_performer(Settings(**plain), given.get("performer")), options.mano_dir)


def _with_performer(settings: Settings, path: Path | None) -> Settings:
    """The settings with the hand in a performer's file; a palm length of its own wins."""
    if path is None:
        return settings
    from .performer import load_performer

    performer = load_performer(path)
    return replace(settings, betas=performer.betas, palm_mm=settings.palm_mm or performer.palm_mm)


def _with_mano(settings: Settings, folder: str | None) -> Settings:
    """The settings with what `--mano-dir` names."""
    if folder is None:
        return settings
    from .hand.hands import files_in

    found = {side: str(Path(path).resolve()) if path else "" for side, path in files_in(folder).items()}
    return replace(settings, mano_right=found["right"], mano_left=found["left"])


class _Interrupt:
    """Ctrl-C asks the work to stop and keep what it has; a second one stops at once."""

    def __init__(self) -> None:
        self._flag = threading.Event()
        self._previous: Any = None

    def __enter__(self) -> _Interrupt:
        with suppress(ValueError):
            # Only the main thread may set handlers; elsewhere the caller's own stay in force.
            self._previous = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self._flag.is_set():
            raise KeyboardInterrupt
        self._flag.set()

    def __call__(self) -> bool:
        return self._flag.is_set()


def default_out(source: str) -> Path:
    """SOURCE.take.npz beside a file; in the current folder for anything else."""
    path = Path(source)
    return path.with_suffix(".take.npz") if path.is_file() else Path(f"{path.name or 'take'}.take.npz")


def _refuse_overwriting(path: Path, force: bool) -> None:
    if path.is_dir():
        raise BadInputError(f"{path} is a folder; give the name of a file in it.")
    if path.exists() and not force:
        raise BadInputError(f"{path} is already there; give --force to overwrite it or another --out.")


def _capture(options: argparse.Namespace) -> int:
    from . import pipeline
    from .overlay import check_overlay_name

    out = options.out or default_out(options.source)
    # The take of a stopped capture is what a resumed one replaces.
    _refuse_overwriting(out, options.force or (options.resume and pipeline.partial_folder(out).is_dir()))
    if options.overlay:
        check_overlay_name(options.overlay)
        _refuse_overwriting(options.overlay, options.force or options.resume)
    reporter = Reporter(options.progress)
    with _Interrupt() as cancelled:
        try:
            take = pipeline.capture(
                options.source,
                settings_from(options),
                out=out,
                resume=options.resume,
                on_progress=reporter,
                cancelled=cancelled,
            )
            reporter.close()
            _tell(take, out)
            if options.overlay:
                pipeline.write_overlay_of(
                    take, options.source, options.overlay, on_progress=reporter, cancelled=cancelled
                )
        finally:
            reporter.close()
    return EXIT_CANCELLED if take.meta.get("cancelled") else 0


def _tell(take: Take, out: Path) -> None:
    """What came of it on standard output, what to know about it on standard error."""
    from .notes import notes, summary

    sys.stdout.write(f"{summary(take)}\n{out}\n")
    sys.stdout.flush()
    for sentence in notes(take):
        sys.stderr.write(f"{sentence}\n")


def _live(options: argparse.Namespace) -> int:
    from .live import live
    from .live_recording import recover

    if options.recover:
        if not options.out:
            raise BadInputError("A recording is recovered by its take's name; give it with --out.")
        _tell(recover(options.out), options.out)
        return 0
    if options.out:
        _refuse_overwriting(options.out, options.force)
    if options.seconds is not None and not options.seconds > 0.0:
        raise BadInputError(f"A capture of {options.seconds:g} seconds is not possible; give more than 0.")
    with _Interrupt() as cancelled:
        report = live(
            options.source,
            settings_from(options),
            out=options.out,
            seconds=options.seconds,
            on_frame=_write_frame if options.json else None,
            cancelled=cancelled,
        )
    for sentence in (report.sentence(), *report.notes):
        sys.stderr.write(f"{sentence}\n")
    return 0


def _write_frame(frame: LiveFrame) -> None:
    sys.stdout.write(json.dumps(frame.as_json()) + "\n")


def _info(options: argparse.Namespace) -> int:
    from .info import collect, describe

    if options.take:
        return _describe_take(options.take)
    facts = collect(self_test=options.report)
    sys.stdout.write((json.dumps(facts, indent=2) if options.json else describe(facts)) + "\n")
    return 0 if facts["ready"] else 2


def _describe_take(path: Path) -> int:
    from .notes import describe
    from .take import load_take

    sys.stdout.write(f"{describe(load_take(path))}\n")
    return 0


def _export(options: argparse.Namespace) -> int:
    from .export import export_take
    from .pipeline import hand_models
    from .take import load_take

    _refuse_overwriting(options.out, options.force)
    take = load_take(options.take)
    chosen = options.format or options.out.suffix.lstrip(".").lower()
    sides = SIDES if options.side == "both" else (options.side,)
    export_take(take, options.out, format=chosen, models=hand_models(take), sides=sides)
    sys.stdout.write(f"{options.out}\n")
    return 0


def _polish(options: argparse.Namespace) -> int:
    from . import pipeline
    from .polish import PolishSettings
    from .take import load_take, save_take

    _refuse_overwriting(options.out, options.force)
    choices = PolishSettings(strength=options.smoothing, gaps=options.gaps, longest_gap=options.longest_gap)
    save_take(pipeline.repolish(load_take(options.take), choices, parent=options.take), options.out)
    sys.stdout.write(f"{options.out}\n")
    return 0


def _resolve(options: argparse.Namespace) -> int:
    from . import pipeline
    from .take import load_take, save_take

    _refuse_overwriting(options.out, options.force)
    take = load_take(options.take)
    settings = replace(pipeline.settings_of(take), smoothing=options.smoothing)
    if options.palm_mm is not None:
        settings = replace(settings, palm_mm=options.palm_mm)
    settings = _with_mano(settings, options.mano_dir)
    reporter = Reporter(options.progress)
    with _Interrupt() as cancelled:
        try:
            solved = pipeline.resolve(take, settings, parent=options.take, on_progress=reporter, cancelled=cancelled)
        finally:
            reporter.close()
    save_take(solved, options.out)
    _tell(solved, options.out)
    return 0


def _calibrate_photo(options: argparse.Namespace) -> int:
    from .calibrate.photo import measure_photo
    from .performer import ENDING, save_performer
    from .pipeline import PreviewFile

    source = Path(options.photo)
    out = options.out or source.with_suffix(ENDING)
    _refuse_overwriting(out, options.force)
    found = measure_photo(options.photo, options.reference)
    save_performer(found.performer(options.name or source.stem), out)
    if options.picture:
        PreviewFile(options.picture, 0.0).write(found.picture)
    sys.stdout.write(f"{json.dumps(found.as_json(), indent=1) if options.json else found.sentence()}\n{out}\n")
    return 0


def _worker(_options: argparse.Namespace) -> int:
    from .worker import serve

    return serve()
