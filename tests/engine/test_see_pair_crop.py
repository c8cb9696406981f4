# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands at once: where to look, what the network is given, its answers, and bad pictures."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.models import MODELS_FOLDER, model_cards
from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.crops import HAND_INPUT, cut
from blender_handmocap.engine.see.pair import palm_bone
from blender_handmocap.engine.see.pair_calibration import PAIR_CROP_MODEL
from blender_handmocap.engine.see.pair_crop import Expected, PairCropNet, PairReading, crop_of_pair
from blender_handmocap.engine.see.pair_given import PAIR_FEATURES, POINT_FEATURES, SeenPair, given, mirrored
from blender_handmocap.engine.see.pair_watch import PairWatch

needs_network = pytest.mark.skipif(
    PAIR_CROP_MODEL not in model_cards() or not (MODELS_FOLDER / "mediapipe_hand.onnx").exists(),
    reason="the networks are not there",
)
CAMERA = Camera.from_fov(640, 480, 60.0)
FOCAL = float(CAMERA.K[0, 0])


def open_hand(side: str, place: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints of a resting hand before the camera, fingers up: (21, 3) metres and (21, 2) pixels."""
    model = free_hand("right" if side == "right" else "left")
    turn = np.array([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    points = model.pose(np.tile([1.0, 0.0, 0.0, 0.0], (1, 16, 1)), np.zeros((1, 3)), model.rest()).keypoints[0]
    points = points - points[0]
    # The left hand's canonical axes are the mirrored right one's.
    points = points @ turn.T if side == "right" else (points * [-1.0, 1.0, 1.0]) @ turn.T * [-1.0, 1.0, 1.0]
    points = points + place
    return points, CAMERA.project(points)


def expected(side: str, place: tuple[float, float, float]) -> Expected:
    points, pixels = open_hand(side, place)
    form = (points - points[0]) / (palm_bone() * free_hand("right").palm_length)
    return Expected(pixels, np.full(21, 2.0), form, np.full(21, 0.05), float(side == "right"))


def test_the_crop_holds_both_hands_and_is_turned_as_they_point() -> None:
    left, right = open_hand("left", (-0.06, 0.05, 0.5))[1], open_hand("right", (0.06, 0.05, 0.5))[1]
    crop = crop_of_pair([left, right])
    inside = np.concatenate([left, right]) - crop[:2]
    assert (np.abs(inside) < crop[2] / 2).all()
    assert abs(crop[4]) < 0.3
    sideways = [points[:, ::-1] for points in (left, right)]
    assert abs(abs(crop_of_pair(sideways)[4]) - math.pi / 2) < 0.3
    # Fingertips to fingertips: neither hand's direction is the crop's.
    opposite = left * [1.0, -1.0] + [0.0, 480.0]
    assert crop_of_pair([opposite, right])[4] == 0.0
    alone = crop_of_pair([right])
    assert alone[2] > 2.0 * np.ptp(right, axis=0).max()


def as_seen(left: tuple[float, float, float], right: tuple[float, float, float], known: tuple[bool, bool]) -> SeenPair:
    """Two resting hands as a crop of the whole picture's width sees them without error."""
    points, form = [], []
    for side, place in (("left", left), ("right", right)):
        metres, pixels = open_hand(side, place)
        points.append((pixels - CAMERA.K[:2, 2]) / 640.0 + 0.5)
        form.append((metres - metres[0]) / free_hand("right").palm_length)
    return SeenPair(
        points=np.array([points]),
        error=np.full((1, 2, 21), 0.005),
        form=np.array([form]),
        form_error=np.full((1, 2, 21), 0.05),
        known=np.array([known]),
        focal=np.array([FOCAL / 640.0]),
    )


def test_sizes_place_the_hands() -> None:
    left, right = (-0.07, 0.02, 0.55), (0.05, 0.0, 0.45)
    told = given(as_seen(left, right, (True, True)))
    assert told.points.shape == (1, 2, 21, POINT_FEATURES) and told.pair.shape == (1, PAIR_FEATURES)
    truth = (np.array(left) - right) / free_hand("right").palm_length
    np.testing.assert_allclose(told.pair[0, 1:4], truth, atol=1e-3)


def test_what_is_not_known_says_nothing() -> None:
    first, second = (as_seen(place, (0.05, 0.0, 0.5), (False, True)) for place in ((-0.1, 0.0, 0.5), (0.2, 0.1, 0.9)))
    for a, b in zip(vars(given(first)).values(), vars(given(second)).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    nobody = given(as_seen((0.0, 0.0, 0.5), (0.0, 0.0, 0.5), (False, False)))
    assert all(np.isfinite(values).all() for values in vars(nobody).values())


@pytest.fixture(scope="module")
def network() -> PairCropNet:
    return PairCropNet.load(Runtime.choose("cpu", 1))


@needs_network
@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_without_hands_is_no_pair(network: PairCropNet, value: int) -> None:
    picture = np.full((480, 640, 3), value, np.uint8)
    hands = [expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))]
    reading = network.look(picture, hands, CAMERA)
    assert reading is not None and np.isfinite(reading.vector).all() and (reading.sigma > 0).all()
    assert np.isfinite(reading.points).all() and not reading.both


@needs_network
def test_a_picture_on_its_side_says_the_same_on_its_side(network: PairCropNet) -> None:
    camera = Camera.from_fov(641, 641, 60.0)
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    picture = cv2.resize(noise, (641, 641), interpolation=cv2.INTER_CUBIC)
    # A quarter turn clockwise: x right, y down becomes -y, x.
    quarter = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    hands, turned = [], []
    for side, place in (("left", (-0.07, 0.05, 0.5)), ("right", (0.05, 0.03, 0.45))):
        hand = expected(side, place)
        about = hand.points - [319.5, 239.5]
        hands.append(replace(hand, points=about + 320.0))
        turned.append(replace(hand, points=about @ quarter[:2, :2].T + 320.0, form=hand.form @ quarter.T))
    straight = network.look(picture, hands, camera)
    sideways = network.look(np.ascontiguousarray(np.rot90(picture, -1)), turned, camera)
    assert straight is not None and sideways is not None
    np.testing.assert_allclose(sideways.vector, quarter @ straight.vector, atol=0.02)
    np.testing.assert_allclose(sideways.sigma, np.abs(quarter) @ straight.sigma, rtol=0.05)
    np.testing.assert_allclose(sideways.form, straight.form @ quarter.T, atol=0.02)
    np.testing.assert_allclose(sideways.points - 320.0, (straight.points - 320.0) @ quarter[:2, :2].T, atol=1.5)


def test_a_mirror_image_of_a_mirror_image_is_the_same() -> None:
    seen = as_seen((0.3, 0.4, 0.2), (0.7, 0.6, 0.3), (True, True))
    twice = mirrored(mirrored(seen))
    for name, values in vars(seen).items():
        np.testing.assert_allclose(getattr(twice, name), values)
    # What the hands look like in the mirror: the left one lies on the other side.
    np.testing.assert_allclose(mirrored(seen).points[:, 1, :, 0], 1.0 - seen.points[:, 0, :, 0])


@needs_network
def test_with_its_mirror_image_a_picture_and_that_one_say_the_same() -> None:
    network = PairCropNet.load(Runtime.choose("cpu", 1), mirror=True)
    random = np.random.default_rng(4)
    image = cv2.GaussianBlur(random.integers(0, 255, (240, 240, 3), np.uint8), (0, 0), 6)
    camera = Camera(
        K=np.array([[300.0, 0, 119.5], [0, 300, 119.5], [0, 0, 1]]), dist=np.zeros(5), width=240, height=240
    )
    hands = []
    for slot, x in enumerate((90.0, 140.0)):
        form = random.normal(0.0, 0.5, (21, 3))
        points = np.array([x, 120.0]) + 40.0 * form[:, :2]
        hands.append(Expected(points, np.full(21, 3.0), form - form[0], np.full(21, 0.1), float(slot)))
    flip = np.array([-1.0, 1.0, 1.0])
    flipped = [
        replace(hand, points=np.stack([239.0 - hand.points[:, 0], hand.points[:, 1]], -1), form=hand.form * flip)
        for hand in hands[::-1]
    ]
    taps_of = network._trunk
    # The crop's middle falls on pixel size / 2: with half a pixel more the mirror image is cut alike.
    crop = np.array([119.5 + 120 / HAND_INPUT, 119.5, 240.0, 240.0, 0.0])
    readings = []
    for shown, told in ((image, hands), (image[:, ::-1], flipped)):
        picture = cut(shown, crop, HAND_INPUT, replicate=True)[None]
        taps = taps_of(np.concatenate([picture, picture[:, :, ::-1]]))
        reading = network.read(taps, crop, told, camera)
        assert reading is not None
        readings.append(reading)
    one, other = readings
    np.testing.assert_allclose(239.0 - other.points[::-1, :, 0], one.points[..., 0], atol=0.05)
    np.testing.assert_allclose(other.points[::-1, :, 1], one.points[..., 1], atol=0.05)
    np.testing.assert_allclose(other.form[::-1] * flip, one.form, atol=1e-2)
    np.testing.assert_allclose(other.error[::-1], one.error, rtol=2e-2)
    # From the left wrist to the right one it is the other way round.
    np.testing.assert_allclose(other.vector * -flip, one.vector, atol=1e-2)
    np.testing.assert_allclose(other.present[::-1], one.present, atol=1e-3)
    np.testing.assert_allclose(other.contact.T, one.contact, atol=1e-3)
    assert other.left_nearer == pytest.approx(1.0 - one.left_nearer, abs=1e-3)


@needs_network
def test_broken_taps_say_nothing(network: PairCropNet) -> None:
    shapes = {"features_28": (1, 40, 28, 28), "features_14": (1, 112, 14, 14), "features_7": (1, 192, 7, 7)}
    taps = {name: np.full(shape, np.nan, np.float32) for name, shape in shapes.items()}
    hands = [expected("left", (-0.06, 0.05, 0.5)), None]
    assert network.read(taps, crop_of_pair([hands[0].points]), hands, CAMERA) is None


@needs_network
def test_a_crop_that_is_asked_about_again_goes_through_the_trunk_once(monkeypatch: pytest.MonkeyPatch) -> None:
    network = PairCropNet.load(Runtime.choose("cpu", 1), mirror=True)
    random = np.random.default_rng(0)
    one, other = random.integers(0, 255, (2, 480, 640, 3), np.uint8)
    hands = [expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))]
    fresh = [network.sides(one, hands, CAMERA), network.look(one, hands, CAMERA), network.look(other, hands, CAMERA)]
    passed: list[int] = []
    trunk = network._trunk
    monkeypatch.setattr(network, "_trunk", lambda picture: passed.append(len(picture)) or trunk(picture))
    network.forget()
    again = [network.sides(one, hands, CAMERA), network.look(one, hands, CAMERA)]
    assert passed == [2] and again[0] == fresh[0]
    # Another picture, another crop, or the next picture in the same place in memory are others.
    again.append(network.look(other, hands, CAMERA))
    assert len(passed) == 2
    for got, want in zip(again[1:], fresh[1:], strict=True):
        assert got is not None and want is not None
        np.testing.assert_array_equal(got.points, want.points)
    network.look(other, [hands[0], None], CAMERA)
    assert len(passed) == 3
    PairWatch(network).step(other, 0.0, hands, CAMERA)
    PairWatch(network).step(other, 0.0, hands, CAMERA)
    assert len(passed) == 5


@needs_network
def test_the_watch_looks_only_at_hands_that_are_near_or_were(network: PairCropNet) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    apart = [expected("left", (-0.25, 0.05, 0.6)), expected("right", (0.25, 0.05, 0.6))]
    near = [expected("left", (-0.06, 0.05, 0.6)), expected("right", (0.06, 0.05, 0.6))]
    looks = []
    watch = PairWatch(network)
    look, watch.network = watch.network.look, network
    network.look = lambda *given: looks.append(len(given[1])) or look(*given)  # type: ignore[method-assign]
    try:
        for _ in range(4):
            watch.step(picture, 0.0, apart, CAMERA)
        assert not looks
        watch.step(picture, 0.1, near, CAMERA)
        assert len(looks) == 1
        for _ in range(6):
            watch.step(picture, 0.2, near[:1], CAMERA)
        watch.step(picture, 0.3, [], CAMERA)
        # Nothing was read of the black picture, and a hand whose partner nobody saw has none.
        assert len(looks) == 1
        sparing = PairWatch(network, lost_only=True)
        sparing.step(picture, 0.0, near, CAMERA)
        assert len(looks) == 1
        sparing.step(picture, 0.1, near[1:], CAMERA)
        assert len(looks) == 2
    finally:
        network.look = look  # type: ignore[method-assign]


def a_pair(left: Expected, right: Expected, *, error: float, together: float = 1.0) -> PairReading:
    """A reading of both hands; `error`: of the left one's points, in shares of its box."""
    box = float(np.ptp(left.points, axis=0).max())
    return PairReading(
        crop=crop_of_pair([left.points, right.points]),
        points=np.stack([left.points, right.points]),
        error=np.stack([np.full(21, error * box), right.error]),
        form=np.stack([left.form, right.form]),
        form_error=np.full((2, 21), 0.1),
        vector=np.array([0.5, 0.0, 0.0]),
        sigma=np.full(3, 0.1),
        contact=np.zeros((6, 6)),
        present=np.ones(2),
        together=together,
        left_nearer=0.5,
        visible=np.ones((2, 21)),
    )


@needs_network
def test_a_hand_that_is_only_read_does_not_live_on(network: PairCropNet) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    watch = PairWatch(network)
    watch.last, watch.time = (left, right), 0.0
    reading = a_pair(left, right, error=0.1)
    look = network.look
    network.look = lambda *_: reading  # type: ignore[method-assign]
    try:
        times = np.arange(1, 60) / 30.0
        alive = [watch.step(picture, time, [right], CAMERA) is not None for time in times]
    finally:
        network.look = look  # type: ignore[method-assign]
    assert alive[0] and times[sum(alive)] < 0.7 and not any(alive[sum(alive) :])


@needs_network
@pytest.mark.parametrize(
    ("together", "looks", "often"), [(1.0, 4, 6), (0.3, 4, 6), (0.07, 1, 6), (0.02, 1, 6), (0.005, 1, 2), (0.0, 1, 2)]
)
def test_what_is_said_of_the_partner_of_a_single_hand_is_kept_however_sure(
    network: PairCropNet, monkeypatch: pytest.MonkeyPatch, together: float, looks: int, often: int
) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    asked: list[list[bool]] = []
    box = float(np.ptp(left.points, axis=0).max())

    def look(image: np.ndarray, known: list[Expected | None], camera: object) -> PairReading:
        asked.append([one is not None for one in known])
        if known[0] is not None:
            # Told of a partner, the network believes in it, the more the nearer it is told.
            return a_pair(left, right, error=known[0].error.mean() / box / 2.0, together=1.0)
        return a_pair(left, right, error=0.1, together=together)

    monkeypatch.setattr(network, "look", look)
    watch = PairWatch(network, partners=True)
    readings = [watch.step(picture, frame / 30.0, [right], CAMERA) for frame in range(6)]
    # A likely one is looked at closely in every picture; where surely none is, it is not asked for again at once.
    assert asked == [[False, True], *[[True, True]] * 3][:looks] * often
    read = [one for one in readings if one is not None]
    assert len(read) == often and all(one.partner == pytest.approx(together, abs=1e-3) for one in read)
    assert all(one.partner > 0.0 for one in read)
    # Each look is told where the last one read the partner.
    halved = 0.1 * 0.5 ** (looks - 1)
    assert all(one.error[0].mean() == pytest.approx(halved * box) for one in read)
    assert watch.last is None
    asked.clear()
    assert PairWatch(network).step(picture, 0.0, [right], CAMERA) is None and not asked


@needs_network
def test_a_close_look_that_sees_no_partner_does_not_replace_the_first_one(
    network: PairCropNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    for closer in (a_pair(left, right, error=0.05, together=0.2), None):
        answers = iter([a_pair(left, right, error=0.1, together=0.6), closer])
        monkeypatch.setattr(network, "look", lambda *_, answers=answers: next(answers))
        read = PairWatch(network, partners=True).step(np.zeros((480, 640, 3), np.uint8), 0.0, [right], CAMERA)
        assert read is not None and read.partner == 0.6
        assert read.error[0].mean() == pytest.approx(0.1 * float(np.ptp(left.points, axis=0).max()))


@needs_network
def test_a_partner_is_asked_for_beside_the_surest_of_hands_of_one_side(
    network: PairCropNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    far = expected("right", (-0.35, 0.05, 0.5))
    beside: list[Expected | None] = []

    def look(image: np.ndarray, known: list[Expected | None], camera: object) -> PairReading:
        beside.append(known[1])
        return a_pair(left, right, error=0.1)

    monkeypatch.setattr(network, "look", look)
    watch = PairWatch(network, partners=True)
    doubtful = replace(far, error=far.error * 3.0)
    assert watch.step(picture, 0.0, [doubtful, right], CAMERA) is not None
    assert beside and beside[0] is right
    beside.clear()
    # A left one is there already: nobody is missing.
    assert watch.step(picture, 0.1, [replace(far, right=0.0), right], CAMERA) is None
    assert not beside


def test_only_a_hand_near_enough_to_be_hidden_may_be_there_unseen() -> None:
    right = expected("right", (0.0, 0.05, 0.5))
    for beside, chance in ((0.03, 0.9), (0.08, 0.9), (0.3, 0.0)):
        reading = a_pair(expected("left", (-beside, 0.05, 0.5)), right, error=0.1, together=0.9)
        assert reading.chance_of(0) == chance, reading.apart
    assert replace(reading, points=np.stack([right.points] * 2), present=np.array([0.2, 1.0])).chance_of(0) == 0.2


@needs_network
def test_a_memory_of_the_other_hand_is_given_up(network: PairCropNet) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    asked: list[list[bool]] = []

    def look(image: np.ndarray, known: list[Expected | None], camera: object) -> PairReading:
        asked.append([one is not None for one in known])
        # From the memory both hands are read in one place; asked anew there are two.
        return a_pair(right, right, error=0.1) if len(asked) == 1 else a_pair(left, right, error=0.1)

    original = network.look
    network.look = look  # type: ignore[method-assign]
    try:
        watch = PairWatch(network, partners=True)
        watch.last, watch.time = (right, right), 0.0
        reading = watch.step(picture, 1 / 30.0, [right], CAMERA)
        assert asked == [[True, True], [False, True], *[[True, True]] * 3]
        assert reading is not None and reading.partner == 1.0 and not reading.is_one_hand and watch.last is None
    finally:
        network.look = original  # type: ignore[method-assign]


@needs_network
def test_a_watch_goes_on_where_it_stopped(network: PairCropNet) -> None:
    watch = PairWatch(network)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    watch.last, watch.time, watch.again = (left, right), 1.5, 1.7
    other = PairWatch(network)
    other.restore(watch.state())
    assert other.last is not None and (other.time, other.again) == (1.5, 1.7)
    for one, two in zip(watch.last, other.last, strict=True):
        for key, value in vars(one).items():
            np.testing.assert_array_equal(value, getattr(two, key))
    other.restore(PairWatch(network).state())
    assert other.last is None


@needs_network
@pytest.mark.parametrize(
    ("confidence", "alone", "together", "anew"),
    [(0.3, 0.1, 1.0, True), (0.3, 0.3, 1.0, False), (0.3, 0.1, 0.4, False), (0.9, 0.1, 1.0, False)],
)
def test_a_hand_that_misleads_is_read_without_what_was_seen_of_it(
    network: PairCropNet,
    monkeypatch: pytest.MonkeyPatch,
    confidence: float,
    alone: float,
    together: float,
    *,
    anew: bool,
) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    misled = replace(left, points=left.points + 40.0, confidence=confidence)
    sure = replace(right, confidence=0.9, error=np.full(21, 0.01))
    asked: list[list[bool]] = []

    def look(image: np.ndarray, known: list[Expected | None], camera: object) -> PairReading:
        asked.append([one is not None for one in known])
        if known[0] is misled:
            return a_pair(misled, sure, error=0.2)
        return a_pair(left, sure, error=alone, together=together)

    monkeypatch.setattr(network, "look", look)
    watch = PairWatch(network, partners=True)
    read = watch.step(picture, 0.0, [misled, sure], CAMERA)
    assert read is not None and read.partner == 0.0 and read.anew == (anew, False)
    np.testing.assert_array_equal(read.points[0], (left if anew else misled).points)
    # A hand that is seen well does not mislead; one that is doubted beside the other is not looked at closely.
    closely = [[True, True]] * (3 if together > 0.5 else 0)
    assert asked == [[True, True], *([] if confidence > 0.5 else [[False, True], *closely])]
    # The next picture is looked at where this one was read.
    assert watch.last is not None
    np.testing.assert_allclose(watch.last[0].points, read.expected(network.calibration)[0].points)
    asked.clear()
    PairWatch(network).step(picture, 0.0, [misled, sure], CAMERA)
    assert asked == [[True, True]]


@needs_network
def test_what_is_only_remembered_is_read_anew_and_nothing_beside_it(
    network: PairCropNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    left, right = expected("left", (-0.06, 0.05, 0.5)), expected("right", (0.06, 0.05, 0.5))
    right = replace(right, error=np.full(21, 0.01))
    asked: list[list[bool]] = []

    def look(image: np.ndarray, known: list[Expected | None], camera: object) -> PairReading:
        asked.append([one is not None for one in known])
        return a_pair(left, right, error=0.1 if len(asked) > 1 else 0.2)

    monkeypatch.setattr(network, "look", look)
    watch = PairWatch(network, partners=True)
    for hands, looks, anew in (([replace(right, confidence=0.9)], 5, (True, False)), ([], 1, (False, False))):
        watch.last, watch.time = (left, right), 0.0
        asked.clear()
        read = watch.step(picture, 0.1, hands, CAMERA)
        assert read is not None and read.anew == anew and len(asked) == looks
