# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen rendered sets: seeds here, sha256 of every clip in frozen/frozen.json, pictures in a cache.

    python -m benchmarks.sets.frozen [--set NAME] [--record]

draws what is missing and compares it with the committed sums; `--record` writes them. A clip is a folder of PNG
pictures and its truth as a Take. Seeds and sums never change together with a model.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.take import Take, load_take

from ..hands import Clip, TestSet
from . import pictures, take_truth
from .cache import folder

log = logging.getLogger(__name__)

SUMS: Final = Path(__file__).resolve().parents[1] / "frozen" / "frozen.json"
ROWS: Final = ("seen families", "unseen families")
CYCLES_ROW: Final = "cycles"

ABOUT: Final[dict[str, str]] = {
    "one_hand": "one hand in motion, rendered",
    "two_apart": "two hands beside each other, rendered",
    "two_touching": "two hands in contact, rendered",
    "fast": "a hand that waves at 3, 6 and 8 Hz between still spans, rendered",
    "small": "hands 1.3 to 2 m away, rendered",
    "dark": "too little light, rendered",
    "sleeves": "sleeves, rings, gloves, held and covering things, rendered",
    "one_hand_hard": "one hand, near, of which three tenths or more are hidden, rendered",
}
"""Name -> what it shows."""


def clip_folder(name: str, row: str, number: int) -> Path:
    """Where a clip's pictures and truth lie."""
    return folder() / "frozen" / name / row.replace(" ", "_") / str(number)


def load(name: str) -> TestSet:
    """A set; what is missing in the cache is drawn first, and everything is compared with the committed sums."""
    wanted = sums().get(name, {})
    if not wanted:
        raise BadInputError(f"No sums are committed for the set {name!r}; record them with benchmarks.sets.frozen.")
    clips, changed, absent = [], 0, 0
    note = "Rendered with our own hand; the truth is exact and in our own joint definition."
    for row in (*ROWS, CYCLES_ROW):
        for number, expected in enumerate(wanted.get(row, ())):
            place = clip_folder(name, row, number)
            if not (place / "truth.npz").exists():
                if row == CYCLES_ROW:
                    absent += 1
                    continue
                _draw(name, row, number)
            changed += sum_of(place) != expected
            clips.append(_clip(place, row))
    if absent:
        note += (
            f" {absent} clips of the Cycles row are left out, because Blender takes minutes to draw them; "
            "`python -m benchmarks.sets.frozen_cycles --bpy PYTHON` does."
        )
    if changed:
        note += (
            f" {changed} of {len(clips)} clips differ from the committed sums: the renderer or the machine differs, "
            "and these are not the frozen pictures."
        )
    return TestSet(name=name, clips=tuple(clips), note=note, apart=(CYCLES_ROW,))


def drawn(name: str) -> TestSet:
    """A set as it is drawn here, recorded or not."""
    from .frozen_draw import RECIPES

    places = [(row, clip_folder(name, row, number)) for row in ROWS for number in range(RECIPES[name].clips)]
    for row, place in places:
        if not (place / "truth.npz").exists():
            _draw(name, row, int(place.name))
    return TestSet(name=name, clips=tuple(_clip(place, row) for row, place in places))


TONES: Final = ("light skin", "medium skin", "dark skin")
GLOVES: Final = "gloves"
_BY_SKIN: Final = ("one_hand", "two_apart", "sleeves")


def by_skin() -> TestSet:
    """Clips of other sets once more, with a row a third of the skin tones and a row of gloves."""
    clips = []
    for name in _BY_SKIN:
        for clip in load(name).clips:
            # Not every machine has those, and the rows are to be the same everywhere.
            if clip.row == CYCLES_ROW:
                continue
            meta = load_take(clip.source.parent / "truth.npz").meta
            row = GLOVES if meta["gloved"] else TONES[min(int(meta["tone"] * len(TONES)), len(TONES) - 1)]
            clips.append(replace(clip, name=f"{name}, {clip.row} {clip.name}", row=row))
    clips.sort(key=lambda clip: (*TONES, GLOVES).index(clip.row))
    return TestSet(name="by_skin", clips=tuple(clips), note=f"The clips of {', '.join(_BY_SKIN)} by skin.")


def sums() -> dict[str, dict[str, list[str]]]:
    """Set -> row -> sha256 of each clip, as committed."""
    if not SUMS.exists():
        return {}
    told: dict[str, dict[str, list[str]]] = json.loads(SUMS.read_text(encoding="utf-8"))
    return told


def sum_of(place: Path) -> str:
    """sha256 over the pictures' pixels, in order."""
    total = hashlib.sha256()
    for _, picture in pictures.reader(place / "pictures")():
        total.update(str(picture.shape).encode())
        total.update(picture.tobytes())
    return total.hexdigest()


def _draw(name: str, row: str, number: int) -> None:
    """Draw one clip; needs numba."""
    try:
        from . import frozen_draw
    except ImportError as error:
        raise BadInputError(
            f"The set {name} has to be drawn first, which needs {error.name}; run it by build.py benchmark."
        ) from error
    frozen_draw.draw_clip(name, row, number, clip_folder(name, row, number))


def _clip(place: Path, row: str) -> Clip:
    take: Take = load_take(place / "truth.npz")
    source = place / "pictures"
    return take_truth.clip_of(source, take, row=row, name=f"{row} {place.name}", reader=pictures.reader(source))


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", choices=sorted(ABOUT))
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    return 0 if all(_made(name, record=options.record) for name in options.set or ABOUT) else 1


def _made(name: str, *, record: bool) -> bool:
    from .frozen_draw import RECIPES

    made: dict[str, list[str]] = {}
    for row in ROWS:
        for number in range(RECIPES[name].clips):
            place = clip_folder(name, row, number)
            if not (place / "truth.npz").exists():
                _draw(name, row, number)
            made.setdefault(row, []).append(sum_of(place))
            log.info("%s, %s, clip %d: %s", name, row, number, made[row][-1][:12])
    if record:
        told = sums()
        kept = {CYCLES_ROW: told[name][CYCLES_ROW]} if CYCLES_ROW in told.get(name, {}) else {}
        write_sums({**told, name: {**made, **kept}})
        return True
    wanted = sums().get(name, {})
    return all(wanted.get(row) == one for row, one in made.items())


def write_sums(told: dict[str, dict[str, list[str]]]) -> None:
    """Commit-ready sums."""
    SUMS.parent.mkdir(parents=True, exist_ok=True)
    SUMS.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
