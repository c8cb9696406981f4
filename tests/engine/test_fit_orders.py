# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of two hands lies in front: slides measured by hand, and a clip that starts in the wrong order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from blender_handmocap.engine.fit import orders
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.kinematics import Chain, HandState
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.terms.collision import SphereSet
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.take import CORRECTION_DTYPE, CorrectionKind, PairTrack, Take
from tests.engine.fit_scenes import SIZE, scene

_FRAMES = 16


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(free_hand("right").rest(None, SIZE), free_hinges("right"))


@pytest.fixture(scope="module")
def ball() -> SphereSet:
    """One sphere of a centimetre at the wrist, so that ways can be told by hand."""
    return SphereSet(np.zeros(1, np.intp), np.zeros((1, 3)), np.array([0.01]))


def at(*depth: float, x: float = 0.0) -> HandState:
    count = len(depth)
    place = np.stack([np.full(count, x), np.zeros(count), np.array(depth)])
    eye = np.repeat(np.eye(3)[..., None], count, -1)
    return HandState(eye, place, np.zeros((22, count)), eye.copy())


def test_a_hand_slides_until_it_touches_the_other_from_the_wanted_side(chain: Chain, ball: SphereSet) -> None:
    before, behind = orders.slides(ball, chain, at(0.5, 0.5, 0.5), at(0.5, 0.53, 0.45))
    # Two balls of a centimetre on one line of sight are clear of each other two centimetres apart.
    np.testing.assert_allclose(before, [-0.02, -0.05, 0.0], atol=1e-9)
    np.testing.assert_allclose(behind, [0.02, 0.0, 0.07], atol=1e-9)


def test_hands_side_by_side_have_no_order(chain: Chain, ball: SphereSet) -> None:
    before, behind = orders.slides(ball, chain, at(0.5, x=0.05), at(0.5, x=0.05))
    assert np.isnan(before).all() and np.isnan(behind).all()


def test_balls_that_overlap_a_little_need_less_way(chain: Chain, ball: SphereSet) -> None:
    # 12 mm apart in the picture: sqrt(20^2 - 12^2) = 16 mm in depth.
    before, behind = orders.slides(ball, chain, at(0.5, x=0.006), at(0.5, x=0.006))
    np.testing.assert_allclose([before[0], behind[0]], [-0.016, 0.016], atol=1e-9)


def test_a_pair_far_away_in_time_is_a_stretch_of_its_own() -> None:
    runs = orders._stretches(np.array([0.0, 0.1, 0.2, 0.9, 1.0]), 0.2)
    assert [list(run) for run in runs] == [[0, 1, 2], [3, 4]]
    assert orders._stretches(np.zeros(0), 0.2) == []


_TRUE = 0.05
"""metres by which the left hand lies behind the right one"""
_SAID = -0.01
"""... and by which their sizes in the picture say so"""


def _crossed() -> Take:
    """Hands one behind the other whose pictures say the wrong order, while what was seen of both says the right one."""
    made = scene(_FRAMES, sides=SIDES, noise=0.3, seed=5, apart=0.02, tempo=0.1)
    take = made.take
    for side, depth in zip(SIDES, (0.55 + _SAID / 2, 0.55 - _SAID / 2), strict=True):
        truth, seen = made.truth[side], take.track(side)
        centre = seen.seen2d.mean(1, keepdims=True)
        larger = (truth.translation[:, 2] / depth)[:, None, None]
        pixels = (seen.seen2d - centre) * larger + centre
        take = replace(take, **{side: replace(seen, seen2d=pixels, seen2d_sigma=4.0 * seen.seen2d_sigma)})
    pair = PairTrack.absent(_FRAMES)
    pair.valid[:] = True
    pair.vector[:] = (made.truth["left"].translation - made.truth["right"].translation) / SIZE
    pair.vector[:, 2] = _TRUE / SIZE
    pair.sigma[:] = [1.0, 1.0, 0.15]
    return replace(take, pair=pair)


# Windows of ten frames that share four: what is seen in one alone must not weigh more there than it is said to.
_ANY = FitSettings(order_farthest=0.5, relative_sure=1.0, relative_doubt=1.0)


def test_hands_that_start_in_the_wrong_order_are_put_right() -> None:
    take = _crossed()
    found, stuck = solve(take, fit=_ANY), solve(take, fit=replace(_ANY, order=False))
    assert (stuck.left.translation[:, 2] < stuck.right.translation[:, 2]).all()
    assert (found.left.translation[:, 2] > found.right.translation[:, 2] + 0.02).all()


def test_between_windows_no_hand_jumps() -> None:
    take = _crossed()
    # Of the second half nothing is said of both: alone it would stay in the order of the sizes.
    take.pair.valid[9:] = False
    found = solve(take, fit=replace(_ANY, window=10, overlap=4))
    deeper = found.left.translation[:, 2] - found.right.translation[:, 2]
    assert (deeper > 0.02).all()
    assert np.abs(np.diff(deeper)).max() < 0.02


def test_hands_apart_are_solved_as_before() -> None:
    take = scene(10, sides=SIDES, noise=0.5, seed=3, apart=0.4).take
    found, without = solve(take), solve(take, fit=FitSettings(order=False))
    np.testing.assert_array_equal(found.left.translation, without.left.translation)


def test_an_order_that_sizes_deny_is_not_tried() -> None:
    take = _crossed()
    never = solve(take, fit=FitSettings(order_farthest=0.05))
    np.testing.assert_array_equal(never.left.translation, solve(take, fit=FitSettings(order=False)).left.translation)


def test_what_the_user_placed_stays() -> None:
    take = _crossed()
    place = solve(take, fit=replace(_ANY, order=False)).left.translation[8]
    fixed = np.array([(8, 0, CorrectionKind.TRANSLATION, 0, [*place, 0.0])], CORRECTION_DTYPE)
    found = solve(replace(take, corrections=fixed), fit=_ANY)
    np.testing.assert_allclose(found.left.translation[8], place, atol=1e-9)
