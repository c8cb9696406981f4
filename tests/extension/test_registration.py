# SPDX-License-Identifier: GPL-3.0-or-later
"""Coming and going in Blender leaves nothing behind, even when something fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

Ask = Callable[..., dict[str, Any]]


def test_fifty_times_leave_nothing_behind(ask: Ask) -> None:
    facts = ask("fifty_times")
    # The comparison sees what is registered, or "nothing left" would prove nothing.
    assert facts["during"]["addons"] == ["bl_ext.user_default.handmocap"]
    assert "HANDMOCAP_OT_self_test" in facts["during"]["types"]
    assert facts["left"] == {}
    assert "Error" not in facts["output"], facts["output"]


def test_enabling_imports_little(ask: Ask, record_property: Callable[[str, object], None]) -> None:
    facts = ask("cost_of_enabling")
    record_property("seconds", facts["seconds"])
    logging.getLogger(__name__).info("Enabling took %.3f s.", facts["seconds"])
    assert facts["heavy"] == []
    foreign = [name for name in facts["imported"] if not name.startswith(("bl_ext", "_bpy", "bpy", "bl_"))]
    assert len(foreign) < 150, foreign


def test_a_failure_in_the_middle_is_raised_and_taken_back(ask: Ask) -> None:
    facts = ask("failing_class")
    assert facts["raised"] == "AttributeError"
    assert facts["left"] == {}


def test_a_step_that_fails_on_the_way_out_is_logged_and_the_rest_happens(ask: Ask) -> None:
    facts = ask("failing_class")
    assert facts["left_after_a_stolen_class"] == {}
    assert "the rest of HandMocap is still being unregistered" in facts["output"]


@pytest.fixture
def preferences(ask: Ask) -> dict[str, Any]:
    return ask("preferences")


def test_preferences(preferences: dict[str, Any]) -> None:
    assert preferences["defaults"] == {"device": "auto", "threads": 0, "cache_folder": "", "log_level": "WARNING"}
    assert preferences["own_cache"].endswith("handmocap/cache")
    # A folder of its own there: clearing the cache must not touch what else lies in it.
    assert preferences["chosen_cache"].endswith("elsewhere/handmocap cache")
    assert [found for _, found in preferences["components"]] == [True, True, True]
    assert any(line.startswith("onnxruntime 1.") for line, _ in preferences["components"])


def test_the_self_test_starts_the_engine(preferences: dict[str, Any]) -> None:
    assert preferences["tested"] == ["FINISHED"], preferences["test_lines"]
    assert preferences["test_lines"]
