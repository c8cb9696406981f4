# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to tell the user: our errors become one sentence, everything else stays a bug with its traceback."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import bpy

from ..engine.errors import HandMocapError

Result = set[str]


def told(operator: bpy.types.Operator, work: Callable[[], Iterable[str]]) -> Result:
    """Run `work`; report the sentences it returns, or the error a user can act on."""
    try:
        sentences = list(work())
    except HandMocapError as error:
        operator.report({"ERROR"}, f"{error} {error.hint}".strip())
        return {"CANCELLED"}
    for sentence in sentences:
        operator.report({"INFO"}, sentence)
    return {"FINISHED"}


def properties(context: bpy.types.Context) -> Any:
    """The scene's HandMocap settings."""
    return context.scene.handmocap


def kept_sentence(frames: int) -> str:
    """What is told after another sentence when changed frames were kept."""
    if not frames:
        return ""
    return " 1 changed frame was kept." if frames == 1 else f" {frames} changed frames were kept."
