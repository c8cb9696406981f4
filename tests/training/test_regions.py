# SPDX-License-Identifier: GPL-3.0-or-later
"""What the region finder and the judge are taught, and that what is written reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")

from blender_handmocap.engine.hand.names import SIDES  # noqa: E402
from blender_handmocap.engine.see.crops import PALM_INPUT, crop_of_hand  # noqa: E402
from blender_handmocap.engine.see.regions import decoded  # noqa: E402
from training.regions import finder as finding, judge, network, pictures  # noqa: E402
from training.regions.pictures import ABSENT, HARDLY, THERE, UNKNOWN  # noqa: E402

HAND = np.random.default_rng(5).uniform(-1.0, 1.0, (21, 2)).astype(np.float32)
WHOLE = np.array([PALM_INPUT / 2, PALM_INPUT / 2, PALM_INPUT, PALM_INPUT, 0.0])


def labels(**places: tuple[float, float, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """Points and presence of hands by side: x, y, half size, presence."""
    points, present = np.zeros((2, 21, 2), np.float32), np.zeros(2, np.uint8)
    for side, (x, y, size, state) in places.items():
        points[SIDES.index(side)] = HAND * size + [x, y]
        present[SIDES.index(side)] = state
    return points, present


def test_targets_read_back_as_the_crops_they_were_made_of() -> None:
    # Two hands laid on each other, and one whose crop's centre lies outside of the picture.
    points, present = labels(left=(90, 80, 30, THERE), right=(92, 81, 28, THERE))
    centre, _, shape, _ = network.targets_of(points, present)
    regions = decoded(centre, shape, WHOLE, 0.9)
    assert sorted(region.side for region in regions) == ["left", "right"]
    for region in regions:
        expected = crop_of_hand(points[SIDES.index(region.side)].astype(np.float64))
        np.testing.assert_allclose(region.crop, expected, atol=1e-3)
    points, present = labels(left=(-25, 80, 30, THERE))
    centre, _, shape, _ = network.targets_of(points, present)
    (region,) = decoded(centre, shape, WHOLE, 0.9)
    np.testing.assert_allclose(region.crop, crop_of_hand(points[0].astype(np.float64)), atol=1e-3)


def test_a_part_of_a_picture_is_read_in_the_pictures_pixels() -> None:
    points, present = labels(right=(120, 70, 25, THERE))
    centre, _, shape, _ = network.targets_of(points, present)
    part = np.array([400.0, 300.0, 384.0, 384.0, 0.0])
    (region,) = decoded(centre, shape, part, 0.9)
    own = crop_of_hand(points[1].astype(np.float64))
    np.testing.assert_allclose(region.crop[:2], own[:2] * 2 + [400 - 192, 300 - 192], atol=1e-2)
    assert region.crop[2] == pytest.approx(2 * own[2], rel=1e-4)


def test_a_mirrored_row_says_the_other_side_in_the_mirrored_place() -> None:
    points, present = labels(left=(50, 80, 20, THERE), right=(150, 90, 20, ABSENT))
    other, there = network.mirrored(points, present)
    assert list(there) == [ABSENT, THERE]
    np.testing.assert_allclose(other[1, :, 0], PALM_INPUT - 1 - points[0, :, 0])


def test_what_is_not_known_teaches_nothing() -> None:
    points, present = labels(left=(50, 80, 30, THERE), right=(150, 80, 30, UNKNOWN))
    _, counts, _, weight = network.targets_of(points, present)
    # Of the right hand all that is known is that it is not the left one.
    assert counts[0].all() and 0 < counts[1].sum() < 100 and counts[1, 10, 6] == 1 and not weight[1].any()
    points, present = labels(right=(100, 100, 40, HARDLY))
    centre, counts, _, weight = network.targets_of(points, present)
    assert not centre.any() and not weight.any() and counts[1].min() == 0 and counts[0].all()


def test_the_loss_is_least_where_the_truth_is_said() -> None:
    made = [network.targets_of(*labels(left=(50, 80, 30, THERE), right=(140, 80, 30, THERE)))]
    truth = network.Targets(*(torch.from_numpy(np.stack(part)) for part in zip(*made, strict=True)))
    right = torch.where(truth.centre > 0.999, 6.0, -6.0)
    good, _, off = network.loss(right, truth.shape, truth)
    assert off == 0.0
    swapped, _, _ = network.loss(right.flip(1), truth.shape, truth)
    nothing, _, _ = network.loss(torch.full_like(right, -6.0), truth.shape, truth)
    assert float(good) < 0.1 < 2.0 < min(float(swapped), float(nothing))


def test_drawn_rows_are_letterboxed_and_the_same_again(tmp_path: Path) -> None:
    pictures.write_shard(tmp_path / "a", 3, 0, 4)
    pictures.write_shard(tmp_path / "b", 3, 0, 4)
    image, points, present = (np.load(tmp_path / "a" / f"{name}.npy") for name in ("image", "points", "present"))
    assert image.shape == (4, PALM_INPUT, PALM_INPUT, 3) and points.shape == (4, 2, 21, 2)
    assert set(np.unique(present)) <= {ABSENT, THERE, HARDLY}
    np.testing.assert_array_equal(image, np.load(tmp_path / "b" / "image.npy"))


def test_exported_networks_answer_as_the_trained_ones(tmp_path: Path) -> None:
    torch.manual_seed(0)
    finder, decider = network.Finder().eval(), judge.Judge().eval()
    finding.export(finder, tmp_path / "finder.onnx")
    judge.export(decider, tmp_path / "judge.onnx")
    taps = {
        name: torch.randn(1, width, finding.TAP_GRID[name], finding.TAP_GRID[name])
        for name, width in finding.TAPS.items()
    }
    session = onnxruntime.InferenceSession(str(tmp_path / "finder.onnx"), providers=["CPUExecutionProvider"])
    centres, shapes = session.run(list(finding.OUTPUTS), {name: values.numpy() for name, values in taps.items()})
    with torch.no_grad():
        logits, own_shapes = finder(**taps)
        crops = {"features_14": torch.randn(1, 112, 14, 14), "features_7": torch.randn(1, 192, 7, 7)}
        said = torch.sigmoid(decider(**crops)).numpy()[0]
    np.testing.assert_allclose(centres, torch.sigmoid(logits).numpy(), atol=2e-3)
    np.testing.assert_allclose(shapes, own_shapes.numpy(), atol=2e-2)
    session = onnxruntime.InferenceSession(str(tmp_path / "judge.onnx"), providers=["CPUExecutionProvider"])
    told = session.run(list(judge.OUTPUTS), {name: values.numpy() for name, values in crops.items()})
    np.testing.assert_allclose(np.concatenate(told), said, atol=2e-3)
