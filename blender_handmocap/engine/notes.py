# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user should know about a take besides its frames: one sentence each, for the command line and for Blender."""

from __future__ import annotations

from typing import Final

from .hand.names import SIDES, Side
from .take import State, Take

LENS_GUESSED: Final = (
    "Nothing is known about the lens, so a usual one was taken: distances to the camera are a guess until the field "
    "of view or the focal length is given."
)
NOTHING_RECORDED: Final = "The capture ended before its first frame was recorded, so no take was written."
DOUBTFUL: Final = 0.5
"""Confidence under which a frame is better looked at."""
_DOUBTFUL_SHARE: Final = 0.1
"""Share of a hand's frames from which doubt is told."""


def summary(take: Take) -> str:
    """One sentence about what a take holds."""
    parts = []
    for side in SIDES:
        seen = int((take.track(side).state == State.SEEN).sum())
        filled = int((take.track(side).state == State.FILLED).sum())
        if seen:
            parts.append(f"{side} hand in {seen}" + (f" (+{filled} filled)" if filled else ""))
    hands = " and ".join(parts) if parts else "no hand"
    stopped = ", stopped early" if take.meta.get("cancelled") else ""
    return f"{len(take)} frames, {hands}{stopped}."


def notes(take: Take) -> list[str]:
    """Damage, doubts and guesses, the most serious first; empty when there is nothing to tell."""
    told = [str(sentence) for sentence in take.meta.get("warnings", ())]
    if take.meta.get("hint"):
        told.append(str(take.meta["hint"]))
    if take.meta.get("camera") == "estimated":
        told.append(LENS_GUESSED)
    told += [sentence for side in SIDES if (sentence := _doubt(take, side))]
    shape = take.meta.get("shape")
    if isinstance(shape, dict) and shape.get("reason"):
        told.append(f"Hand proportions: {shape['reason']}")
    return told


def _doubt(take: Take, side: Side) -> str:
    track = take.track(side)
    seen = track.state == State.SEEN
    doubtful = int((seen & (track.confidence < DOUBTFUL)).sum())
    if not doubtful or doubtful < _DOUBTFUL_SHARE * int(seen.sum()):
        return ""
    return f"The {side} hand is doubtful in {doubtful} of its {int(seen.sum())} frames; look at those first."


def describe(take: Take) -> str:
    """The take as lines to read: what it holds, where it comes from, what to know about it."""
    meta = take.meta
    camera = {"given": "as given", "metadata": "from the file", "estimated": "guessed"}
    size = f"{meta.get('width')} x {meta.get('height')}, {take.rate:.5g} a second"
    if meta.get("settings", {}).get("mode") == "stills":
        sizes = sorted({take.picture_size(index) for index in range(len(take))})
        size = " to ".join(f"{width} x {height}" for width, height in dict.fromkeys((sizes[0], sizes[-1])))
    lines = [
        summary(take),
        f"  source: {meta.get('source', 'unknown')}, {size}" + (", mirrored" if meta.get("mirrored") else ""),
        f"  focal length: {float(take.K.reshape(-1, 3, 3)[0, 0, 0]):.0f} pixels, "
        f"{camera.get(str(meta.get('camera')), 'as given')}",
        f"  palm length: {take.size * 1e3:.0f} mm",
        f"  engine: {meta.get('engine', 'unknown')}" + (f", parent: {meta['parent']}" if meta.get("parent") else ""),
    ]
    if len(take.corrections):
        lines.append(f"  corrections: {len(take.corrections)}")
    return "\n".join([*lines, *notes(take)])
