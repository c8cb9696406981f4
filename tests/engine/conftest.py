# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundled clip, whose truth is known, and the network that looks at its hands."""

import pytest
from example_hands import camera_of, truth_of_the_clip

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.pair_crop import PairCropNet
from blender_handmocap.engine.see.pair_watch import PairWatch
from blender_handmocap.engine.take import Take


@pytest.fixture(scope="module")
def truth() -> Take:
    return truth_of_the_clip()


@pytest.fixture(scope="module")
def camera(truth: Take) -> Camera:
    return camera_of(truth)


@pytest.fixture
def watch() -> PairWatch:
    return PairWatch(PairCropNet.load(Runtime.choose("cpu", 1)))
