# SPDX-License-Identifier: GPL-3.0-or-later
"""MANO files are read whole and never run."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from mano_files import joint_regressor, mano_tables, write_mano_pickle

from blender_handmocap.engine import rotations
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.mano import hinges_from_joints, load_mano, mano_translation, wrist_from_mano
from blender_handmocap.engine.hand.names import SIDES, Side
from blender_handmocap.engine.hand.safe_pickle import LARGEST_FILE, read_data


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("chumpy", [True, False])
def test_the_free_hand_comes_back_from_a_mano_file(tmp_path: Path, side: Side, chumpy: bool) -> None:
    path = tmp_path / "MANO.pkl"
    write_mano_pickle(path, side, posed=False, chumpy=chumpy)
    model, free = load_mano(path, side), free_hand(side)
    random = np.random.default_rng(2)
    rotation = rotations.quaternion_from_vector(random.normal(size=(5, 16, 3)) * 0.4)
    place, betas = random.normal(size=(5, 3)), random.normal(size=10)
    rest, ours = model.rest(betas, 0.09), free.rest(betas, 0.09)
    np.testing.assert_allclose(rest.joints, ours.joints, atol=1e-6)
    np.testing.assert_allclose(rest.tips, ours.tips, atol=0.004)
    mine = model.vertices(rotation, place, rest)
    np.testing.assert_allclose(mine, free.vertices(rotation, place, ours), atol=1e-6)
    assert model.pose_dirs is None and model.id == "mano"


def test_an_npz_with_the_same_keys_is_read_too(tmp_path: Path) -> None:
    np.savez(tmp_path / "hand.npz", **mano_tables("right"))
    model = load_mano(tmp_path / "hand.npz", "right")
    assert model.pose_dirs is not None and model.pose_dirs.shape[0] == 135


def test_a_left_hand_with_the_published_defect_is_mended(tmp_path: Path) -> None:
    tables = mano_tables("left")
    tables["shapedirs"] = tables["shapedirs"] * [[[-1.0], [1.0], [1.0]]]
    np.savez(tmp_path / "left.npz", **tables)
    mended = load_mano(tmp_path / "left.npz", "left")
    np.testing.assert_allclose(mended.shape_dirs, free_hand("left").shape_dirs, atol=1e-12)
    asis = load_mano(tmp_path / "left.npz", "left", mend_left_shape=False)
    np.testing.assert_allclose(asis.shape_dirs[..., 0], -mended.shape_dirs[..., 0])


def test_translations_go_to_mano_and_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "hand.npz", **mano_tables("right"))
    model = load_mano(tmp_path / "hand.npz", "right")
    betas, wrist = np.linspace(-1, 1, 10), np.array([[0.1, 0.2, 0.5]])
    np.testing.assert_allclose(wrist_from_mano(model, betas, mano_translation(model, betas, wrist)), wrist)


@pytest.mark.parametrize("side", SIDES)
def test_hinges_of_the_same_joints_are_the_free_hands(tmp_path: Path, side: Side) -> None:
    np.savez(tmp_path / "hand.npz", **mano_tables(side))
    hinges, free = hinges_from_joints(load_mano(tmp_path / "hand.npz", side)), free_hinges(side)
    angle = rotations.vector_from_matrix(np.swapaxes(hinges.frame, -1, -2) @ free.frame)
    # Tips of a file without tip ids are found on the mesh, so the last joints' axes may differ a little.
    assert np.degrees(np.linalg.norm(angle, axis=-1)).max() < 12.0
    np.testing.assert_allclose(
        np.swapaxes(hinges.frame, -1, -2) @ hinges.frame, np.tile(np.eye(3), (16, 1, 1)), atol=1e-6
    )


class Runs:
    """A payload: unpickled the ordinary way it calls `function`."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[object, ...]:
        return self.call


def hostile_files(marker: Path) -> dict[str, bytes]:
    touch = f"import pathlib; pathlib.Path({str(marker)!r}).touch()"
    raw_global = b"cos\nsystem\n(S'touch %s'\ntR." % str(marker).encode()
    return {
        "system": pickle.dumps(Runs(os.system, f"touch {marker}"), protocol=2),
        "exec": pickle.dumps({"v_template": Runs(exec, touch)}, protocol=2),
        "nested": pickle.dumps([({"f": [Runs(eval, "__import__('os').getpid()")]},)], protocol=4),
        "old style": raw_global,
        "numpy load": pickle.dumps(Runs(np.load, str(marker)), protocol=2),
        "object array": pickle.dumps({"f": np.array([Runs(os.system, f"touch {marker}")], dtype=object)}, protocol=2),
        "build": b"\x80\x02cbuiltins\ngetattr\n(cos\nsystem\nX\x04\x00\x00\x00nametR.",
        "stack global": b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        "instance": b"(S'true'\nios\nsystem\n.",
        "persistent": b"\x80\x02X\x01\x00\x00\x00aQ.",
        "extension": b"\x80\x02\x82\x01.",
        "memo bomb": b"\x80\x02Nr" + struct.pack("<I", 2**31) + b".",
        "changed function": b"\x80\x02c_codecs\nencode\n(NX\x0c\x00\x00\x00__defaults__K\x01\x85\x86d\x86b.",
        "changed class": b"\x80\x02cnumpy\nndarray\n}X\x01\x00\x00\x00aK\x01sb.",
        "many times itself": b"\x80\x02]q\x00"
        + b"".join(b"](" + (b"h" + bytes([level])) * 16 + b"eq" + bytes([level + 1]) for level in range(60))
        + b".",
        "within itself": b"\x80\x02]q\x00h\x00a.",
        "long length": b"\x80\x02T" + struct.pack("<i", 2**30) + b"x",
    }


@pytest.mark.parametrize("name", sorted(hostile_files(Path("x"))))
def test_a_hostile_pickle_runs_nothing_and_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "ran"
    path = tmp_path / "MANO_RIGHT.pkl"
    path.write_bytes(hostile_files(marker)[name])
    with pytest.raises(BadInputError) as error:
        load_mano(path, "right")
    assert "\n" not in str(error.value)
    assert not marker.exists()


def test_arrays_that_lie_about_their_size_are_refused(tmp_path: Path) -> None:
    raw = pickle.dumps({"v_template": np.arange(12.0).reshape(4, 3)}, protocol=2)
    lying = raw.replace(b"K\x04K\x03\x86", b"K\x05K\x03\x86")
    assert lying != raw
    (tmp_path / "a.pkl").write_bytes(lying)
    with pytest.raises(BadInputError, match="do not fit"):
        read_data(tmp_path / "a.pkl")


def test_a_sparse_matrix_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    write_mano_pickle(tmp_path / "a.pkl", "right")
    raw = (tmp_path / "a.pkl").read_bytes()
    starts = np.concatenate([[0], np.cumsum((joint_regressor() != 0).sum(0))]).astype(np.int32)
    # In protocol 2 an array's bytes are text, its high bytes two characters of UTF-8.
    honest = starts.tobytes().decode("latin1").encode("utf-8")
    assert honest in raw
    starts[-1] = 2**30
    claiming = starts.tobytes().decode("latin1").encode("utf-8")
    length = struct.pack("<I", len(honest)) + honest
    (tmp_path / "a.pkl").write_bytes(raw.replace(length, struct.pack("<I", len(claiming)) + claiming))
    with pytest.raises(BadInputError, match="parts do not fit"):
        read_data(tmp_path / "a.pkl")


def test_truncated_wrong_and_huge_files_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "MANO_RIGHT.pkl"
    write_mano_pickle(path, "right")
    whole = path.read_bytes()
    for content in (b"", whole[: len(whole) // 2], whole[:-1], b"hello", b"\x80\x02}.", pickle.dumps([1, 2])):
        path.write_bytes(content)
        with pytest.raises(BadInputError) as error:
            load_mano(path, "right")
        assert "\n" not in str(error.value)
    with path.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    with pytest.raises(BadInputError, match="larger than"):
        load_mano(path, "right")
    with pytest.raises(BadInputError):
        load_mano(tmp_path / "missing.pkl", "right")


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("v_template", np.full((778, 3), np.nan), "v_template"),
        ("weights", np.ones((3, 16)), "weights"),
        ("kintree_table", np.zeros((2, 16), int), "another order"),
        ("f", np.array([[0, 1, 10**6]]), "not there"),
        ("shapedirs", np.zeros((778, 3, 4)), "shapedirs"),
    ],
)
def test_tables_that_are_no_hand_are_named(tmp_path: Path, key: str, value: np.ndarray, words: str) -> None:
    np.savez(tmp_path / "x.npz", **{**mano_tables("right"), key: value})
    with pytest.raises(BadInputError, match=words):
        load_mano(tmp_path / "x.npz", "right")
