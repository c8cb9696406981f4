# SPDX-License-Identifier: GPL-3.0-or-later
"""The maps' surface code, losses, and that what is written reads back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("scipy")
pytest.importorskip("numba")

from blender_handmocap.engine.hand.free import free_hand  # noqa: E402
from blender_handmocap.engine.see.maps import MapsCalibration  # noqa: E402
from blender_handmocap.engine.take import MATCHES  # noqa: E402
from training.maps import files, learn, network, surface  # noqa: E402
from training.maps.data import Maps  # noqa: E402


@pytest.fixture(scope="module")
def code() -> surface.SurfaceCode:
    return surface.surface_code()


def test_codes_keep_ways_along_the_surface(code: surface.SurfaceCode) -> None:
    assert code.code[:, 2].min() == pytest.approx(0.0) and code.code[:, 2].max() <= 1.0
    assert np.linalg.norm(code.code[:, :2], axis=1).max() <= 0.5 + 1e-9
    assert code.stress < 0.12
    way = surface.ways()
    np.testing.assert_allclose(way, way.T)
    # No way is shorter than the straight line.
    some = np.arange(0, len(way), 40)
    straight = np.linalg.norm(free_hand("right").template[some, None] - free_hand("right").template[some], axis=-1)
    assert (way[np.ix_(some, some)] >= straight - 1e-9).all()
    # Back and palm of one place are told apart although they lie near each other.
    skin = free_hand("right").template
    knuckle = free_hand("right").joints[4]
    about = np.flatnonzero(np.linalg.norm(skin - knuckle, axis=1) < 0.02)
    above, below = about[skin[about, 1].argmax()], about[skin[about, 1].argmin()]
    assert np.linalg.norm(code.code[above] - code.code[below]) > 0.08


def test_points_between_vertices_have_codes_between_and_the_forearm_none(code: surface.SurfaceCode) -> None:
    skin = free_hand("right").template
    mixed, there = code.at(skin[::50])
    np.testing.assert_allclose(mixed, code.code[::50], atol=0.02)
    assert there[skin[::50, 0] < 0.0].all()
    assert not code.at(np.array([[0.2, 0.0, 0.0], [0.0, 0.5, 0.0]]))[1].any()
    chosen = code.spread(MATCHES)
    assert len(set(chosen.tolist())) == MATCHES
    apart = surface.ways()[np.ix_(chosen, chosen)] + np.eye(MATCHES)
    assert apart.min() > 0.012
    colours = surface.colours(code.code[None])
    assert colours.shape == (1, len(skin), 3) and colours.std() > 30


def test_the_known_points_are_the_first_guess() -> None:
    torch.manual_seed(0)
    points = torch.rand(1, 2, 21, 2) * 0.4 + 0.2
    points[0, 0, 7] = 0.9
    codes = torch.rand(21, 3)
    classes = torch.zeros(1, 3, 56, 56)
    classes[:, 1] = 1.0
    told = network.known_code(points, torch.ones(1, 2), codes, classes)
    x, y = (points[0, 0, 7] * 56).long().tolist()
    torch.testing.assert_close(told[0, :, y, x], codes[7], atol=1e-3, rtol=0.0)
    nothing = network.known_code(points, torch.zeros(1, 2), codes, classes)
    torch.testing.assert_close(nothing[0, :, 0, 0], codes.mean(0))
    bells = network.heatmaps(points, 28, 0.035)
    places, height = learn.peaks(bells)
    torch.testing.assert_close(places, points, atol=3e-3, rtol=0.0)
    assert (height > 0.76).all()
    assert not network.known_maps(points, torch.zeros(1, 2)).any()


def made_maps() -> Maps:
    classes = torch.zeros(2, 56, 56, dtype=torch.long)
    classes[0, :20] = 1
    classes[0, 30:] = 2
    placed = (classes > 0).float()
    between = torch.where(classes == 1, 0.4, -0.4) * placed
    return Maps(
        classes=classes,
        code=torch.rand(2, 3, 56, 56),
        within=torch.rand(2, 56, 56),
        between=between,
        placed=placed,
        related=placed,
        heat=torch.zeros(2, 2, 21, 28, 28),
        heat_known=torch.tensor([1.0, 0.0]),
    )


def test_a_perfect_answer_costs_nothing_and_what_is_not_known_does_not_count() -> None:
    truth = made_maps()
    logits = 50.0 * torch.nn.functional.one_hot(truth.classes, 3).permute(0, 3, 1, 2).float()
    out = {"logits": logits, "code": truth.code, "within": truth.within, "between": truth.between, "heat": truth.heat}
    total, terms = learn.loss(out, truth, learn.Weights())
    assert float(total) == pytest.approx(0.0, abs=1e-6) and set(terms) == {
        "classes",
        "code",
        "within",
        "between",
        "heat",
    }
    # Cells without a hand, and points of a crop of which nothing is said.
    wrong = {**out, "code": truth.code.clone(), "heat": truth.heat.clone()}
    wrong["code"][1] = 9.0
    wrong["heat"][1] = 9.0
    assert float(learn.loss(wrong, truth, learn.Weights())[0]) == pytest.approx(0.0, abs=1e-6)
    wrong["heat"][0, 0, 0, 0, 0] = 1.0
    assert float(learn.loss(wrong, truth, learn.Weights())[0]) > 0.0
    # How hands that were pasted together stand to each other.
    apart = {**out, "between": truth.between + 9.0}
    unrelated = replace(truth, related=torch.zeros_like(truth.placed))
    assert float(learn.loss(apart, truth, learn.Weights())[0]) > 1.0
    assert float(learn.loss(apart, unrelated, learn.Weights())[0]) == pytest.approx(0.0, abs=1e-6)
    assert learn.between_hands(truth.classes, truth.between).tolist() == pytest.approx([0.4, 0.0])


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = network.MapsNet(network.MapHeads())
    constants = MapsCalibration(
        np.arange(MATCHES, dtype=np.int32), np.zeros((MATCHES, 3)), np.ones(2), np.arange(6.0), np.ones(6)
    )
    path = tmp_path / "maps.onnx"
    files.write(net, path, constants)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    text = session.get_modelmeta().custom_metadata_map["calibration"]
    assert MapsCalibration.from_text(text).heat.tolist() == [0, 1, 2, 3, 4, 5]
    sizes = {"features_56": 56, "features_28": 28, "features_14": 14, "features_7": 7}
    given = {name: torch.randn(1, width, sizes[name], sizes[name]) for name, width in network.TAPS.items()}
    given |= {"points_seen": torch.rand(1, 2, 21, 2), "known": torch.ones(1, 2)}
    with torch.no_grad():
        expected = net(*given.values())
    out = session.run(list(network.OUTPUTS), {name: value.numpy() for name, value in given.items()})
    for said, true in zip(out, expected, strict=True):
        np.testing.assert_allclose(said, true.numpy(), atol=2e-2)
