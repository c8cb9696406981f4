# SPDX-License-Identifier: GPL-3.0-or-later
"""Live fitting: causal, steady, and able to start again."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.fit import parting, solver, spatial
from blender_handmocap.engine.fit.kinematics import HandState
from blender_handmocap.engine.fit.live import LiveFitter, LivePose
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.hand.spheres import fitted_spheres
from blender_handmocap.engine.see.observation import Observation
from blender_handmocap.engine.take import HandTrack
from tests.engine.fit_scenes import SIZE, K, Scene, scene

CAMERA = Camera(K=K, dist=np.zeros(5), width=640, height=480)


def observation(track: HandTrack, frame: int) -> Observation:
    return Observation(
        right=1.0,
        presence=1.0,
        confidence=0.9,
        points2d=track.seen2d[frame],
        sigma2d=track.seen2d_sigma[frame],
        points3d=track.seen3d[frame],
        sigma3d=track.seen3d_sigma[frame],
        visibility=track.visibility[frame],
        crop=np.zeros(5),
    )


def seen(made: Scene, frame: int, sides: tuple[Side, ...] = SIDES) -> dict[Side, Observation]:
    return {side: observation(made.take.track(side), frame) for side in sides}


def fitter(**settings: float) -> LiveFitter:
    return LiveFitter(CAMERA, size=SIZE, definition="model", settings=FitSettings(**settings))


def run(made: Scene, sides: tuple[Side, ...] = SIDES, **settings: float) -> list[dict[Side, LivePose]]:
    live = fitter(**settings)
    return [live.step(seen(made, i, sides), float(made.take.time[i])) for i in range(len(made.take))]


def error(made: Scene, poses: list[dict[Side, LivePose]], side: Side) -> np.ndarray:
    """(T,) mean distance of the points, metres."""
    found = np.stack([pose[side].points for pose in poses])
    return np.linalg.norm(found - made.truth[side].points, axis=-1).mean(1)


def test_both_hands_follow_the_truth_without_restarts() -> None:
    made = scene(60, sides=SIDES, noise=0.5, seed=1)
    poses = run(made)
    for side in SIDES:
        assert error(made, poses, side).mean() < 0.015
        assert [i for i, pose in enumerate(poses) if pose[side].restarted] == [0]


def test_two_steps_are_enough() -> None:
    made = scene(60, noise=0.7, seed=2)
    quick, slow = (error(made, run(made, ("right",), live_steps=n), "right") for n in (2, 10))
    assert quick.mean() < 1.05 * slow.mean()


def test_no_frame_takes_more_steps_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    real = solver.minimise

    def counted(*args: object, **kwargs: object) -> solver.Solution:
        found = real(*args, **kwargs)  # type: ignore[arg-type]
        taken.append(int(found.steps.max()))
        return found

    made = scene(30, sides=SIDES, noise=0.5, seed=1)
    live = fitter(live_steps=2)
    live.step(seen(made, 0), 0.0)
    monkeypatch.setattr(solver, "minimise", counted)
    for i in range(1, 30):
        live.step(seen(made, i), float(made.take.time[i]))
    # One search a frame for both hands together, of two steps at most.
    assert len(taken) == 29 and max(taken) <= 2


def test_the_future_does_not_matter() -> None:
    made = scene(20, noise=0.5, seed=3)
    whole = run(made, ("right",))
    live = fitter()
    for i in range(8):
        pose = live.step(seen(made, i, ("right",)), float(made.take.time[i]))
    np.testing.assert_array_equal(pose["right"].rotation, whole[7]["right"].rotation)


def test_poses_follow_the_takes_conventions() -> None:
    made = scene(6, sides=("left",), noise=0.2, seed=4)
    poses = run(made, ("left",))
    model = free_hand("left")
    for before, after in itertools.pairwise(poses):
        pose = after["left"]
        posed = model.pose(pose.rotation[None], pose.translation[None], model.rest(None, SIZE)).keypoints[0]
        np.testing.assert_allclose(pose.points, posed, atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(pose.rotation, axis=-1), 1.0, atol=1e-12)
        assert ((pose.rotation * before["left"].rotation).sum(-1) > 0.0).all()


def test_a_jump_is_noticed_and_followed() -> None:
    first, second = scene(20, noise=0.3, seed=5), scene(20, noise=0.3, seed=77)
    live = fitter()
    for i in range(20):
        live.step(seen(first, i, ("right",)), i / 30.0)
    # A cut: another pose at another place in the very next frame.
    after = [live.step(seen(second, i, ("right",)), (20 + i) / 30.0)["right"] for i in range(10)]
    found = np.stack([pose.points for pose in after])
    away = np.linalg.norm(found - second.truth["right"].points[:10], axis=-1).mean(1)
    assert away[1:].mean() < 0.02


def test_a_hand_that_leaves_is_not_reported_and_starts_anew() -> None:
    made = scene(40, noise=0.3, seed=6)
    live = fitter()
    for i in range(10):
        live.step(seen(made, i, ("right",)), i / 30.0)
    assert live.step({}, 10 / 30.0) == {}
    back = live.step(seen(made, 12, ("right",)), 12 / 30.0)["right"]
    assert not back.restarted
    late = live.step(seen(made, 39, ("right",)), 3.0)["right"]
    assert late.restarted
    assert np.linalg.norm(late.points - made.truth["right"].points[39], axis=-1).mean() < 0.02


def test_an_observation_of_nothing_gives_no_hand() -> None:
    made = scene(2, noise=0.3)
    good = observation(made.take.right, 0)
    nothing = Observation(
        **{**good.__dict__, "points2d": np.full((21, 2), np.nan), "points3d": np.full((21, 3), np.nan)}
    )
    assert fitter().step({"right": nothing}, 0.0) == {}


def test_turning_past_half_a_turn_does_not_flip() -> None:
    made = scene(60, noise=0.1, seed=8, tempo=2.0)
    poses = run(made, ("right",))
    roots = np.stack([pose["right"].rotation[0] for pose in poses])
    assert np.degrees(rotations.angle_between(roots[1:], roots[:-1])).max() < 25.0


def test_hands_that_run_into_each_other_are_eased_apart() -> None:
    made = scene(25, sides=SIDES, noise=0.3, seed=6, apart=0.03)
    model = {side: free_hand(side) for side in SIDES}
    rest = {side: model[side].rest(None, SIZE) for side in SIDES}
    spheres = {side: fitted_spheres(model[side], rest[side]) for side in SIDES}

    def overlap(**settings: float) -> np.ndarray:
        live = fitter(**settings)
        out = []
        for frame in range(25):
            poses = live.step(seen(made, frame), frame / 30.0)
            centres = {
                side: spheres[side].centres(
                    model[side].pose(poses[side].rotation[None], poses[side].translation[None], rest[side])
                )[0]
                for side in SIDES
            }
            apart = np.linalg.norm(centres["right"][:, None] - centres["left"][None], axis=-1)
            out.append(np.maximum(spheres["right"].radius[:, None] + spheres["left"].radius - apart, 0.0).max())
        return np.array(out[1:])

    free, eased = overlap(collision_gate=0.0), overlap()
    assert free.mean() > 0.004
    # The hands that were seen overlap: what is seen and the spheres meet half-way.
    assert eased.mean() < 0.65 * free.mean()


def test_hands_apart_are_solved_as_if_alone() -> None:
    made = scene(6, sides=SIDES, noise=0.3, seed=7, apart=0.5)
    both, alone = fitter(), fitter()
    for frame in range(6):
        found = both.step(seen(made, frame), frame / 30.0)
        right = alone.step(seen(made, frame, ("right",)), frame / 30.0)
        np.testing.assert_allclose(found["right"].points, right["right"].points, atol=1e-9)


def test_hands_are_clear_exactly_where_nothing_overlaps() -> None:
    live = fitter()
    energy, spheres = live._energy, live._spheres
    rng = np.random.default_rng(0)
    clear = []
    for _ in range(60):
        state = HandState(
            root=spatial.exponential(rng.normal(size=(3, 2))),
            translation=np.array([[0.0], [0.0], [0.5]]) + rng.normal(size=(3, 2)) * 0.06,
            angles=rng.normal(size=(energy.chain.angle_count, 2)) * 0.3,
            nuisance=np.repeat(np.eye(3)[..., None], 2, -1),
        )
        clear.append(parting._are_clear(energy, spheres, state))
        assert clear[-1] == (not parting._overlaps(energy, spheres, state).pair.size)
    assert 5 < sum(clear) < 55
