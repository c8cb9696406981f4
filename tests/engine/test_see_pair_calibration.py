# SPDX-License-Identifier: GPL-3.0-or-later
"""The constants that belong to the weights of the network of both hands."""

import numpy as np
import pytest

from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.see.pair_calibration import Calibration


def test_constants_come_back_and_damaged_ones_are_refused() -> None:
    constants = Calibration(0.8, 1.2, 0.9, np.eye(21) * 0.9, np.array([1.0, 0.5, 0.2, -1.0]))
    back = Calibration.from_text(constants.to_text())
    assert back.sigma == 0.9
    np.testing.assert_allclose(back.definition, constants.definition)
    for text in (
        "{}",
        "no json",
        constants.to_text().replace("0.8", "-1.0"),
        constants.to_text().replace("0.8", "NaN"),
    ):
        with pytest.raises(ModelFileError):
            Calibration.from_text(text)


def test_points_in_a_takes_units_begin_at_the_wrist() -> None:
    form = np.random.default_rng(0).normal(size=(2, 21, 3))
    _, turned_form, error = Calibration.plain().in_take(np.zeros((2, 21, 2)), form, np.ones((2, 21)))
    np.testing.assert_allclose(turned_form[:, 0], 0.0)
    bones = np.linalg.norm(turned_form[:, [5, 9, 13, 17]], axis=-1).mean(-1)
    np.testing.assert_allclose(bones, 1.0)
    np.testing.assert_allclose(error[0] * np.linalg.norm((form - form[:, :1])[0, [5, 9, 13, 17]], axis=-1).mean(), 1.0)
