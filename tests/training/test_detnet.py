# SPDX-License-Identifier: GPL-3.0-or-later
"""DetNet: the trunk is MediaPipe's to rounding, losses are what they say, runs resume, the file equals torch."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from training.detnet import export, losses, network, taps
from training.detnet.network import GRID, DetNet, Heads
from training.detnet.shards import Shards, find
from training.detnet.train import Config, Run, similarity_errors, validate
from training.detnet.trunk import TAPS, Trunk

needs_networks = pytest.mark.skipif(not taps.HAND_NETWORK.exists(), reason="the converted networks are not there")
ROWS = 48
PATTERN = np.random.default_rng(9).uniform(-12.0, 12.0, (21, 2))
"""the points of every hand around its middle, pixels"""


def write_shard(folder: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    points = rng.normal(size=(ROWS, 21, 3)) * 0.05
    image = rng.integers(0, 60, (ROWS, 224, 224, 3), np.uint8)
    centre = rng.integers(40, 180, (ROWS, 2))
    for picture, (x, y) in zip(image, centre, strict=True):
        picture[y - 20 : y + 20, x - 20 : x + 20] = 230
    np.save(folder / "image.npy", image)
    np.save(folder / "points2d.npy", (centre[:, None] + PATTERN).astype("f4"))
    np.save(folder / "points3d.npy", points.astype("f4"))
    np.save(folder / "visible.npy", rng.integers(0, 2, (ROWS, 21), np.uint8))
    np.save(folder / "use_2d.npy", np.ones((ROWS, 21), np.uint8))
    np.save(folder / "flags.npy", np.ones((ROWS, 3), np.uint8))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shards")
    network = taps.session(1)
    for k in range(2):
        write_shard(root / f"s{k}", k)
        taps.compute(root / f"s{k}", network)
    return root


@needs_networks
def test_the_trunk_equals_the_converted_network() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), np.uint8)
    expected = taps.session(1).run(list(TAPS), {"image": picture})
    trunk = Trunk().load_mediapipe(taps.HAND_NETWORK).eval()
    with torch.no_grad():
        low = trunk.low(torch.from_numpy(picture).permute(0, 3, 1, 2).float())
        middle = trunk.middle(low)
        mine = (low, middle, trunk.tail(middle))
    for got, want in zip(mine, expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want, atol=1e-4)


def test_heatmaps_peak_where_the_point_is() -> None:
    position = torch.tensor([[[(5 + 0.5) / GRID, (20 + 0.5) / GRID]] * 21])
    heat = losses.heatmaps(position)[0, 0]
    assert heat[20, 5] == 1.0
    assert heat[20, 6] == pytest.approx(np.exp(-0.5))


def test_locations_are_in_palm_units_from_the_middle_knuckle() -> None:
    points = torch.randn(4, 21, 3)
    located = losses.unit_locations(points)
    assert torch.allclose(located[:, losses.MIDDLE_KNUCKLE], torch.zeros(4, 3))
    assert torch.allclose(located[:, 0].norm(dim=-1), torch.ones(4))


def truth_and_perfect_output() -> tuple[losses.Targets, dict[str, torch.Tensor]]:
    position, location = torch.rand(3, 21, 2) * 0.8 + 0.1, losses.unit_locations(torch.randn(3, 21, 3))
    ones = torch.ones(3, 21)
    truth = losses.Targets(position, location, ones, torch.ones(3), ones, torch.ones(3), torch.ones(3))
    grid = (3, 21, 3, GRID, GRID)

    def spread(values):
        return values[..., None, None].expand(grid).reshape(3, 21, 3, GRID * GRID)

    certain = torch.full((3, 21), -6.0)
    return truth, {
        "logits": torch.log(losses.heatmaps(position) + 1e-12),
        "position": position.clone(),
        "location": location.clone(),
        "location_map": spread(location),
        "delta_map": spread(losses.bone_directions(location)),
        "log_error_2d": certain,
        "log_error_3d": certain,
        "visible": torch.full((3, 21), 20.0),
        "whole": torch.full((3, 2), 20.0),
    }


def test_a_perfect_output_has_no_loss_and_each_term_sees_its_own_mistake() -> None:
    truth, perfect = truth_and_perfect_output()
    _, terms = losses.loss(perfect, truth, losses.Weights())
    for name in ("position", "location", "location_map", "delta", "bone", "size", "visible", "whole"):
        assert terms[name] < 1e-4, name
    shifted = {**perfect, "position": perfect["position"] + torch.tensor([0.1, 0.0])}
    assert losses.loss(shifted, truth, losses.Weights())[1]["position"] == pytest.approx(0.1, rel=1e-4)
    far = {**perfect, "location": perfect["location"] + torch.tensor([0.0, 0.0, 0.5])}
    _, off = losses.loss(far, truth, losses.Weights())
    assert off["location"] == pytest.approx(0.5, rel=1e-4) and off["bone"] < 1e-4


def test_hands_too_small_are_told_whatever_their_place() -> None:
    truth, perfect = truth_and_perfect_output()
    middle = perfect["position"].mean(1, keepdim=True)
    moved = {**perfect, "position": perfect["position"] + 0.1, "location": perfect["location"] - 0.3}
    assert losses.loss(moved, truth, losses.Weights(size=1.0))[1]["size"] < 1e-4
    small = {**perfect, "position": middle + (perfect["position"] - middle) * 0.8}
    large = {**perfect, "location": perfect["location"] * 1.2}
    for one in (small, large):
        # Twice a fifth: all points, and the palm's.
        assert losses.loss(one, truth, losses.Weights(size=1.0))[1]["size"] == pytest.approx(0.4, rel=1e-3)


def test_weak_guesses_far_from_the_peak_do_not_pull_the_reading() -> None:
    chance = torch.tensor([[[0.6, 0.34, 0.059, 0.001]]])
    kept = network._around_peak(chance)
    assert kept[0, 0, 2:].tolist() == [0.0, 0.0] and float(kept.sum()) == pytest.approx(1.0)
    assert float(kept[0, 0, 0] / kept[0, 0, 1]) == pytest.approx(0.6 / 0.34, rel=1e-5)


def test_rows_without_3d_teach_only_the_picture() -> None:
    truth, perfect = truth_and_perfect_output()
    flat = losses.Targets(**{**truth.__dict__, "has_3d": torch.zeros(3)})
    wrong = {**perfect, "location": torch.zeros(3, 21, 3), "position": perfect["position"] + 0.05}
    _, terms = losses.loss(wrong, flat, losses.Weights())
    assert terms["location"] == 0.0 and terms["position"] == pytest.approx(0.1, rel=1e-4)


def test_expected_error_is_smallest_at_the_true_error() -> None:
    distance = torch.tensor(0.25)
    scales = torch.linspace(-4, 1, 501)
    best = scales[losses._laplace(distance, scales).argmin()]
    assert float(torch.exp(best)) == pytest.approx(0.25, rel=0.02)


def test_similarity_errors_ignore_pose_scale_and_place() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(2, 21, 3))
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert similarity_errors(points @ turn * 3 + 1, points).max() < 1e-9
    points_off = points.copy()
    points_off[:, 3] += 0.5
    assert 0.01 < similarity_errors(points_off, points).mean() < 0.5


@needs_networks
@pytest.mark.parametrize("stage", ["heads", "own"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(shards: Path, tmp_path: Path, stage: str) -> None:
    data = Shards.open(find(shards), list(TAPS))
    config = Config(stage=stage, channels=8, batch=8, samples=96)
    whole = Run(tmp_path / "whole", config, data)
    whole.train(48)
    first = Run(tmp_path / "cut", config, data)
    first.config = config
    stopped = [0]

    def stop_after_first(*arguments: object) -> None:
        Run._report(first, *arguments)
        stopped[0] += 1
        if stopped[0] == 1:
            raise KeyboardInterrupt

    first._report = stop_after_first
    with pytest.raises(KeyboardInterrupt):
        first.train(48)
    second = Run(tmp_path / "cut", config, data)
    assert second.keeper.used == 48
    second.train(48)
    assert second.keeper.used == whole.keeper.used == 96
    assert len((tmp_path / "cut" / "curve.jsonl").read_text().splitlines()) == 2


@needs_networks
def test_some_shards_are_seen_several_times_as_often_and_held_out_rows_never(shards: Path, tmp_path: Path) -> None:
    data = Shards.open(find(shards), list(TAPS))
    run = Run(tmp_path / "run", Config(channels=8, often={"s1": 3}), data)
    rows, times = np.unique(run.training, return_counts=True)
    assert len(rows) == 2 * ROWS - len(run.validation) and not set(rows) & set(run.validation)
    assert set(times[rows < ROWS]) == {1} and set(times[rows >= ROWS]) == {3}


@needs_networks
def test_training_learns(shards: Path, tmp_path: Path) -> None:
    data = Shards.open(find(shards), list(TAPS))
    run = Run(tmp_path / "run", Config(channels=8, batch=16, samples=3200), data)
    rows = np.arange(ROWS)
    before = validate(run.network, data, rows)["pixels"]
    run.train(3200)
    assert validate(run.network, data, rows)["pixels"] < 0.5 * before


@needs_networks
@pytest.mark.parametrize("own", [False, True])
def test_the_exported_file_equals_torch(tmp_path: Path, own: bool) -> None:
    torch.manual_seed(0)
    network = DetNet(Heads(16, own=own)).eval()
    path = tmp_path / "detnet.onnx"
    export.export(network, path)
    file = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        picture = np.random.default_rng(count).integers(0, 255, (count, 224, 224, 3), np.uint8)
        values = dict(zip(TAPS, taps.session(1).run(list(TAPS), {"image": picture}), strict=True))
        fed = {item.name: values[item.name] for item in file.get_inputs()}
        with torch.no_grad():
            expected = network(*(torch.from_numpy(value) for value in fed.values()))
        got = file.run(list(export.OUTPUTS), fed)
        assert np.abs(got[0] - expected[0].numpy()).max() < 1e-3
        for a, b in zip(got[1:], expected[1:], strict=True):
            np.testing.assert_allclose(a, b.numpy(), rtol=1e-3, atol=1e-4)


def test_runs_that_went_on_from_one_another_are_averaged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    first, second = (DetNet(Heads(8)).eval() for _ in range(2))
    states = [{name: values.clone() for name, values in network.state_dict().items()} for network in (first, second)]
    for state, name in zip(states, ("a", "b"), strict=True):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"stage": "heads", "channels": 8}', encoding="utf-8")
        torch.save({"network": state}, tmp_path / name / "best.pt")
    both = export.load(tmp_path / "a", others=[tmp_path / "b"]).state_dict()
    for name, values in both.items():
        torch.testing.assert_close(
            values, (states[0][name] + states[1][name]) / 2 if values.is_floating_point() else values
        )
    assert (both["heads.heat.weight"] - states[0]["heads.heat.weight"]).abs().max() > 0.01
    alone = export.load(tmp_path / "a").state_dict()
    assert torch.equal(alone["heads.heat.weight"], states[0]["heads.heat.weight"])
