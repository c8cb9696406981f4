# SPDX-License-Identifier: GPL-3.0-or-later
"""What two hands have to do with each other: each term by hand, by finite differences, and in a solved clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine.fit import contacts
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.kinematics import Chain, HandState
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.terms import contact, pairs, relative_root
from blender_handmocap.engine.fit.terms.collision import SphereSet
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import CONTACT_PARTS, JOINT_NAMES, SIDES
from blender_handmocap.engine.hand.spheres import fitted_spheres
from blender_handmocap.engine.take import PairTrack, Take
from tests.engine.fit_scenes import SIZE, scene

FORWARD = np.array([[0.0], [0.0], [0.5]])


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(free_hand("right").rest(None, SIZE), free_hinges("right"))


@pytest.fixture(scope="module")
def spheres(chain: Chain) -> SphereSet:
    return SphereSet.on_chain(fitted_spheres(free_hand("right"), chain.rest), chain)


def flat(place: tuple[float, float, float], count: int = 1) -> HandState:
    """A flat hand, back of the hand up in camera axes, fingers along -x; as a left one it is the mirror image."""
    turn = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]])
    return HandState(
        np.repeat(turn[..., None], count, -1),
        np.repeat(np.array(place)[:, None], count, 1),
        np.zeros((22, count)),
        np.repeat(np.eye(3)[..., None], count, -1),
    )


def wanted(right: str, left: str, weight: float = 1.0, pair: int = 0) -> contact.Wanted:
    bones = [np.array([JOINT_NAMES.index(name)]) for name in (right, left)]
    return contact.Wanted(np.array([pair]), bones[0], bones[1], np.array([weight]))


def held(chain: Chain, spheres: SphereSet, right: HandState, left: HandState, what: contact.Wanted) -> pairs.PairRows:
    return contact.evaluate(
        spheres,
        chain,
        chain.pose(right),
        right.translation,
        chain.pose(left),
        left.translation,
        what,
        sigma=0.003,
        robust=5.0,
    )


def test_a_contact_costs_the_distance_of_the_surfaces(chain: Chain, spheres: SphereSet) -> None:
    # The same hand and its mirror image, fingertip towards fingertip: the tips' spheres lie on one line.
    right = flat((0.10 + SIZE, 0.0, 0.5))
    left = flat((0.10 + SIZE, 0.0, 0.5))
    tip = spheres.bone == JOINT_NAMES.index("middle3")
    centres = spheres.centres(chain.pose(right))[:, tip, 0] + right.translation
    gap = (2.0 * centres[0] - 2.0 * spheres.radius[tip]).min()
    found = held(chain, spheres, right, left, wanted("middle3", "middle3", 0.5))
    squared = (gap / 0.003) ** 2
    assert found.cost[0] == pytest.approx(0.5 * squared / (1.0 + squared / 25.0), rel=1e-6)


def test_contact_has_the_derivatives_it_claims(chain: Chain, spheres: SphereSet) -> None:
    rng = np.random.default_rng(1)
    right, left = flat((0.16, 0.0, 0.5)), flat((0.15, 0.01, 0.52))
    right, left = (hand.moved(0.2 * rng.normal(size=(31, 1))) for hand in (right, left))
    right.translation[:], left.translation[:] = [[0.16], [0.0], [0.5]], [[0.15], [0.01], [0.52]]
    what = wanted("index3", "thumb3", 0.7)
    found = held(chain, spheres, right, left, what)
    step = 1e-6
    for unknown in range(28):
        delta = np.zeros((31, 1))
        delta[unknown] = step
        slopes = [
            (
                held(chain, spheres, right.moved(s * delta), left, what).cost[0],
                held(chain, spheres, right, left.moved(s * delta), what).cost[0],
            )
            for s in (1.0, -1.0)
        ]
        numeric = (np.array(slopes[0]) - np.array(slopes[1])) / (4.0 * step)
        assert found.residual @ found.right[:, unknown] == pytest.approx(numeric[0], rel=1e-4, abs=1e-3)
        assert found.residual @ found.left[:, unknown] == pytest.approx(numeric[1], rel=1e-4, abs=1e-3)


def test_the_seen_vector_costs_its_error_in_sigmas_and_pulls_both_wrists() -> None:
    right, left = np.array([[0.1], [0.0], [0.5]]), np.array([[0.1], [0.0], [0.5]])
    # The left hand is at x = -0.1: the true vector is (-0.2, 0, 0), the seen one is 1 cm further.
    seen = relative_root.SeenVector(np.array([[-0.2], [0.0], [0.01]]), np.array([[0.005], [0.005], [0.01]]))
    found = relative_root.evaluate(right, left, seen, 28, robust=3.0)
    assert found.cost[0] == pytest.approx(1.0 / (1.0 + 1.0 / 9.0))
    step = 1e-6
    for axis in range(3):
        for hand, rows in ((0, found.right), (1, found.left)):
            costs = []
            for s in (1.0, -1.0):
                places = [right.copy(), left.copy()]
                places[hand][axis] += s * step
                costs.append(relative_root.evaluate(*places, seen, 28, robust=3.0).cost[0])
            slope = found.residual @ rows[:, 3 + axis]
            assert slope == pytest.approx((costs[0] - costs[1]) / (4.0 * step), rel=1e-4, abs=1e-4)


def test_pairs_that_were_not_looked_at_have_no_vector() -> None:
    seen = relative_root.SeenVector(np.zeros((3, 2)), np.array([[np.inf, 0.01]] * 3))
    found = relative_root.evaluate(np.ones((3, 2)), np.ones((3, 2)), seen, 28, robust=3.0)
    assert found.cost[0] == 0.0 and found.cost[1] > 0.0
    assert set(found.pair) == {1}


def test_rows_are_sorted_by_pair_and_walked_pair_by_pair() -> None:
    def rows(*pair: int) -> pairs.PairRows:
        count = len(pair)
        return pairs.PairRows(
            np.ones(4), np.array(pair), np.arange(count) + 1.0, np.ones((count, 2)), np.ones((count, 2))
        )

    both = pairs.joined([rows(3, 0, 3), rows(1), pairs.nothing(4, 2)])
    np.testing.assert_array_equal(both.cost, [2.0, 2.0, 2.0, 2.0])
    assert [(pair, list(both.residual[where])) for pair, where in pairs.by_pair(both)] == [
        (0, [2.0]),
        (1, [1.0]),
        (3, [1.0, 3.0]),
    ]
    assert list(pairs.by_pair(pairs.joined([pairs.nothing(4, 2)]))) == []
    among = pairs.scattered(rows(0, 2), np.array([5, 6, 7, 9]), 10)
    np.testing.assert_array_equal(among.pair, [5, 7])
    assert among.cost.sum() == 4.0 and among.cost[8] == 0.0


def test_hands_one_behind_the_other_are_slid_until_they_meet(chain: Chain, spheres: SphereSet) -> None:
    settings = FitSettings(contact_slide=0.02)

    def likely(depth: float) -> np.ndarray:
        # Both seen edge-on, eight centimetres deep, one `depth` behind the other.
        right, left = flat((0.03, 0.0, 0.5)), flat((-0.03, 0.0, 0.5 + depth))
        return contacts.proposed(spheres, chain, right, left, settings)[0]

    assert likely(0.03).max() > likely(0.10).max() > likely(0.12).max() > 0.0
    assert likely(0.3).max() < 1e-6
    away = contacts.proposed(spheres, chain, flat((0.4, 0.0, 0.5)), flat((0.4, 0.0, 0.5)), settings)
    assert away.max() == 0.0


def test_what_a_network_says_of_a_part_counts_alone(chain: Chain) -> None:
    likely = np.full((2, 16, 16), 0.5)
    said = np.zeros((2, 6, 6))
    left_thumb, right_palm = CONTACT_PARTS.index("thumb_tip"), CONTACT_PARTS.index("palm")
    said[:, left_thumb, right_palm] = 0.8
    # Nothing is said of the second pair.
    said[1] = np.nan
    out = contacts.with_seen(likely, said)
    thumb = JOINT_NAMES.index("thumb3")
    assert out[0, 0, thumb] == 0.8 and out[0, thumb, 0] == 0.0
    # A bone that is no part keeps its proposal as far as the hands touch at all.
    assert out[0, 1, 1] == pytest.approx(0.4)
    np.testing.assert_array_equal(out[1], likely[1])


def test_contacts_fade_in_and_out() -> None:
    likely = np.zeros((30, 16, 16))
    likely[10:20, 3, 3] = 1.0
    weight = contacts.eased(likely, np.arange(30) / 30.0, FitSettings(contact_ease=0.1))[:, 3, 3]
    assert weight[15] == pytest.approx(1.0) and weight[5] == 0.0
    assert 0.0 < weight[9] < weight[10] < weight[11] < 1.0
    assert np.abs(np.diff(weight)).max() < 0.5


def test_records_name_the_parts_and_how_likely_they_touch() -> None:
    gap = np.full((1, 16, 16), 0.05)
    thumb, pinky = JOINT_NAMES.index("thumb3"), JOINT_NAMES.index("pinky3")
    gap[0, thumb, pinky], gap[0, 0, thumb], gap[0, 1, 1] = -0.002, 0.003, -0.002
    settings = FitSettings(contact_gap=0.003)
    found = contacts.records(gap, np.array([7]), settings)
    named = {(CONTACT_PARTS[r["left_part"]], CONTACT_PARTS[r["right_part"]]): r["probability"] for r in found}
    # Rows of the gaps are the right hand's bones; index1 is no part.
    assert set(named) == {("pinky_tip", "thumb_tip"), ("thumb_tip", "palm")}
    assert named["pinky_tip", "thumb_tip"] > 0.95 and named["thumb_tip", "palm"] == pytest.approx(0.5)
    assert (found["frame"] == 7).all()


def depth_between(take: Take) -> np.ndarray:
    return take.left.translation[:, 2] - take.right.translation[:, 2]


def test_a_seen_vector_puts_the_hands_where_it_says() -> None:
    made = scene(20, sides=SIDES, noise=0.5, seed=21, apart=0.15)
    truth = made.truth["left"].translation - made.truth["right"].translation
    seen = PairTrack.absent(20)
    seen.valid[4:] = True
    seen.vector[4:], seen.sigma[4:] = truth[4:] / SIZE, 0.02
    found = solve(replace(made.take, pair=seen))
    error = np.linalg.norm(found.left.translation - found.right.translation - truth, axis=1)
    without = solve(made.take)
    before = np.linalg.norm(without.left.translation - without.right.translation - truth, axis=1)
    assert error.mean() < 0.4 * before.mean()
    # Frames without it follow in time.
    assert error[:4].mean() < before[:4].mean()


def test_a_seen_vector_pulls_more_where_a_hand_is_hardly_seen() -> None:
    made = scene(12, sides=SIDES, noise=0.5, seed=21, apart=0.15)
    away = made.truth["left"].translation - made.truth["right"].translation + [0.0, 0.0, 0.04]
    seen = PairTrack(away / SIZE, np.full((12, 3), 0.3), np.full((12, 6, 6), np.nan), np.ones(12, bool))

    def pulled(left: float, right: float) -> float:
        tracks = {
            side: replace(made.take.track(side), confidence=np.full(12, one))
            for side, one in (("left", left), ("right", right))
        }
        found = solve(replace(made.take, pair=seen, **tracks))
        return float(depth_between(found).mean())

    well, once, hardly = pulled(1.0, 1.0), pulled(1.0, 0.1), pulled(0.1, 0.1)
    # The one that is seen worse decides.
    assert hardly > well + 0.002 and once == pytest.approx(hardly, abs=1e-3)


def test_a_vector_without_a_word_on_contact_leaves_the_proposals() -> None:
    made = scene(10, sides=SIDES, noise=0.3, seed=22, apart=0.1)
    truth = made.truth["left"].translation - made.truth["right"].translation
    seen = PairTrack(truth / SIZE, np.full((10, 3), 0.1), np.full((10, 6, 6), np.nan), np.ones(10, bool))
    take = replace(made.take, pair=seen)
    held_together, free = solve(take), solve(take, fit=FitSettings(contact=False))
    assert np.isfinite(held_together.left.points).all()
    assert not np.array_equal(held_together.left.translation, free.left.translation)


def test_contacts_can_be_switched_off() -> None:
    made = scene(10, sides=SIDES, noise=0.3, seed=22, apart=0.1)
    held_together, free = solve(made.take), solve(made.take, fit=FitSettings(contact=False))
    far = scene(10, sides=SIDES, noise=0.3, seed=22, apart=0.5)
    assert not np.array_equal(held_together.left.translation, free.left.translation)
    np.testing.assert_array_equal(
        solve(far.take).left.translation, solve(far.take, fit=FitSettings(contact=False)).left.translation
    )


def test_what_a_network_saw_touch_is_recorded_unless_it_is_far_away() -> None:
    gap = np.full((3, 16, 16), 0.015)
    thumb, pinky = JOINT_NAMES.index("thumb3"), JOINT_NAMES.index("pinky3")
    gap[:, thumb, pinky], gap[1, 0, thumb] = -0.002, 0.2
    said = np.full((3, 6, 6), 0.0)
    palm, tip = CONTACT_PARTS.index("palm"), CONTACT_PARTS.index("thumb_tip")
    said[:2, tip, palm] = 0.7
    # Of the third pair nothing is said: what is solved counts.
    said[2] = np.nan
    found = contacts.records(gap, np.array([4, 5, 6]), FitSettings(), said)
    named = [(r["frame"], CONTACT_PARTS[r["left_part"]], CONTACT_PARTS[r["right_part"]]) for r in found]
    assert named == [(4, "thumb_tip", "palm"), (6, "pinky_tip", "thumb_tip")]
    assert found["probability"][0] == pytest.approx(0.7)
