# SPDX-License-Identifier: GPL-3.0-or-later
"""The first seconds of a capture, solved while the rest is still being seen; a measured shape carried through."""

import numpy as np
import pytest
from drawn_hands import FOCAL, write_clip

from blender_handmocap.engine import pipeline
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import Take

FRAMES = 70
BETAS = (0.5, -1.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Take, list[Take]]:
    folder = tmp_path_factory.mktemp("part")
    write_clip(folder / "hand.mp4", frames=FRAMES, sides=("right",))
    parts: list[Take] = []
    settings = Settings(focal=FOCAL, device="cpu", betas=BETAS, palm_mm=95.0)
    take = pipeline.capture(str(folder / "hand.mp4"), settings, out=folder / "t.take.npz", on_part=parts.append)
    return take, parts


def test_the_first_seconds_are_told_once_before_the_end(captured: tuple[Take, list[Take]]) -> None:
    take, parts = captured
    assert [len(part) for part in parts] == [64]
    np.testing.assert_array_equal(parts[0].frame, take.frame[:64])
    assert parts[0].right.present.all()
    # The same footage gives the same motion; only the clip's end, which the part does not know, bends it.
    apart = np.linalg.norm(parts[0].right.points[:40] - take.right.points[:40], axis=-1)
    assert apart.max() < 0.005


def test_a_measured_shape_is_the_takes(captured: tuple[Take, list[Take]]) -> None:
    take, _ = captured
    np.testing.assert_allclose(take.betas, BETAS)
    assert take.size == pytest.approx(0.095)


def test_a_shape_that_is_none_is_a_sentence() -> None:
    with pytest.raises(BadInputError, match="10 numbers"):
        Settings(betas=(1.0, 2.0))
