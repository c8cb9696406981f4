# SPDX-License-Identifier: GPL-3.0-or-later
"""A take goes to disk and back whole; what is not a take is refused in one sentence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations, take as takes
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.hand.names import SIDES

FRAMES = 5


def make_take() -> takes.Take:
    rng = np.random.default_rng(3)

    def track() -> takes.HandTrack:
        empty = takes.HandTrack.absent(FRAMES)
        rotation = rotations.quaternion_from_vector(rng.normal(size=(FRAMES, 16, 3)))
        return replace(
            empty,
            state=np.array([0, 1, 2, 3, 1], np.uint8),
            confidence=rng.random(FRAMES),
            seen2d=rng.random((FRAMES, 21, 2)),
            rotation=rotation,
            translation=np.where(np.arange(FRAMES)[:, None] == 0, np.nan, rng.random((FRAMES, 3))),
        )

    contacts = np.array([(2, 1, 5, 0.5)], takes.CONTACT_DTYPE)
    corrections = np.array([(1, 0, takes.CorrectionKind.ROTATION, 4, (1, 0, 0, 0))], takes.CORRECTION_DTYPE)
    return takes.Take(
        meta={"rate": [30000, 1001], "source": "clip.mp4", "width": 640, "height": 480},
        frame=np.arange(10, 10 + FRAMES, dtype=np.int32),
        time=np.arange(FRAMES) / 29.97,
        K=np.diag([600.0, 600.0, 1.0]),
        dist=np.zeros(5),
        left=track(),
        right=track(),
        betas=rng.normal(size=10),
        size=0.09,
        contacts=contacts,
        corrections=corrections,
    )


def test_a_hand_that_never_appears_takes_no_room_where_it_is_replaced() -> None:
    views, whole = takes.HandTrack.absent_views(FRAMES), takes.HandTrack.absent(FRAMES)
    for key in takes._TRACK_KEYS:
        view, array = getattr(views, key), getattr(whole, key)
        np.testing.assert_array_equal(view, array)
        assert view.dtype == array.dtype and array.flags.writeable and not view.flags.writeable
        assert view.strides[0] == 0


def test_round_trip_keeps_everything(tmp_path: Path) -> None:
    take = make_take()
    takes.save_take(take, tmp_path / "a.take.npz")
    again = takes.load_take(tmp_path / "a.take.npz")
    assert again.meta == take.meta and again.rate == pytest.approx(29.97003)
    for side in SIDES:
        for key in takes._TRACK_KEYS:
            np.testing.assert_allclose(getattr(again.track(side), key), getattr(take.track(side), key), rtol=1e-6)
    np.testing.assert_array_equal(again.contacts, take.contacts)
    np.testing.assert_array_equal(again.corrections, take.corrections)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.take.npz"]


def test_rotations_are_stored_in_full_precision(tmp_path: Path) -> None:
    take = make_take()
    takes.save_take(take, tmp_path / "a.take.npz")
    again = takes.load_take(tmp_path / "a.take.npz")
    np.testing.assert_array_equal(again.left.rotation, take.left.rotation)


def test_a_take_without_the_optional_keys_still_loads(tmp_path: Path) -> None:
    takes.save_take(make_take(), tmp_path / "full.npz")
    with np.load(tmp_path / "full.npz") as file:
        required = {"schema", "meta", "frame", "time", "K", "betas", "size"}
        kept = {k: file[k] for k in file.files if k in required or k.endswith(("_state", "_rotation", "_translation"))}
    np.savez(tmp_path / "old.npz", **kept)
    old = takes.load_take(tmp_path / "old.npz")
    assert len(old.contacts) == 0 and np.isnan(old.left.points).all() and (old.dist == 0).all()


def with_pair(take: takes.Take) -> takes.Take:
    rng = np.random.default_rng(4)
    valid = np.array([False, True, True, False, True])
    seen = takes.PairTrack(
        vector=np.where(valid[:, None], rng.normal(size=(FRAMES, 3)), np.nan),
        sigma=np.where(valid[:, None], rng.uniform(0.1, 1.0, (FRAMES, 3)), np.nan),
        contact=rng.random((FRAMES, 6, 6)) * valid[:, None, None],
        valid=valid,
    )
    return replace(take, pair=seen)


def test_what_was_seen_of_both_hands_at_once_is_kept(tmp_path: Path) -> None:
    take = with_pair(make_take())
    takes.save_take(take, tmp_path / "pair.npz")
    again = takes.load_take(tmp_path / "pair.npz").pair
    assert take.pair is not None and again is not None
    for key in takes._PAIR_KEYS:
        np.testing.assert_allclose(getattr(again, key), getattr(take.pair, key), rtol=1e-6)
    assert again.valid.dtype == bool


def test_a_take_of_the_first_version_has_no_pair(tmp_path: Path) -> None:
    takes.save_take(make_take(), tmp_path / "a.npz")
    change(tmp_path / "a.npz", schema="handmocap.take/1")
    assert takes.load_take(tmp_path / "a.npz").pair is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pair_vector": np.zeros((FRAMES, 2))}, "pair_vector"),
        ({"pair_valid": np.ones(FRAMES, bool)}, "both hands"),
        ({"pair_sigma": np.zeros((FRAMES, 3))}, "both hands"),
        ({"pair_contact": np.full((FRAMES, 6, 6), 1.5)}, "both hands"),
    ],
)
def test_a_bad_pair_is_refused(tmp_path: Path, values: dict[str, object], words: str) -> None:
    takes.save_take(with_pair(make_take()), tmp_path / "bad.npz")
    change(tmp_path / "bad.npz", **values)
    with pytest.raises(BadInputError, match=words):
        takes.load_take(tmp_path / "bad.npz")


def change(path: Path, **values: object) -> None:
    with np.load(path) as file:
        data = {k: file[k] for k in file.files}
    data.update({k: np.asarray(v) for k, v in values.items()})
    np.savez(path, **data)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schema": "handmocap.take/99"}, "newer HandMocap"),
        ({"schema": "something/1"}, "not a HandMocap take"),
        ({"size": np.nan}, "not finite"),
        ({"left_translation": np.full((FRAMES, 3), np.nan)}, "left_translation"),
        ({"right_rotation": np.zeros((FRAMES, 15, 4))}, "right_rotation"),
        ({"meta": "{"}, "says about itself is damaged"),
        ({"meta": "[1]"}, "says about itself is damaged"),
        ({"K": np.zeros((2, 2))}, "K has shape"),
        ({"K": np.tile(np.eye(3), (FRAMES + 1, 1, 1))}, "K has shape"),
        ({"dist": np.zeros(3)}, "dist has shape"),
        ({"betas": np.zeros(3)}, "betas has shape"),
        ({"time": np.zeros(FRAMES + 1)}, "time has shape"),
        ({"frame": np.zeros((FRAMES, 2))}, "frame has shape"),
        ({"contacts": np.zeros((3, 4))}, "contacts are records of another kind"),
        ({"corrections": np.zeros(3, [("frame", "<i4")])}, "corrections are records of another kind"),
    ],
)
def test_bad_takes_are_refused_in_one_sentence(tmp_path: Path, values: dict[str, object], words: str) -> None:
    path = tmp_path / "bad.npz"
    takes.save_take(make_take(), path)
    change(path, **values)
    with pytest.raises(BadInputError, match=words) as error:
        takes.load_take(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken"])
def test_files_that_are_no_takes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"no \.npz file"):
        takes.load_take(path)
    with pytest.raises(BadInputError, match="no take"):
        takes.load_take(tmp_path / "missing.npz")


def test_a_pickle_inside_a_take_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.npz"
    takes.save_take(make_take(), path)

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return (Path.touch, (tmp_path / "ran",))

    with np.load(path) as file:
        data = {k: file[k] for k in file.files}
    np.savez(path, **{**data, "betas": np.array([Evil()], dtype=object)})
    with pytest.raises(BadInputError):
        takes.load_take(path)
    assert not (tmp_path / "ran").exists()


def test_an_unwritable_place_is_one_sentence_and_keeps_the_old_file(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("x")
    with pytest.raises(BadInputError, match="could not be written"):
        takes.save_take(make_take(), blocked / "a.take.npz")
    assert blocked.read_text() == "x"
