# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair network: labels are the drawn truth, losses are what they say, runs resume, the file equals torch."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from blender_handmocap.engine.hand.names import SIDES
from training.detnet.shards import find
from training.detnet.trunk import TAPS
from training.footage import dataset, mesh_gap
from training.footage.situations import Mixture
from training.footage.two_hands import PATTERN_FILE, TOUCH
from training.pair import export
from training.pair.labels import LEFT, RIGHT, labels_of
from training.pair.losses import Weights, heat_shares, loss, targets
from training.pair.network import GRID, PairHeads, PairNet
from training.pair.train import Config, Data, Run, validate

ROWS = 40


def made_labels(seed: int, rows: int = ROWS) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    present = np.ones((rows, 2), np.uint8)
    present[::4, LEFT] = 0
    gap = np.full((rows, 6, 6), mesh_gap.FAR, np.float32)
    gap[1::4, 1, 2] = 0.0
    return {
        "known": np.ones(rows, np.uint8),
        "present": present,
        "points2d": random.uniform(30, 190, (rows, 2, 21, 2)).astype("f4") * present[..., None, None],
        "points3d": random.normal(size=(rows, 2, 21, 3)).astype("f4") * 0.05 * present[..., None, None],
        "palm": np.full(rows, 0.09, np.float32),
        "gap": gap,
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    root, labels = tmp_path_factory.mktemp("shards"), tmp_path_factory.mktemp("labels")
    random = np.random.default_rng(0)
    for k in range(2):
        folder = root / f"train-000-0000{k}"
        folder.mkdir()
        for name in ("points2d", "points3d", "visible", "use_2d", "flags"):
            np.save(folder / f"{name}.npy", np.ones((ROWS, 3), np.float32))
        for name, shape in export.SHAPES.items():
            np.save(folder / f"{name}.npy", random.normal(size=(ROWS, *shape)).astype(np.float16))
        np.savez(labels / f"{folder.name}.npz", **made_labels(k))
    (labels / "train-000-00009.npz").write_bytes((labels / "train-000-00000.npz").read_bytes())
    return Data(find(root, complete=list(TAPS)[-1]), labels)


def test_shares_peak_where_the_point_is() -> None:
    share = heat_shares(torch.tensor([[[0.25, 0.75]]])).reshape(GRID, GRID)
    assert float(share.sum()) == pytest.approx(1.0, abs=1e-4)
    rows, columns = torch.meshgrid(*[(torch.arange(GRID) + 0.5) / GRID] * 2, indexing="ij")
    assert float((share * columns).sum()) == pytest.approx(0.25, abs=2e-3)
    assert float((share * rows).sum()) == pytest.approx(0.75, abs=2e-3)


def test_targets_are_in_palm_lengths_from_the_right_wrist() -> None:
    labels = made_labels(3, 4)
    labels["points3d"][1, LEFT, 0], labels["points3d"][1, RIGHT, 0] = (0.09, 0.0, 0.36), (0.0, -0.18, 0.18)
    labels["gap"][2, 3, 4] = 0.003
    truth = targets(labels)
    np.testing.assert_allclose(truth.vector[1].numpy(), [1.0, 2.0, 2.0], rtol=1e-5)
    assert truth.depth[1, RIGHT, 0] == 0.0 and float(truth.depth[1, LEFT, 0]) == pytest.approx(2.0, rel=1e-5)
    assert truth.both.tolist() == [0.0, 1.0, 1.0, 1.0]
    assert truth.contact[1].nonzero().tolist() == [[1, 2]] and truth.contact[2].sum() == 0
    # Between touch and clearly apart a label says nothing.
    assert truth.contact_known[2, 3, 4] == 0.0 and truth.contact_known.sum() == 4 * 36 - 1


def test_a_perfect_answer_costs_nothing_where_there_is_a_truth() -> None:
    truth = targets(made_labels(4))
    count = len(truth.present)
    out = {
        "logits": torch.zeros(count, 42, GRID, GRID),
        "position": truth.position.clone(),
        "depth": truth.depth.clone(),
        "log_error": torch.zeros(count, 2, 21),
        "vector": truth.vector.clone(),
        "log_sigma": torch.zeros(count, 3),
        "present": (truth.present - 0.5) * 60,
        "left_nearer": ((truth.vector[:, 2] < 0).float() - 0.5) * 60,
        "contact": (truth.contact - 0.5) * 60,
    }
    alone = truth.present[:, LEFT] == 0
    for name in ("position", "depth"):
        out[name][alone, LEFT] += 5.0
    out["vector"][alone] -= 7.0
    terms = loss(out, truth, Weights())[1]
    for name in ("position", "depth", "vector", "present", "nearer", "contact"):
        assert terms[name] == pytest.approx(0.0, abs=1e-6), name
    out["vector"][:, 2] += 0.5
    assert loss(out, truth, Weights())[1]["vector"] == pytest.approx(0.5 / 3, rel=1e-4)
    assert float(loss(out, truth, replace(Weights(), vector=0.0, sigma=0.0))[0]) < float(loss(out, truth, Weights())[0])


def test_rows_drawn_hold_the_wished_share_of_pairs_and_none_held_out(data: Data) -> None:
    rows = data.draw(np.random.default_rng(0), 32, 0.75)
    assert (np.diff(rows) > 0).all() and not set(rows) & set(data.validation)
    both = data.labels["present"][rows].sum(1) == 2
    assert both.sum() == 24


def test_a_run_learns_stops_and_goes_on(data: Data, tmp_path: Path) -> None:
    small = {"channels": 8, "batch": 16}
    run = Run(tmp_path, Config(**small, samples=64), data)
    before = validate(run.heads, data, data.training)["vector"]
    run.train(every=32)
    assert run.seen == 64 and (tmp_path / "best.pt").exists()
    longer = Run(tmp_path, Config(**small, samples=800), data)
    assert longer.seen == 64
    for mine, theirs in zip(longer.heads.parameters(), run.heads.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    longer.train(every=800)
    assert validate(longer.heads, data, data.training)["vector"] < before


def test_the_file_equals_torch_for_any_number_of_crops(data: Data, tmp_path: Path) -> None:
    torch.manual_seed(0)
    heads = PairHeads(8)
    heads.set_statistics(data.shards.statistics())
    network = PairNet(heads).eval()
    with torch.no_grad():
        for value in (*network.parameters(), *network.buffers()):
            if value.dtype == torch.float32:
                value.copy_(value.half().float())
    export.export(network, tmp_path / "pair.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "pair.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 3):
        given = data.features(np.arange(count))
        with torch.no_grad():
            expected = network(**given)
        found = session.run(list(export.OUTPUTS), {name: value.numpy() for name, value in given.items()})
        for got, want in zip(found, expected, strict=True):
            np.testing.assert_allclose(got, want.numpy(), rtol=1e-3, atol=2e-3)


@pytest.mark.slow
@pytest.mark.skipif(not PATTERN_FILE.exists(), reason="the contact patterns are not there")
def test_labels_are_what_was_drawn(tmp_path: Path) -> None:
    settings = dataset.Settings(mixture=Mixture(touching=0.8, near=0.2, apart=0.0))
    rows = 6
    dataset.write_shard(tmp_path / "train-000-00000", settings, 0, rows)
    labels = labels_of(tmp_path / "train-000-00000", settings)
    both = 0
    for index, row in zip(range(rows), dataset.stream(settings, 0), strict=False):
        if not (row.shows_hand and row.right_side):
            continue
        assert labels["known"][index]
        for hand in row.crop.picture.hands:
            slot = SIDES.index(hand.pose.side)
            if labels["present"][index, slot]:
                np.testing.assert_allclose(labels["points2d"][index, slot], hand.keypoints2d, atol=0.01)
        apart = labels["points3d"][index, LEFT, 0] - labels["points3d"][index, RIGHT, 0]
        hands = {hand.pose.side: hand for hand in row.crop.picture.hands}
        if labels["present"][index].all():
            both += 1
            true = hands["left"].keypoints3d[0] - hands["right"].keypoints3d[0]
            assert np.linalg.norm(apart) == pytest.approx(np.linalg.norm(true), abs=1e-4)
    assert both > 0
    assert (labels["gap"] <= TOUCH).any()
    # Another version of what draws makes other scenes: rows are left out, never wrong.
    truth = dict(np.load(tmp_path / "train-000-00000" / "truth.npz"))
    truth["translation"] += 0.05
    np.savez(tmp_path / "train-000-00000" / "truth.npz", **truth)
    changed = labels_of(tmp_path / "train-000-00000", settings)
    assert changed["known"].sum() < labels["known"].sum() and not changed["present"][:, LEFT].any()


def test_shards_without_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"training\.pair\.labels"):
        Data([tmp_path / "train-000-00000"], tmp_path)
