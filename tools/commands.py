# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of build.py."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from types import FrameType
from typing import Final

from . import demo, models, packaging, testing
from .console import ROOT, BuildError, call, end_everything, say
from .environments import ensure

PASS_ON: Final = ("run", "train", "benchmark")


def run(arguments: Sequence[str]) -> int:
    """One command; its exit code."""
    own, passed_on = split(arguments)
    parser = build_parser()
    options = parser.parse_args(own)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    try:
        return int(options.run(options, passed_on))
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        return 130


def _stop(number: int, _frame: FrameType | None) -> None:
    """Nothing started here outlives build.py."""
    end_everything()
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Own arguments, and those for another program: all that follows run, train or benchmark, or a `--`."""
    words = list(arguments)
    if words[:1] and words[0] in PASS_ON:
        return words[:1], words[1:]
    if "--" in words:
        at = words.index("--")
        return words[:at], words[at + 1 :]
    return words, []


def build_parser() -> argparse.ArgumentParser:
    """Every command and option."""
    parser = argparse.ArgumentParser(prog="build.py", description="HandMocap: set-up, demo, tests, package.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser("demo", help="capture the bundled clip and put the hands into Blender: out/demo.*")
    show.set_defaults(run=lambda _options, _rest: demo.demo())

    test = commands.add_parser("test", help="all tests, each in its environment; after -- arguments for pytest")
    test.add_argument("--train", action="store_true", help="the tests that need torch, smplx, anny and numba instead")
    test.add_argument("--all", action="store_true", help="also what is slow: bpy 4.2, a real window, Cycles")
    test.set_defaults(
        run=lambda options, rest: testing.test(train=options.train, everything=options.all, arguments=rest)
    )

    engine = commands.add_parser("run", help="the engine's command line: build.py run capture clip.mp4", add_help=False)
    engine.set_defaults(run=_engine)

    networks = commands.add_parser("models", help="fetch and convert the networks that are not in the repository")
    networks.set_defaults(run=_models)

    train = commands.add_parser("train", help="a recipe of training/: build.py train detnet.train ...", add_help=False)
    train.set_defaults(run=_train)

    benchmark = commands.add_parser("benchmark", help="accuracy and speed, side by side with peers", add_help=False)
    benchmark.set_defaults(run=_benchmark)

    package = commands.add_parser("package", help="the extension as zips: dist/")
    package.add_argument("--platform", choices=sorted(packaging.platforms()), help="one platform; default: all")
    package.add_argument("--gpu", action="store_true", help="with onnxruntime-gpu (Linux and Windows)")
    package.add_argument("--record", action="store_true", help="write down the wheels' sha256 instead of checking them")
    package.set_defaults(
        run=lambda options, _rest: packaging.package(options.platform, gpu=options.gpu, record=options.record)
    )
    return parser


def _engine(_options: argparse.Namespace, rest: Sequence[str]) -> int:
    (python,) = ensure("engine")
    models.ensure_models()
    return call([python, "-m", "blender_handmocap.engine", *rest])


def _models(_options: argparse.Namespace, _rest: Sequence[str]) -> int:
    models.ensure_models()
    say("The networks are in blender_handmocap/models.")
    return 0


def _train(_options: argparse.Namespace, rest: Sequence[str]) -> int:
    recipes = sorted(
        ".".join(path.relative_to(ROOT / "training").with_suffix("").parts)
        for path in (ROOT / "training").rglob("*.py")
        if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
    )
    if not rest or rest[0] not in recipes:
        raise BuildError(
            f"Name what to make: build.py train RECIPE [ARGUMENTS], with RECIPE one of {', '.join(recipes)}."
        )
    (python,) = ensure("train")
    models.ensure_models()
    return call([python, "-m", f"training.{rest[0]}", *rest[1:]])


def _benchmark(_options: argparse.Namespace, rest: Sequence[str]) -> int:
    # Standard output belongs to the benchmark: with --json nothing else may stand there.
    with redirect_stdout(sys.stderr):
        (python,) = ensure("benchmark")
        try:
            ensure("mediapipe")
        except BuildError as error:
            say(f"The rows of MediaPipe will be empty: {error}")
        models.ensure_models()
    return call([python, "-m", "benchmarks", *rest])
