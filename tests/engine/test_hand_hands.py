# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own MANO files stand in for the free hand, from reading to a solved and exported take."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.camera import Camera
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.export.parameters import mano_parameters
from blender_handmocap.engine.fit import observations, shape
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.kinematics import Chain
from blender_handmocap.engine.fit.live import LiveFitter
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.fit.terms import pose_prior
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.hands import chosen_hands, files_in, free_hands, mano_hands
from blender_handmocap.engine.hand.mano import hinges_from_joints
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.pipeline import hand_models, repolish, resolve
from blender_handmocap.engine.polish import PolishSettings
from blender_handmocap.engine.see.observation import Observation
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import load_take, save_take
from tests.engine.fit_scenes import SIZE, K, rotation_error, scene
from tests.helpers.mano_files import mano_tables, write_mano_pickle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both files in MANO's format, with the free hand's numbers: what is solved with them is known."""
    place = tmp_path_factory.mktemp("mano")
    write_mano_pickle(place / "MANO_RIGHT.pkl", "right")
    np.savez(place / "MANO_LEFT.npz", **{k: v for k, v in mano_tables("left").items() if not isinstance(v, str)})
    return place


@pytest.fixture(scope="module")
def settings(folder: Path) -> Settings:
    files = files_in(folder)
    return Settings(mano_right=files["right"], mano_left=files["left"], smoothing=0.0)


def test_without_files_it_is_the_free_hand() -> None:
    assert chosen_hands("", "") is free_hands()
    assert free_hands().id == f"{free_hand('right').id}+{free_hand('right').sha256}"


def test_both_files_are_found_and_named(folder: Path, settings: Settings) -> None:
    assert Path(settings.mano_right).name == "MANO_RIGHT.pkl" and Path(settings.mano_left).name == "MANO_LEFT.npz"
    hands = chosen_hands(settings.mano_right, settings.mano_left)
    assert [hands.model(side).side for side in SIDES] == ["left", "right"]
    assert hands.id.split("+") == ["mano", hands.right.sha256, hands.left.sha256]


@pytest.mark.parametrize("side", SIDES)
def test_one_file_serves_both_sides(folder: Path, side: str) -> None:
    file = files_in(folder)[side]
    hands = mano_hands(**{side: file})
    for each in SIDES:
        np.testing.assert_allclose(hands.model(each).rest().joints, free_hand(each).rest().joints, atol=1e-5)


def test_files_that_do_not_belong_together_are_refused(folder: Path, tmp_path: Path) -> None:
    tables = mano_tables("left", posed=False)
    tables["v_template"] = tables["v_template"] * 1.2
    np.savez(tmp_path / "MANO_LEFT.npz", **{k: v for k, v in tables.items() if not isinstance(v, str)})
    with pytest.raises(BadInputError, match="mirror images"):
        mano_hands(files_in(folder)["right"], tmp_path / "MANO_LEFT.npz")
    with pytest.raises(BadInputError, match="no MANO file"):
        mano_hands(tmp_path / "MANO_RIGHT.pkl")
    with pytest.raises(BadInputError, match="neither"):
        files_in(tmp_path / "nowhere")


def test_a_clip_solved_with_the_files_is_the_one_solved_with_the_same_hand(settings: Settings) -> None:
    made = scene(12, sides=SIDES, noise=0.5, seed=3, apart=0.2)
    with_mano, with_free = solve(made.take, settings=settings), solve(made.take, settings=Settings())
    assert with_mano.meta["hand_model"].startswith("mano+")
    for side in SIDES:
        # The file's hinges are read from its joints: they are the free hand's up to the file's rounding.
        assert rotation_error(with_mano.track(side), with_free.track(side)).max() < 0.5
        np.testing.assert_allclose(with_mano.track(side).points, with_free.track(side).points, atol=5e-4)


def test_a_take_remembers_its_hand_through_resolving_polishing_and_export(settings: Settings, tmp_path: Path) -> None:
    made = scene(10, sides=SIDES, noise=0.3, seed=4)
    take = resolve(made.take, settings, parent=Path("first.npz"))
    save_take(take, tmp_path / "take.npz")
    take = load_take(tmp_path / "take.npz")
    models = hand_models(take)
    assert models["right"].id == "mano" and models["left"].side == "left"
    polished = repolish(take, PolishSettings(), parent=Path("take.npz"))
    posed = models["left"].pose(
        polished.left.rotation, polished.left.translation, models["left"].rest(take.betas, take.size)
    )
    np.testing.assert_allclose(polished.left.points, posed.keypoints, atol=1e-9)
    out = mano_parameters(take, models)
    assert out["betas_are_mano"]
    # MANO's own translation, as its layer reads it: v = R (v - J0) + J0 + t puts the wrist where the take has it.
    np.testing.assert_allclose(out["right_transl"] + models["right"].joints[0], take.right.translation, atol=1e-9)


def test_another_file_than_the_takes_is_refused(settings: Settings, tmp_path: Path) -> None:
    take = solve(scene(3).take, settings=settings)
    other = write_mano_pickle(tmp_path / "MANO_RIGHT.pkl", "right", posed=False)
    assert other
    changed = replace(settings, mano_right=str(tmp_path / "MANO_RIGHT.pkl"), mano_left="")
    take = replace(take, meta={**take.meta, "settings": {"mano_right": changed.mano_right}})
    with pytest.raises(BadInputError, match="resolve it again"):
        hand_models(take)


def test_live_takes_the_files_too(settings: Settings) -> None:
    made = scene(3, noise=0.3, seed=5)
    hands = chosen_hands(settings.mano_right, settings.mano_left)
    camera = Camera(K=K, dist=np.zeros(5), width=640, height=480)
    fitters = [LiveFitter(camera, size=SIZE, definition="model", hands=h) for h in (hands, None)]
    track = made.take.right
    for frame in range(3):
        seen = Observation(
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
        first, second = (fitter.step({"right": seen}, frame / 30.0)["right"] for fitter in fitters)
        np.testing.assert_allclose(first.points, second.points, atol=1e-3)


def test_calibration_measures_the_files_own_shapes(settings: Settings) -> None:
    betas = np.zeros(10)
    betas[1] = 1.5
    made = scene(130, sides=("right",), noise=0.2, seed=6, betas=betas)
    hands = chosen_hands(settings.mano_right, settings.mano_left)
    found, free = shape.calibrate(made.take, None, hands), shape.calibrate(made.take)
    assert found.frames == free.frames > 60
    np.testing.assert_allclose(found.held_out_after, free.held_out_after, rtol=0.02)


def bent_at_rest() -> tuple[Chain, Chain]:
    """The free hand, and the same anatomy drawn with its fingers bent by 10 degrees at rest."""
    free = free_hand("right")
    hinges = free_hinges("right")
    turn = np.tile(rotations.IDENTITY, (16, 1))
    for joint in range(1, 13):
        turn[joint] = rotations.quaternion_from_vector(np.radians(10.0) * hinges.frame[joint, :, 0])
    posed = free.pose(turn[None], np.zeros((1, 3)), free.rest())
    tips = posed.keypoints[0, [4, 8, 12, 16, 20]]
    bent = replace(free, id="bent", joints=posed.joints[0], tips=tips, template=free.template)
    return Chain(free.rest(), hinges), Chain(bent.rest(), hinges_from_joints(bent))


def test_limits_and_prior_follow_a_rest_pose_that_is_bent() -> None:
    free, bent = bent_at_rest()
    flexion = (free.angle_axis == 0) & (free.angle_joint < 13)
    # What the free hand calls ten degrees more is zero here.
    np.testing.assert_allclose(np.degrees(bent.lower - free.lower)[flexion], -10.0, atol=1.0)
    np.testing.assert_allclose(np.degrees(bent.upper - free.upper)[flexion], -10.0, atol=1.0)
    means = [pose_prior.recorded(chain, FitSettings()).mean for chain in (free, bent)]
    np.testing.assert_allclose(np.degrees(means[1] - means[0])[flexion], -10.0, atol=1.0)


def test_offsets_of_a_definition_grow_with_the_hand_not_with_the_model() -> None:
    free = free_hand("right")
    small = replace(free, joints=free.joints * 0.5, tips=free.tips * 0.5)
    at_same_size = [observations.definition_shift("mediapipe", m.rest(None, 0.09)) for m in (free, small)]
    np.testing.assert_allclose(at_same_size[0], at_same_size[1], rtol=1e-12)
