# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger's first minute: the zip is installed, our tab is open, "Add Hands" is pressed with the mouse."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

pytestmark = pytest.mark.gui

ADD_HANDS = "bpy.ops.handmocap.add_hands("
STEP = 9
"""pixels; half a button's height"""


class Window(Protocol):
    def state(self) -> dict[str, Any]: ...
    def wait(self, what: str, until: Any, seconds: float = ...) -> dict[str, Any]: ...
    def point(self, x: float, y: float) -> None: ...
    def press(self) -> None: ...
    def screenshot(self, name: str) -> Any: ...


def find_button(window: Window, command: str) -> None:
    """Run the pointer down the sidebar until it is over the button of a command."""
    x, y, width, height = window.state()["sidebar"]
    for down in range(2 * STEP, height, STEP):
        window.point(x + width // 3, y + height - down)
        if window.state()["hovered"].startswith(command):
            return
    pytest.fail(f"there is no button for {command} in the sidebar; see {window.screenshot('no_button.png')}")


def test_the_package_is_enabled_in_a_real_window(window: Window) -> None:
    state = window.state()
    assert state["enabled"] is True
    assert state["background"] is False
    assert state["problems"] == []


def test_the_engine_works_with_this_blenders_python(window: Window) -> None:
    assert window.state()["self_test"] == ["FINISHED"]


def test_add_hands_is_pressed_and_two_hands_stand_in_the_scene(window: Window) -> None:
    before = window.state()
    assert not before["bones"]
    find_button(window, ADD_HANDS)
    window.press()
    state = window.wait("hands", lambda state: len(state["bones"]) == 2, 60.0)
    window.wait("the view to turn to them", lambda state: state.get("framed"), 60.0)
    picture = window.screenshot("add_hands.png")
    assert picture.stat().st_size > 20_000
    assert set(state["bones"].values()) == {21}
    assert sum(kind == "MESH" for kind in state["objects"].values()) == 2 + sum(
        kind == "MESH" for kind in before["objects"].values()
    )
    assert state["undo"][-1] == "HANDMOCAP_OT_add_hands"
    assert state["problems"] == []
