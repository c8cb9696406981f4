# SPDX-License-Identifier: GPL-3.0-or-later
"""Footage of every kind, whole and damaged. The clips show red, green, blue and a grey that tells the frame."""

from __future__ import annotations

import struct
import threading
import time
import tracemalloc
import zlib
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from blender_handmocap.engine import footage as footage_module
from blender_handmocap.engine.errors import BadInputError
from blender_handmocap.engine.footage import Frame, open_footage
from blender_handmocap.engine.footage_metadata import read_metadata, standard_range_table
from blender_handmocap.engine.footage_stream import read_ahead, read_latest

CLIPS = Path(__file__).parent / "data" / "footage"
RED, GREEN, BLUE = (200, 30, 30), (30, 200, 30), (30, 30, 200)


def picture(index: int = 0, width: int = 64, height: int = 48) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2], image[: height // 2, width // 2 :] = RED, GREEN
    image[height // 2 :, : width // 2], image[height // 2 :, width // 2 :] = BLUE, 16 * index + 24
    return image


def write_picture(path: Path, image: np.ndarray) -> None:
    order = [2, 1, 0, 3][: image.shape[2]] if image.ndim == 3 else slice(None)
    assert cv2.imwrite(str(path), image[..., order] if image.ndim == 3 else image)


def number_of(frame: Frame) -> int:
    return round((int(frame.image[-10, -10, 1]) - 24) / 16)


def corner(frame: Frame) -> np.ndarray:
    return frame.image[8, 8].astype(int)


@pytest.mark.parametrize("name", ["plain.mp4", "ntsc.mov", "vp9.webm", "small.gif", "odd.avi"])
def test_containers_and_codecs(name: str) -> None:
    footage = open_footage(CLIPS / name)
    frames = list(footage.frames())
    assert footage.kind == "movie" and footage.warnings == []
    assert [frame.index for frame in frames] == [number_of(frame) for frame in frames] == list(range(12))
    assert frames[0].image.shape == (footage.height, footage.width, 3) and frames[0].image.dtype == np.uint8
    assert np.abs(corner(frames[0]) - RED).max() < 50
    np.testing.assert_allclose(np.diff([frame.time for frame in frames]), 1 / float(footage.rate), atol=2e-3)


def test_odd_sizes_are_kept() -> None:
    footage = open_footage(CLIPS / "odd.avi")
    assert (footage.width, footage.height) == (63, 47)


def test_broadcast_rates_are_exact() -> None:
    assert open_footage(CLIPS / "ntsc.mov").rate == Fraction(30000, 1001)
    assert open_footage(CLIPS / "plain.mp4").rate == 25


def test_grey_movies_have_three_channels() -> None:
    frames = list(open_footage(CLIPS / "grey.mkv").frames())
    assert frames[0].image.shape == (48, 64, 3) and np.ptp(frames[0].image, axis=2).max() == 0


def test_rotation_flags_are_honoured() -> None:
    footage = open_footage(CLIPS / "rotated.mp4")
    frame = next(footage.frames())
    assert (footage.width, footage.height) == (48, 64)
    # Turned a quarter clockwise, blue comes to the top left and red to the top right.
    assert np.abs(corner(frame) - BLUE).max() < 20
    assert np.abs(frame.image[8, -8].astype(int) - RED).max() < 20


def test_variable_rates_keep_their_time_stamps() -> None:
    times = [frame.time for frame in open_footage(CLIPS / "variable.mp4").frames()]
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.12, 0.16, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], atol=2e-3)


@pytest.mark.skipif(cv2.__version__ >= "5", reason="OpenCV maps high dynamic range itself, and slowly")
@pytest.mark.parametrize(("name", "transfer"), [("pq.mp4", "pq"), ("hlg.mp4", "hlg"), ("plain.mp4", "standard")])
def test_ten_bit_high_dynamic_range(name: str, transfer: str) -> None:
    assert read_metadata(CLIPS / name).transfer == transfer
    frames = list(open_footage(CLIPS / name).frames())
    greys = [int(frame.image[-10, -10, 1]) for frame in frames]
    assert len(frames) == 12 and all(np.diff(greys) >= 0) and greys[-1] - greys[0] > 100


def test_white_paper_is_bright_after_mapping_high_dynamic_range() -> None:
    # 203 nits are a PQ signal of 58 % and an HLG signal of 75 % (ITU-R BT.2408).
    for transfer, signal in (("pq", 0.58), ("hlg", 0.75)):
        table = standard_range_table(transfer)
        assert table[0] == 0 and table[255] == 255 and all(np.diff(table.astype(int)) >= 0)
        assert 170 < table[round(255 * signal)] < 230
    assert standard_range_table("standard") is None


def test_focal_length_of_a_movie() -> None:
    assert open_footage(CLIPS / "ntsc.mov").film_focal == 26.0
    assert open_footage(CLIPS / "plain.mp4").film_focal is None


def exif_with_focal(millimetres: int, order: str = "<") -> bytes:
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    # A short stands left in its four bytes, whatever the byte order.
    folder = struct.pack(f"{order}HHHIII", 1, 0x8769, 4, 1, 26, 0)
    exif = struct.pack(f"{order}HHHIHHI", 1, 0xA405, 3, 1, millimetres, 0, 0)
    return head + folder + exif


@pytest.mark.parametrize("order", ["<", ">"])
def test_focal_length_of_a_picture(tmp_path: Path, order: str) -> None:
    body = b"Exif\x00\x00" + exif_with_focal(28, order)
    jpeg = cv2.imencode(".jpg", picture())[1].tobytes()
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:])
    assert open_footage(path).film_focal == 28.0


def test_start_and_end_are_inclusive() -> None:
    footage = open_footage(CLIPS / "plain.mp4")
    assert [frame.index for frame in footage.frames("3", "6")] == [3, 4, 5, 6]
    assert [frame.index for frame in footage.frames("0.08s", "0.2s")] == [2, 3, 4, 5]
    assert [frame.index for frame in footage.frames(end="0")] == [0]
    assert [number_of(frame) for frame in footage.frames("9")] == [9, 10, 11]


@pytest.mark.parametrize(("start", "end", "words"), [
    ("soon", "", "neither|not a place"), ("-3", "", "not a place"), ("1.5", "", "not a place"),
    ("8", "2", "comes before"), ("0.3s", "2", "comes before"), ("99", "", "ends before 99"),
])  # fmt: skip
def test_places_that_cannot_be_are_one_sentence(start: str, end: str, words: str) -> None:
    with pytest.raises(BadInputError, match=words):
        list(open_footage(CLIPS / "plain.mp4").frames(start, end))


def test_mirrored_footage_is_flipped_back() -> None:
    plain = next(open_footage(CLIPS / "plain.mp4").frames())
    flipped = next(open_footage(CLIPS / "plain.mp4", mirrored=True).frames())
    np.testing.assert_array_equal(flipped.image, plain.image[:, ::-1])


def test_folders_are_read_in_natural_order(tmp_path: Path) -> None:
    for index in (10, 9, 2, 1):
        write_picture(tmp_path / f"shot{index}.png", picture(index))
    (tmp_path / "notes.txt").write_text("not a picture")
    footage = open_footage(tmp_path)
    assert footage.kind == "pictures" and footage.frame_count == 4
    assert [number_of(frame) for frame in footage.frames()] == [1, 2, 9, 10]
    assert [frame.time for frame in footage.frames()] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])


@pytest.mark.parametrize("pattern", ["shot_%03d.png", "shot_###.png", "shot_*.png"])
def test_patterns(tmp_path: Path, pattern: str) -> None:
    for index in (1, 2, 3):
        write_picture(tmp_path / f"shot_{index:03d}.png", picture(index))
        write_picture(tmp_path / f"other_{index:03d}.png", picture(0))
    assert [number_of(frame) for frame in open_footage(tmp_path / pattern).frames()] == [1, 2, 3]


def test_damaged_and_odd_pictures_of_a_folder_are_left_out_and_told(tmp_path: Path) -> None:
    for index in range(4):
        write_picture(tmp_path / f"{index}.png", picture(index))
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:60])
    write_picture(tmp_path / "2.png", picture(2, width=32))
    footage = open_footage(tmp_path)
    assert [frame.index for frame in footage.frames()] == [0, 3]
    assert len(footage.warnings) == 1 and "2 of 4 pictures" in footage.warnings[0]
    assert [frame.index for frame in open_footage(tmp_path, any_size=True).frames()] == [0, 2, 3]


def test_stills_grey_sixteen_bit_and_transparent(tmp_path: Path) -> None:
    write_picture(tmp_path / "grey.png", np.full((20, 30), 90, np.uint8))
    write_picture(tmp_path / "deep.png", np.full((20, 30, 3), 90 * 257, np.uint16))
    clear = np.full((20, 30, 4), 255, np.uint8)
    clear[:, :15, 3] = 0
    write_picture(tmp_path / "clear.png", clear)
    images = {name: next(open_footage(tmp_path / f"{name}.png").frames()).image for name in ("grey", "deep", "clear")}
    assert (images["grey"] == 90).all() and (images["deep"] == 90).all()
    assert (images["clear"][:, :15] == 127).all() and (images["clear"][:, 15:] == 255).all()
    assert open_footage(tmp_path / "grey.png").kind == "still"


def test_one_pixel_is_footage(tmp_path: Path) -> None:
    write_picture(tmp_path / "dot.png", np.zeros((1, 1, 3), np.uint8))
    assert next(open_footage(tmp_path / "dot.png").frames()).image.shape == (1, 1, 3)


def test_huge_pictures_are_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.jpg"
    write_picture(path, np.full((4320, 7680, 3), 40, np.uint8))
    frame = next(open_footage(path).frames())
    assert frame.image.shape == (4320, 7680, 3) and frame.image[0, 0, 0] == 40


def test_a_truncated_movie_gives_what_it_has_and_says_so(tmp_path: Path) -> None:
    whole = (CLIPS / "long.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: int(len(whole) * 0.7)])
    footage = open_footage(path)
    frames = list(footage.frames())
    assert 5 < len(frames) < 60
    assert footage.warnings and f"only {len(frames)} of its 60 frames" in footage.warnings[0]


def test_leaving_early_is_not_damage() -> None:
    footage = open_footage(CLIPS / "long.mp4")
    assert len(list(footage.frames(end="5"))) == 6
    assert footage.warnings == []


@pytest.mark.parametrize(
    ("start", "end"), [("", ""), ("10", ""), ("", "20"), ("7", "20"), ("0.5s", "1s"), ("3", "3"), ("50", "999")]
)
def test_the_frames_to_come_are_known_beforehand(start: str, end: str) -> None:
    movie = open_footage(CLIPS / "long.mp4")
    assert movie.expected_frames(start, end) == len(list(movie.frames(start, end)))


@pytest.mark.parametrize(("name", "content", "words"), [
    ("empty.mp4", b"", "is an empty file"),
    ("text.mp4", b"dear reader, this is a letter\n" * 50, "could not be read as a movie"),
    ("head.mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2" + bytes(500), "could not be read as a movie"),
    ("noise.png", bytes(range(256)) * 4, "is damaged"),
    ("unknown.xyz", b"something", "could not be read"),
])  # fmt: skip
def test_what_is_no_footage_is_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=words) as caught:
        open_footage(tmp_path / name)
    assert "\n" not in str(caught.value)
    # OpenCV has nothing to add.
    assert capfd.readouterr().err == ""


def test_a_movie_without_its_index_is_one_sentence(tmp_path: Path) -> None:
    whole = (CLIPS / "rotated.mp4").read_bytes()
    assert whole.rfind(b"moov") > whole.rfind(b"mdat")
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.rfind(b"moov") - 4])
    with pytest.raises(BadInputError, match="could not be read as a movie"):
        open_footage(tmp_path / "cut.mp4")


def test_folders_without_pictures_and_missing_files_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    with pytest.raises(BadInputError, match="holds no pictures"):
        open_footage(tmp_path)
    for missing in ("nowhere.mp4", "nowhere_%04d.png", "no/folder/at/all.mp4"):
        with pytest.raises(BadInputError, match="There is no file"):
            open_footage(tmp_path / missing)


def test_a_camera_that_does_not_open_is_one_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BadInputError, match="Camera 77 does not open"):
        open_footage("camera:77")
    assert capfd.readouterr().err == ""


def test_a_camera_that_stops_gives_what_it_sent_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    # A movie is a camera that ends: same library, same calls.
    monkeypatch.setattr(footage_module, "_open_camera", lambda _: cv2.VideoCapture(str(CLIPS / "long.mp4")))
    camera = open_footage("camera:3")
    assert camera.kind == "camera"
    frames = list(camera.frames())
    # The newest picture counts: how many were dropped depends on the machine, the last one never is.
    assert frames[-1].index == 58 and camera.warnings == ["Camera 3 stopped sending pictures."]


def test_a_movie_without_frames_is_one_sentence(tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "none.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 30.0, (64, 48))
    assert writer.isOpened()
    writer.release()
    assert (tmp_path / "none.avi").stat().st_size > 0
    with pytest.raises(BadInputError, match="could not be read as a movie"):
        open_footage(tmp_path / "none.avi")


def test_names_with_other_letters(tmp_path: Path) -> None:
    path = tmp_path / "Hände 手.png"
    path.write_bytes(cv2.imencode(".png", picture(3)[..., ::-1])[1].tobytes())
    assert number_of(next(open_footage(path).frames())) == 3


def test_metadata_of_nonsense_is_none(tmp_path: Path) -> None:
    for index, content in enumerate(
        (b"", b"\x00\x00\x00\x08moov", b"\x00\x00\x00\x04moov" * 9, b"Exif\x00\x00II*\x00")
    ):
        path = tmp_path / str(index)
        path.write_bytes(content)
        assert read_metadata(path).film_focal is None


def test_an_error_while_decoding_arrives_where_frames_are_read() -> None:
    def frames() -> object:
        yield Frame(0, 0.0, picture())
        raise BadInputError("the disk is gone")

    stream = read_ahead(frames(), 4)
    assert next(stream).index == 0
    with pytest.raises(BadInputError, match="the disk is gone"):
        next(stream)


def test_reading_ahead_is_bounded_and_its_thread_ends() -> None:
    made = []

    def frames() -> object:
        for index in range(1000):
            made.append(index)
            yield Frame(index, 0.0, picture())

    stream = read_ahead(frames(), 3)
    next(stream)
    time.sleep(0.3)
    assert len(made) <= 6
    stream.close()
    assert not any(thread.name == "handmocap-decode" for thread in threading.enumerate())


def test_live_reading_drops_late_frames_and_keeps_the_last() -> None:
    def frames() -> object:
        for index in range(50):
            yield Frame(index, 0.0, picture())
            time.sleep(0.002)

    received = []
    for frame in read_latest(frames()):
        received.append(frame.index)
        time.sleep(0.02)
    assert len(received) < 25 and received == sorted(received)


def test_memory_does_not_grow_with_the_clip(tmp_path: Path) -> None:
    def peak(count: int) -> int:
        folder = tmp_path / str(count)
        folder.mkdir()
        for index in range(count):
            write_picture(folder / f"{index}.jpg", np.full((480, 640, 3), index, np.uint8))
        tracemalloc.start()
        for _ in open_footage(folder).frames():
            pass
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    # How many of the pictures read ahead stand in memory depends on what else runs; kept ones would be ninety more.
    assert peak(120) - peak(30) < 15 * 480 * 640 * 3


def test_png_files_can_carry_the_focal_length(tmp_path: Path) -> None:
    png = cv2.imencode(".png", picture())[1].tobytes()
    content = exif_with_focal(35)
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content + struct.pack(">I", zlib.crc32(b"eXIf" + content))
    path = tmp_path / "photo.png"
    path.write_bytes(png[:33] + chunk + png[33:])
    assert read_metadata(path).film_focal == 35.0
