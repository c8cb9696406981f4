# SPDX-License-Identifier: GPL-3.0-or-later
"""IKNet: canonical signs, the engine's kinematics, noise as it says, runs that resume, a file equal to torch."""

import argparse
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.see.definitions import MEDIAPIPE, MODEL, OFFSET_JOINTS, rest_offsets
from blender_handmocap.engine.see.iknet import FEATURE_COUNT, composed
from training.footage import poses
from training.iknet import export
from training.iknet.batches import DEPTH_FACTOR, Generator, Observed, noise, rest_of
from training.iknet.kinematics import canonical, pose
from training.iknet.losses import Targets, Weights, loss
from training.iknet.network import Folded, IKNet
from training.iknet.train import Config, Run, weight


@pytest.fixture(scope="module")
def pool() -> np.ndarray:
    angles = poses.random_within_limits(np.random.default_rng(0), 400)
    return pack(angles, free_hinges("right")).astype(np.float32)


def test_the_sign_is_that_of_the_first_component_that_is_not_zero() -> None:
    given = torch.tensor([[-0.5, 0.5, 0.5, 0.5], [0.0, -0.6, 0.8, 0.0], [0.0, 0.0, 0.0, -1.0], [0.6, -0.8, 0.0, 0.0]])
    wanted = [[0.5, -0.5, -0.5, -0.5], [0.0, 0.6, -0.8, 0.0], [0.0, 0.0, 0.0, 1.0], [0.6, -0.8, 0.0, 0.0]]
    np.testing.assert_allclose(canonical(given).numpy(), np.array(wanted, np.float32))
    np.testing.assert_allclose(canonical(-given).numpy(), np.array(wanted, np.float32))


def test_either_sign_of_the_truth_is_the_same_target(pool: np.ndarray) -> None:
    batch = Generator(pool).batch(np.random.default_rng(1), 8)
    raw = torch.randn(8, 64, generator=torch.Generator().manual_seed(0))
    flipped = Targets(-batch.truth.rotation, batch.truth.joints, batch.truth.points)
    assert loss(raw, batch.truth, Weights())[1] == loss(raw, flipped, Weights())[1]


@pytest.mark.parametrize("definition", [MODEL, MEDIAPIPE])
def test_kinematics_are_the_engines(definition: str) -> None:
    random = np.random.default_rng(2)
    betas, rotation = random.normal(size=(3, 10)), rotations.normalized(random.normal(size=(3, 16, 4)))
    joints, points = rest_of(betas, definition)
    mine = pose(*(torch.from_numpy(x) for x in (rotation, joints, points))).numpy()
    model, hinges = free_hand("right"), free_hinges("right")
    for k in range(3):
        posed = model.pose(rotation[k : k + 1], np.zeros((1, 3)), model.rest(betas[k]))
        shift = rest_offsets(definition, hinges, "right")
        moved = (posed.orientation[0, list(OFFSET_JOINTS)] @ shift[..., None])[..., 0]
        np.testing.assert_allclose(mine[k], posed.keypoints[0] + moved, atol=1e-12)


def test_a_perfect_answer_costs_nothing_and_each_term_notices_its_own_fault(pool: np.ndarray) -> None:
    truth = Generator(pool).batch(np.random.default_rng(3), 6).truth
    right = canonical(truth.rotation).reshape(6, 64)
    assert all(abs(value) < 1e-5 for value in loss(right, truth, Weights())[1].values())
    scaled = loss(2.0 * right, truth, Weights())[1]
    assert abs(scaled["cos"]) < 1e-5 and scaled["xyz"] < 1e-8
    assert scaled["norm"] == pytest.approx(9.0, rel=1e-4)
    assert scaled["l2"] == pytest.approx(1.0, rel=1e-4)
    # Turning the last joint of a finger by 0.2 rad moves its tip by 2 sin(0.1) of the bone, and nothing else.
    turned = truth.rotation.clone().double()
    step = torch.tensor(rotations.quaternion_from_vector([0.2, 0.0, 0.0]))
    turned[:, 3] = torch.from_numpy(rotations.multiply(turned[:, 3].numpy(), step.numpy()))
    bone = truth.points[:, 8] - truth.joints[:, 3]
    across = bone[:, 1:].norm(dim=-1)
    expected = float(((2 * np.sin(0.1) * across) ** 2).mean() / 21)
    assert loss(turned.float().reshape(6, 64), truth, Weights())[1]["xyz"] == pytest.approx(expected, rel=1e-3)


def test_the_truth_is_what_the_features_were_made_of(pool: np.ndarray) -> None:
    generator = Generator(pool)
    batch = generator.batch(np.random.default_rng(4), 256)
    seen = batch.features[:, :63].reshape(-1, 21, 3)
    reached = pose(batch.truth.rotation, batch.truth.joints, batch.truth.points)
    palm = [0, 5, 9, 13, 17]
    reached = reached - reached[:, palm].mean(1, keepdim=True)
    distance = (seen - reached).norm(dim=-1).median(dim=1).values
    # A share of the hands is seen without noise; a few millimetres, in palm spreads, explain the rest.
    assert float(distance.quantile(0.1)) < 1e-3
    assert float(distance.median()) < 0.2


def test_noise_grows_towards_the_camera_and_is_shared_by_a_finger() -> None:
    view = np.tile([0.0, 0.0, 1.0], (20_000, 1))
    made = noise(np.random.default_rng(5), np.full((20_000, 21), 0.004), view)
    np.testing.assert_allclose(made.std((0, 1)), [0.004, 0.004, 0.004 * DEPTH_FACTOR], rtol=0.02)
    assert np.corrcoef(made[:, 6, 0], made[:, 8, 0])[0, 1] == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(made[:, 6, 0], made[:, 10, 0])[0, 1]) < 0.03


def test_hands_seen_by_a_detector_join_the_batch(pool: np.ndarray, tmp_path: Path) -> None:
    random = np.random.default_rng(6)
    rotation = rotations.normalized(random.normal(size=(5, 16, 4)))
    betas = random.normal(size=(5, 10))
    joints, points = rest_of(betas, MODEL)
    seen = pose(*(torch.from_numpy(x) for x in (rotation, joints, points))).numpy()
    given = {"points": seen, "error": np.full((5, 21), 0.01), "rotation": rotation, "betas": betas}
    np.savez(tmp_path / "seen.npz", **given, definition=MODEL)
    batch = Generator(pool, [Observed.read(tmp_path / "seen.npz")], seen_share=1.0).batch(random, 12)
    assert batch.features.shape == (12, FEATURE_COUNT)
    # Points without noise: the true palm is found, so that nothing is left to turn.
    np.testing.assert_allclose(batch.truth.rotation[:, 0].abs().numpy(), np.tile([1, 0, 0, 0], (12, 1)), atol=1e-5)
    np.savez(tmp_path / "bad.npz", **{**given, "betas": betas[:3]}, definition=MODEL)
    with pytest.raises(ValueError, match=r"bad\.npz does not hold"):
        Observed.read(tmp_path / "bad.npz")


def test_the_file_equals_torch_for_any_number_of_hands(pool: np.ndarray, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = IKNet(96)
    batch = Generator(pool).batch(np.random.default_rng(7), 600)
    network.prepare(batch.features, batch.truth.rotation)
    network(batch.features)
    network.eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(parameter.half().float())
    export.export(network, tmp_path / "iknet.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "iknet.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 2, 7):
        features = batch.features[:count]
        with torch.no_grad():
            expected = network(features).numpy()
        (found,) = session.run(["rotation"], {"features": features.numpy()})
        np.testing.assert_allclose(found, expected, atol=3e-3)


def test_folding_keeps_what_the_network_says_also_of_inputs_that_hardly_vary(pool: np.ndarray) -> None:
    torch.manual_seed(1)
    network = IKNet(48)
    batch = Generator(pool).batch(np.random.default_rng(11), 600)
    network.prepare(batch.features, batch.truth.rotation)
    for _ in range(20):
        network(batch.features)
    network.eval()
    still = slice(123, 186)
    # As if every performer had nearly the same hand: the scale of these inputs is a hundredth of their size.
    network.deviation[still] = 0.01
    features = batch.features.clone()
    features[:, still] = network.mean[still] + 0.01 * torch.randn(600, 63)
    with torch.no_grad():
        expected, found = network(features), Folded(network).eval()(features)
    assert float((found - expected).abs().max()) < 2e-3
    assert float(expected.std(0).mean()) > 0.05


def test_a_linear_start_already_follows_the_points(pool: np.ndarray) -> None:
    network = IKNet(32)
    generator = Generator(pool)
    first = generator.batch(np.random.default_rng(8), 3000)
    network.prepare(first.features, first.truth.rotation)
    batch = generator.batch(np.random.default_rng(9), 500)
    with torch.no_grad():
        found = composed(network.eval()(batch.features).numpy(), np.tile(np.eye(3), (500, 1, 1)))
    off = np.degrees(rotations.angle_between(found[:, 1:], batch.truth.rotation[:, 1:].numpy()))
    at_rest = np.degrees(rotations.angle_between(rotations.IDENTITY, batch.truth.rotation[:, 1:].numpy()))
    assert off.mean() < 0.4 * at_rest.mean()


def test_losses_are_weighed_by_name() -> None:
    assert weight("xyz=0.1") == ("xyz", 0.1) and weight("norm=0") == ("norm", 0.0)
    for text in ("xyz", "xyz=", "xyz=much", "xyz=-1", "xyz=inf", "heat=1"):
        with pytest.raises(argparse.ArgumentTypeError, match="cos=WEIGHT, l2=WEIGHT, xyz=WEIGHT, norm=WEIGHT"):
            weight(text)


def test_a_run_learns_stops_and_goes_on(pool: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "pool.npy", pool)
    angles = poses.random_within_limits(np.random.default_rng(10), 60)
    np.savez(tmp_path / "held_out.npz", angles=angles)
    small = {"width": 32, "batch": 64, "store": 512}
    run = Run(tmp_path, Config(**small, samples=640))
    run.train(every=320)
    assert run.keeper.used == 640 and (tmp_path / "best.pt").exists()
    longer = Run(tmp_path, Config(**small, samples=960))
    assert longer.keeper.used == 640
    for mine, theirs in zip(longer.network.parameters(), run.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    longer.train(every=320)
    assert longer.keeper.used == 960
    assert len((tmp_path / "curve.jsonl").read_text().splitlines()) == 3
