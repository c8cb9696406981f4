# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands from two crops: signs, sides and doubts of what is joined; the network in the mirror."""

import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.models import MODELS_FOLDER, model_cards
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, cut
from blender_handmocap.engine.see.pair import PAIR_MODEL, PRESENT, PairNet, Partner, joined

needs_network = pytest.mark.skipif(
    PAIR_MODEL not in model_cards() or not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(),
    reason="the networks are not there",
)
CAMERA = Camera.from_fov(640, 480, 60.0)


def partner(
    vector: tuple[float, float, float], sigma: float = 0.2, presence: float = 0.9, own: int = 1, other: int = 2
) -> Partner:
    contact = np.zeros((6, 6))
    contact[own, other] = 0.8
    return Partner(
        presence=presence,
        points=np.zeros((21, 2)),
        error=np.ones(21),
        vector=np.array(vector),
        sigma=np.full(3, sigma),
        contact=contact,
    )


def test_both_crops_speak_of_left_minus_right_and_of_left_parts_first() -> None:
    right = joined(None, partner((1.0, 0.2, -0.1), own=1, other=2))
    left = joined(partner((-1.0, -0.2, 0.1), own=2, other=1), None)
    assert right is not None and left is not None
    np.testing.assert_allclose(right.vector, [1.0, 0.2, -0.1])
    np.testing.assert_allclose(left.vector, right.vector)
    assert right.contact[2, 1] == 0.8 and right.contact.sum() == 0.8
    np.testing.assert_allclose(left.contact, right.contact)


def test_the_surer_crop_counts_more() -> None:
    found = joined(partner((-1.2, 0.0, 0.0), sigma=0.1), partner((1.0, 0.0, 0.0), sigma=0.2))
    assert found is not None
    np.testing.assert_allclose(found.vector, [(1.2 * 4 + 1.0) / 5, 0.0, 0.0])
    np.testing.assert_allclose(found.sigma, 0.1)


def test_crops_that_contradict_each_other_are_doubted() -> None:
    agreeing = joined(partner((-1.0, 0.0, 0.0)), partner((1.0, 0.0, 0.0)))
    contradicting = joined(partner((-1.0, 0.0, 0.0)), partner((-1.0, 0.0, 0.0)))
    assert agreeing is not None and contradicting is not None
    assert contradicting.sigma[0] > 1.5 * agreeing.sigma[0]
    assert contradicting.sigma[1] == agreeing.sigma[1]


def test_a_crop_without_the_other_hand_has_no_say() -> None:
    absent = partner((5.0, 5.0, 5.0), presence=PRESENT - 0.01)
    found = joined(absent, partner((1.0, 0.0, 0.0)))
    assert found is not None
    np.testing.assert_allclose(found.vector, [1.0, 0.0, 0.0])
    assert joined(absent, absent) is None and joined(None, None) is None


@needs_network
def test_a_mirrored_picture_says_the_mirrored_thing() -> None:
    runtime = Runtime.choose("cpu", 1)
    net = PairNet.load(runtime)
    trunk = runtime.network("mediapipe_hand", outputs=net.taps)
    picture = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    crop = np.array([250.0, 200.0, 180.0, 180.0, 0.4])
    straight = net.read(trunk(cut(picture, crop, HAND_INPUT, replicate=True)[None]), crop, CAMERA, mirrored=False)
    # The mirror's crop, shown to the trunk mirrored back: the same pixels.
    turned_crop = np.array([639.0 - 250.0, 200.0, 180.0, 180.0, -0.4])
    shown = cut(np.ascontiguousarray(picture[:, ::-1]), turned_crop, HAND_INPUT, replicate=True)[:, ::-1]
    mirror = net.read(trunk(np.ascontiguousarray(shown)[None]), turned_crop, CAMERA, mirrored=True)
    assert straight is not None and mirror is not None
    np.testing.assert_allclose(mirror.vector * [-1.0, 1.0, 1.0], straight.vector, atol=0.05)
    np.testing.assert_allclose(mirror.contact, straight.contact, atol=0.05)
    assert mirror.presence == pytest.approx(straight.presence, abs=0.05)


@needs_network
@pytest.mark.parametrize("value", [0, 255])
def test_empty_pictures_give_numbers_and_little_presence(value: int) -> None:
    runtime = Runtime.choose("cpu", 1)
    net = PairNet.load(runtime)
    trunk = runtime.network("mediapipe_hand", outputs=net.taps)
    crop = np.array([112.0, 112.0, 224.0, 224.0, 0.0])
    found = net.read(trunk(np.full((1, 224, 224, 3), value, np.uint8)), crop, CAMERA, mirrored=False)
    assert found is not None
    assert np.isfinite(found.vector).all() and (found.sigma > 0).all() and np.isfinite(found.points).all()
    assert found.presence < PRESENT
    broken = {
        name: np.full(shape, np.nan, np.float32)
        for name, shape in {
            "features_28": (1, 40, 28, 28),
            "features_14": (1, 112, 14, 14),
            "features_7": (1, 192, 7, 7),
        }.items()
    }
    assert net.read(broken, crop, CAMERA, mirrored=False) is None
