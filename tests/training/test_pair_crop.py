# SPDX-License-Identifier: GPL-3.0-or-later
"""Both hands from one crop: labels are the drawn truth, trackers know what is said, the file equals torch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.see.pair_calibration import CALIBRATION_KEY, Calibration
from blender_handmocap.engine.see.pair_given import PAIR_FEATURES, POINT_FEATURES, given
from training.detnet.trunk import TAPS
from training.footage import mesh_gap
from training.footage.crops import crop_matrix
from training.footage.situations import Sampler
from training.footage.two_hands import PATTERN_FILE, load
from training.pair import files
from training.pair.followed import Following, followed, placed_from
from training.pair.heads import CROP, LEFT, RIGHT, PairCropNet, PairHeads
from training.pair.learn import as_given, told_again
from training.pair.losses import Targets, Weights, loss, targets
from training.pair.pictures import Situations, Truth, drawn_crops, strayed

ROWS = 24


def made_labels(seed: int = 0, rows: int = ROWS) -> dict[str, np.ndarray]:
    """Two flat hands before a camera with a focal length of two crops, in random places."""
    random = np.random.default_rng(seed)
    form = random.normal(size=(rows, 2, 21, 3)) * 0.05
    place = random.normal(size=(rows, 2, 1, 3)) * [0.06, 0.06, 0.03] + [0.0, 0.0, 0.6]
    points = form - form[:, :, :1] + place
    places = points[..., :2] / points[..., 2:] * 2.0 * CROP + CROP / 2 - 0.5
    gap = np.full((rows, 6, 6), mesh_gap.FAR, np.float32)
    gap[::2, 1, 2] = 0.0
    present = np.ones((rows, 2), np.uint8)
    present[3::4, LEFT] = 0
    strangers = np.zeros(rows, np.uint8)
    strangers[5] = 1
    return {
        "present": present,
        "pair": present.all(1).astype(np.uint8),
        "strangers": strangers,
        "points2d": (places * present[..., None, None]).astype(np.float32),
        "points3d": (points * present[..., None, None]).astype(np.float32),
        "visible": random.integers(0, 2, (rows, 2, 21)).astype(np.uint8),
        "palm": np.full(rows, 0.09, np.float32),
        "gap": gap,
    }


@pytest.fixture(scope="module")
def truth() -> Targets:
    return targets(made_labels())


def only(**shares: float) -> Following:
    """Hands that are followed well, but for the given."""
    return Following(**{**dict.fromkeys(vars(Following()), 0.0), **shares})


def features(seed: int, rows: int = ROWS) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, *files.SHAPES[name], generator=random) for name in files.INPUTS[:3]]


def test_targets_are_in_palm_lengths_from_the_wrists(truth: Targets) -> None:
    labels = made_labels()
    wrists = labels["points3d"][:, :, 0] / 0.09
    both = labels["present"].all(1)
    np.testing.assert_allclose(truth.vector[both], (wrists[:, LEFT] - wrists[:, RIGHT])[both], atol=1e-5)
    np.testing.assert_allclose(truth.location[:, :, 0], 0.0)
    # Depth in one frame: the wrists lie half of the way before and behind its middle.
    np.testing.assert_allclose(truth.depth[both][:, LEFT, 0] * 2, truth.vector[both][:, 2], atol=1e-5)
    np.testing.assert_allclose(truth.focal, 2.0, atol=1e-3)
    assert truth.pair[3] == 0 and truth.pair[5] == 0 and not truth.known[5].any()
    assert truth.contact[0, 1, 2] == 1 and truth.contact.sum() == ((truth.contact[:, 1, 2]) > 0).sum()


def test_a_hand_followed_well_is_where_it_is_and_a_lost_one_says_nothing(truth: Targets) -> None:
    random = np.random.default_rng(0)
    good, _ = followed(truth, np.eye(21), random, only())
    there = truth.known.numpy() > 0
    np.testing.assert_array_equal(good.known, there)
    off = np.linalg.norm(good.points - truth.position.numpy(), axis=-1)[there]
    box = np.ptp(truth.position.numpy(), axis=2).max(-1)[there]
    assert np.median(off.mean(-1) / box) < 0.08
    # The stated errors are right within a factor of two.
    assert 0.5 < (off / good.error[there]).mean() < 2.0
    form_off = np.linalg.norm(good.form - truth.location.numpy(), axis=-1)[there]
    assert 0.3 < (form_off / good.form_error[there]).mean() < 3.0
    lost, told = followed(truth, np.eye(21), random, only(lost=1.0))
    known = lost.known.any(1)
    # From one hand at least the crop was placed.
    np.testing.assert_array_equal(known, placed_from(truth.position.numpy(), there).any(1) & there.all(1))
    assert known.any() and not told.told[torch.from_numpy(~known)].any()
    swapped, told = followed(truth, np.eye(21), random, only(other=1.0))
    pair = there.all(1)
    to_other = np.linalg.norm(swapped.points - truth.position.numpy()[:, ::-1], axis=-1)[pair].mean(-1)
    assert np.median(to_other / np.ptp(truth.position.numpy(), axis=2).max(-1)[pair]) < 0.08
    # Whether such a hand is on its own side nobody can say.
    assert not told.told[torch.from_numpy(pair)].any()


def test_exchanged_hands_lie_where_the_other_one_is_said_to_be(truth: Targets) -> None:
    (plain, true), (exchanged, told) = (
        followed(truth, np.eye(21), np.random.default_rng(2), only(exchanged=share)) for share in (0, 1)
    )
    which = told.as_told.numpy() == 0
    assert (true.as_told == 1).all() and which.sum() >= 3
    # Some hand must be known for its side to be wrong, and the hands must not be of one side.
    np.testing.assert_array_equal(which, plain.known.any(1) & (truth.strangers.numpy() == 0))
    np.testing.assert_array_equal(told.told, which)
    for name in ("points", "error", "known", "form_error"):
        np.testing.assert_array_equal(getattr(exchanged, name)[which], getattr(plain, name)[which][:, ::-1])
        np.testing.assert_array_equal(getattr(exchanged, name)[~which], getattr(plain, name)[~which])
    # A left hand that looks as the right one does: what lay before the wrist lies behind it.
    np.testing.assert_array_equal(exchanged.form[which], plain.form[which][:, ::-1] * [1.0, 1.0, -1.0])
    np.testing.assert_array_equal(exchanged.focal, plain.focal)


def test_the_truth_is_told_in_the_order_in_which_the_hands_are_taken(truth: Targets) -> None:
    seen, told = followed(truth, np.eye(21), np.random.default_rng(2), only(exchanged=1.0))
    which = told.as_told == 0
    there = which[:, None] & (told.known > 0)
    off = np.linalg.norm(seen.points - told.position.numpy(), axis=-1).mean(-1)[there.numpy()]
    assert np.median(off / np.ptp(told.position.numpy(), axis=2).max(-1)[there.numpy()]) < 0.08
    for name in ("position", "location", "depth", "visible", "present", "known", "inside"):
        torch.testing.assert_close(getattr(told, name)[which], getattr(truth, name)[which].flip(1))
        torch.testing.assert_close(getattr(told, name)[~which], getattr(truth, name)[~which])
    for name in ("vector", "nearer"):
        torch.testing.assert_close(getattr(told, name)[which], -getattr(truth, name)[which])
    for name in ("contact", "contact_known"):
        torch.testing.assert_close(getattr(told, name)[which], getattr(truth, name)[which].transpose(1, 2))
    np.testing.assert_array_equal(told.focal, truth.focal)


def test_made_up_hands_are_only_where_there_is_none(truth: Targets) -> None:
    seen, _ = followed(truth, np.eye(21), np.random.default_rng(1), only(made_up=1.0, wherever=1.0))
    assert (seen.known & ~(truth.known.numpy() > 0)).any()
    assert all(np.isfinite(values).all() for values in vars(given(seen)).values())


def crops_of(hands: int, situations: Situations, rows: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """(N, 2, 21, 2) shares of crops that strayed from the hands they were placed from; (N, 2) which are there."""
    random = np.random.default_rng(3)
    places, there = np.zeros((rows, 2, 21, 2)), np.zeros((rows, 2), bool)
    for row in range(rows):
        shown = [random.normal(size=(21, 2)) * 18.0 + random.uniform(80, 160, 2) for _ in range(hands)]
        to_crop = crop_matrix(strayed([one.copy() for one in shown], situations, random), CROP)
        for slot, points in enumerate(shown):
            places[row, slot] = (points @ to_crop[:, :2].T + to_crop[:, 2]) / CROP
        there[row, :hands] = True
    return places, there


def test_the_crop_tells_from_which_hands_it_was_placed() -> None:
    for hands, situations, low, high in (
        (2, Situations(one_known=1.0), 0.9, 1.0),
        (2, Situations(one_known=0.0), 0.0, 0.25),
        (1, Situations(phantom=0.0), 0.75, 1.0),
        (1, Situations(phantom=1.0), 0.0, 0.3),
    ):
        alone = placed_from(*crops_of(hands, situations))
        assert (alone.sum(1) <= 1).all()
        assert low <= alone.any(1).mean() <= high, (hands, situations)


def test_of_the_other_hand_of_a_crop_placed_from_one_nothing_is_known(truth: Targets) -> None:
    there = truth.known.numpy() > 0
    placed = placed_from(truth.position.numpy(), there)
    seen, _ = followed(truth, np.eye(21), np.random.default_rng(1), only(alone=1.0, lost=1.0))
    pair = placed.any(1) & there.all(1)
    assert pair.sum() >= 3
    np.testing.assert_array_equal(seen.known[pair], placed[pair])


def test_a_second_hand_is_believed_in_where_the_crop_would_have_been_placed_from_it() -> None:
    places, there = crops_of(1, Situations(phantom=1.0))
    # Every other one is a right hand.
    places[1::2], there[1::2] = places[1::2, ::-1], there[1::2, ::-1]
    labels = {**made_labels(rows=len(places)), "present": there.astype(np.uint8)}
    truth = targets({**labels, "points2d": (places * CROP).astype(np.float32)})
    off = ~placed_from(truth.position.numpy(), there).any(1)
    seen, _ = followed(truth, np.eye(21), np.random.default_rng(1), only(made_up=1.0))
    believed = seen.known.all(1)
    # Its form is that of a hand of another crop: half of them have one of that side.
    assert 0.35 < believed[off].mean() < 0.65 and not believed[~off].any()
    both = seen.points[believed].reshape(believed.sum(), 42, 2)
    middle = (both.min(1) + both.max(1)) / 2
    hand = places[believed][there[believed]]
    assert np.linalg.norm(middle - 0.5, axis=1).mean() < 0.6 * np.linalg.norm(hand.mean(1) - 0.5, axis=1).mean()


def test_the_loss_falls_and_each_term_can_be_switched_off(truth: Targets) -> None:
    torch.manual_seed(0)
    heads = PairHeads(32, 1)
    seen, truth = followed(truth, np.eye(21), np.random.default_rng(0), Following())
    known = given(seen)
    told = [torch.from_numpy(values) for values in vars(known).values()]
    optimiser = torch.optim.Adam(heads.parameters(), lr=3e-3)
    course = []
    for _ in range(30):
        total, terms = loss(heads(*features(0), *told), truth, Weights())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        course.append(float(total.detach()))
    assert course[-1] < 0.7 * course[0]
    for name in terms:
        without, _ = loss(heads(*features(0), *told), truth, Weights(**{name: 0.0}))
        whole, now = loss(heads(*features(0), *told), truth, Weights())
        assert float((whole - without).detach()) == pytest.approx(
            getattr(Weights(), name) * now[name], rel=1e-3, abs=1e-4
        )


def test_only_a_hand_that_nobody_saw_is_looked_for_where_it_is_guessed(truth: Targets) -> None:
    torch.manual_seed(3)
    heads = PairHeads(32, 1).eval()
    with torch.no_grad():
        heads.told.weight.zero_()
        heads.told.bias.zero_()
    taps = dict(zip(TAPS, features(0), strict=True))
    following = only(lost=0.4)
    first = as_given(followed(truth, np.eye(21), np.random.default_rng(0), following)[0])
    known = first[2][:, 6:8] > 0
    assert 5 < (~known).sum() < known.numel()
    with torch.no_grad():
        out = heads(*taps.values(), *first)
    torch.testing.assert_close(out["position"][known], first[0][known])
    torch.testing.assert_close(out["position"][~known], out["guess"][~known])
    assert (out["guess_logits"].softmax(-1).sum(-1) - 1.0).abs().max() < 1e-5


def test_a_second_look_starts_from_the_first_answer_where_that_is_a_pair(truth: Targets) -> None:
    torch.manual_seed(2)
    heads = PairHeads(32, 1)
    taps = dict(zip(TAPS, features(0), strict=True))
    first = as_given(followed(truth, np.eye(21), np.random.default_rng(0), Following())[0])
    # A network that knows nothing, so shifted that every other crop is said to show a pair.
    said = heads(*taps.values(), *first)
    lowest = torch.cat([said["present"], said["pair"][:, None]], 1).amin(1)
    with torch.no_grad():
        heads.states.bias -= lowest.median()
    out = heads(*taps.values(), *first)
    both = (torch.cat([out["present"], out["pair"][:, None]], 1) > 0).all(1)
    assert 0 < both.sum() < len(both)
    with torch.no_grad():
        again = told_again(heads(*taps.values(), *first), first, truth, np.eye(21))
    for one, other in zip(again, first, strict=True):
        torch.testing.assert_close(one[~both], other[~both])
    torch.testing.assert_close(again[0][both], out["position"][both].detach())
    assert (again[2][both, 6:9] == 1).all()
    assert not again[1].requires_grad


def test_the_file_says_what_torch_says(tmp_path: Path, truth: Targets) -> None:
    torch.manual_seed(1)
    network = PairCropNet(PairHeads(32, 1)).eval()
    path = tmp_path / "pair_crop.onnx"
    constants = Calibration.plain()
    files.write_heads(network, path, constants)
    seen, truth = followed(truth, np.eye(21), np.random.default_rng(0), Following())
    known = given(seen)
    told = list(vars(known).values())
    taps = features(2)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for rows in (1, 5):
        values = [*(tap[:rows].numpy() for tap in taps), *(value[:rows] for value in told)]
        out = session.run(list(files.OUTPUTS), dict(zip(files.INPUTS, values, strict=True)))
        with torch.no_grad():
            expected = network(*(torch.from_numpy(value) for value in values))
        for name, got, want in zip(files.OUTPUTS, out, expected, strict=True):
            np.testing.assert_allclose(got, want.numpy(), atol=2e-3, rtol=1e-3, err_msg=name)
    metadata = {entry.key: entry.value for entry in onnx.load(str(path)).metadata_props}
    np.testing.assert_allclose(Calibration.from_text(metadata[CALIBRATION_KEY]).confidence, constants.confidence)
    assert told[1].shape[-1] == POINT_FEATURES and told[2].shape[-1] == PAIR_FEATURES


@pytest.mark.skipif(not PATTERN_FILE.exists(), reason="the contact patterns are not there")
def test_labels_lie_on_the_hands_that_are_drawn() -> None:
    sampler = Sampler(
        np.random.default_rng(0), mixture=Situations().mixture, patterns=load().chosen(test=False), pool=20
    )
    checked = 0
    for seed in range(4):
        made = drawn_crops(sampler, Situations(), np.random.SeedSequence(seed), 2, test=False)
        for shown, truth in made or []:
            assert shown.shape == (CROP, CROP, 3)
            back = truth.mirrored().mirrored()
            np.testing.assert_allclose(back.points2d, truth.points2d)
            np.testing.assert_array_equal(back.sides, truth.sides)
            for slot in np.flatnonzero(truth.present) if not truth.strangers else []:
                places = truth.points2d[slot][truth.visible[slot] > 0]
                cells = np.clip(places // 4, 0, 55).astype(int)
                side = truth.sides[cells[:, 1], cells[:, 0]]
                # Seen points lie on their own hand, or within a cell of its outline.
                assert (side == slot + 1).mean() > 0.6 or len(places) < 4
                checked += len(places)
            _check_maps(truth)
    assert checked > 20 and len(SIDES) == 2


def _check_maps(truth: Truth) -> None:
    """Each cell's depth and point of the surface are those of the hand it shows."""
    skin = free_hand("right").template
    for slot in np.flatnonzero(truth.present) if not truth.strangers else []:
        mine = truth.sides == slot + 1
        if mine.sum() < 20:
            continue
        deep = truth.points3d[slot, :, 2]
        assert (truth.depth[mine] > deep.min() - 0.03).all()
        # The forearm, too, is of the hand.
        assert np.median(truth.depth[mine]) < deep.max() + 0.03
        apart = np.linalg.norm(truth.surface[mine][::7, None] - skin, axis=-1).min(1)
        assert np.median(apart) < 0.006
    assert not truth.depth[truth.sides == 0].any() and not truth.surface[truth.sides == 0].any()


def test_a_mirrored_truth_changes_sides() -> None:
    labels = made_labels()
    one = Truth(
        present=np.array([1, 0], np.uint8), pair=False, strangers=False, points2d=labels["points2d"][0].astype(float),
        points3d=labels["points3d"][0].astype(float), visible=labels["visible"][0], palm=0.09,
        gap=labels["gap"][0].astype(float), sides=np.eye(56, dtype=np.uint8),
        surface=np.arange(56 * 56 * 3, dtype=float).reshape(56, 56, 3), depth=np.eye(56) * 0.5,
    )  # fmt: skip
    mirror = one.mirrored()
    assert mirror.present.tolist() == [0, 1]
    np.testing.assert_allclose(mirror.points2d[RIGHT, :, 0], CROP - 1 - one.points2d[LEFT, :, 0])
    np.testing.assert_allclose(mirror.points3d[RIGHT] * [-1, 1, 1], one.points3d[LEFT])
    assert mirror.gap[2, 1] == one.gap[1, 2] and mirror.sides[0, -1] == 2
    # The surface is the right hand's for both, so that only its place in the picture changes.
    np.testing.assert_array_equal(mirror.surface[3, 55], one.surface[3, 0])
    assert mirror.depth[0, -1] == 0.5
