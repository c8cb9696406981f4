# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger's first minute: the zip is installed, our tab is open, "Add Hands" is pressed with the mouse."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

pytestmark = pytest.mark.gui

ADD_HANDS = "bpy.ops.handmocap.add_hands("


class Window(Protocol):
    def state(self) -> dict[str, Any]: ...
    def wait(self, what: str, until: Any, seconds: float = ...) -> dict[str, Any]: ...
    def ask(self, function: str, *arguments: Any) -> None: ...
    def find(self, command: str) -> None: ...
    def press(self) -> None: ...
    def screenshot(self, name: str) -> Any: ...


def test_the_package_is_enabled_in_a_real_window(window: Window) -> None:
    state = window.state()
    assert state["enabled"] is True
    assert state["background"] is False
    assert state["problems"] == []


def test_the_engine_works_with_this_blenders_python(window: Window) -> None:
    assert window.state()["self_test"] == ["FINISHED"]


def test_add_hands_is_pressed_and_two_hands_stand_in_the_scene(window: Window) -> None:
    # The cube of the first file is larger than any hand.
    window.ask("clear_scene")
    before = window.wait("an empty scene", lambda state: not state["objects"])
    window.find(ADD_HANDS)
    window.press()
    window.wait("hands", lambda state: len(state["bones"]) == 2, 60.0)
    window.ask("frame_hands")
    state = window.state()
    picture = window.screenshot("add_hands.png")
    assert picture.stat().st_size > 20_000
    assert set(state["bones"].values()) == {21}
    assert sum(kind == "MESH" for kind in state["objects"].values()) == 2 + sum(
        kind == "MESH" for kind in before["objects"].values()
    )
    assert state["undo"][-1] == "HANDMOCAP_OT_add_hands"
    assert state["problems"] == []


def test_all_panels_open_cost_little_of_a_redraw(window: Window) -> None:
    """Two milliseconds where Python counts to a hundred thousand in ten, as on a slow laptop."""
    window.ask("tell_draw_cost")
    state = window.state()
    cost = state["draw_cost"]
    # Those below the window's edge are not drawn.
    assert len(cost) >= 8
    assert sum(cost.values()) < 0.2 * state["yardstick"], cost
