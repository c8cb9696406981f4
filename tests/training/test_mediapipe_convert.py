# SPDX-License-Identifier: GPL-3.0-or-later
"""The converted networks against outputs of the originals, made once with LiteRT from the same pictures."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "blender_handmocap" / "models"
GOLDEN = Path(__file__).parent / "data" / "mediapipe_outputs.npz"


def pictures(size: int) -> np.ndarray:
    """(6, size, size, 3) noise from coarse to fine, enlarged to the nearest cell."""
    random = np.random.default_rng(7)
    found = []
    for level in range(6):
        cells = min(3 * 2**level, size) if level < 5 else size
        small = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        index = np.arange(size) * cells // size
        found.append(small[index][:, index])
    return np.stack(found)


def session(name: str) -> onnxruntime.InferenceSession:
    path = MODELS / name
    if not path.exists():
        pytest.skip(f"{name} is made by `build.py models`")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def wheel() -> Path:
    named = os.environ.get("HANDMOCAP_MEDIAPIPE_WHEEL")
    found = [Path(named)] if named else sorted(ROOT.glob("out/**/mediapipe-0.10.21-*.whl"))
    if not found:
        pytest.skip("the mediapipe wheel is fetched by `build.py models`; or name it in HANDMOCAP_MEDIAPIPE_WHEEL")
    return found[0]


def test_hand_network_matches_the_original() -> None:
    golden = np.load(GOLDEN)
    names = ["landmarks", "presence", "handedness", "world"]
    outputs = session("mediapipe_hand.onnx").run(names, {"image": pictures(224)})
    limits = {"landmarks": 6e-4, "presence": 5e-6, "handedness": 5e-6, "world": 1e-6}
    for name, output in zip(names, outputs, strict=True):
        assert np.abs(output - golden[name]).max() < limits[name], name
    assert np.ptp(golden["landmarks"]) > 50


def test_palm_network_matches_the_original() -> None:
    golden = np.load(GOLDEN)
    boxes, scores = session("mediapipe_palm.onnx").run(["boxes", "scores"], {"image": pictures(192)})
    assert boxes.shape == (6, 2016, 18)
    assert np.abs(boxes[:, golden["anchors"]] - golden["boxes"]).max() < 6e-4
    assert np.abs(scores[:, golden["anchors"]] - golden["scores"]).max() < 1e-4


def test_a_batch_equals_single_pictures() -> None:
    network = session("mediapipe_hand.onnx")
    together = network.run(["landmarks"], {"image": pictures(224)})[0]
    apart = [network.run(["landmarks"], {"image": picture[None]})[0] for picture in pictures(224)]
    np.testing.assert_allclose(together, np.concatenate(apart), atol=5e-4)


def test_feature_maps_come_from_the_same_pass() -> None:
    names = ["features_56", "features_28", "features_14", "features_7"]
    maps = session("mediapipe_hand.onnx").run(names, {"image": pictures(224)[:1]})
    assert [m.shape[1:] for m in maps] == [(24, 56, 56), (40, 28, 28), (112, 14, 14), (192, 7, 7)]
    names = ["trunk_24", "features_24", "features_12"]
    maps = session("mediapipe_palm.onnx").run(names, {"image": pictures(192)[:1]})
    assert [m.shape[1:] for m in maps] == [(128, 24, 24), (128, 24, 24), (256, 12, 12)]


def test_conversion_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("tflite")
    pytest.importorskip("onnx")
    from training.mediapipe.convert import convert_all

    files = convert_all(wheel(), tmp_path / "first") + convert_all(wheel(), tmp_path / "second")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert digests[:3] == digests[3:]
    for path in files[:3]:
        built = MODELS / path.name
        if built.exists():
            assert built.read_bytes() == path.read_bytes()


def test_a_wrong_wheel_is_refused_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tflite")
    pytest.importorskip("onnx")
    from training.mediapipe import convert

    fake = tmp_path / "mediapipe.whl"
    for content in (None, b"not a zip"):
        if content is not None:
            fake.write_bytes(content)
        assert convert.main(["--wheel", str(fake), "--out", str(tmp_path)]) == 2
        assert "0.10.21" in capsys.readouterr().err
    with zipfile.ZipFile(fake, "w") as archive:
        for network in convert.NETWORKS:
            archive.writestr(network.member, b"other weights")
        archive.writestr(convert.LICENSE_FILE, b"")
    assert convert.main(["--wheel", str(fake), "--out", str(tmp_path)]) == 2
    assert "sha256" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.onnx"))
