# SPDX-License-Identifier: GPL-3.0-or-later
"""From footage to a take, with the real networks, on hands whose truth is known; stopped, killed and gone on with."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_hands import FOCAL, poses, write_clip

from blender_handmocap.engine import cli, live, pipeline, rotations
from blender_handmocap.engine.errors import BadInputError, NothingFoundError
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import SIDES
from blender_handmocap.engine.notes import LENS_GUESSED
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import State, Take, load_take

PACKAGE = Path(__file__).resolve().parents[2] / "blender_handmocap"
FRAMES = 40
SETTINGS = Settings(focal=FOCAL, device="cpu")


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "hands.mp4"
    write_clip(path, frames=FRAMES)
    return path


@pytest.fixture(scope="session")
def whole(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Take:
    """An uninterrupted capture."""
    return pipeline.capture(str(clip), SETTINGS, out=tmp_path_factory.mktemp("whole") / "t.take.npz")


def assert_same(first: Take, second: Take) -> None:
    np.testing.assert_array_equal(first.frame, second.frame)
    np.testing.assert_allclose(first.time, second.time, atol=1e-9)
    for side in SIDES:
        a, b = first.track(side), second.track(side)
        np.testing.assert_array_equal(a.state, b.state)
        for key in ("rotation", "translation", "raw_rotation", "points", "seen2d"):
            np.testing.assert_allclose(getattr(a, key), getattr(b, key), atol=1e-5)


def test_both_hands_are_found_on_their_own_side_in_every_frame(whole: Take) -> None:
    for side in SIDES:
        assert (whole.track(side).state == State.SEEN).all()
        truth_x = poses(side, FRAMES)[1][:, 0]
        assert (np.sign(whole.track(side).translation[:, 0]) == np.sign(truth_x)).all()


def test_the_result_is_near_the_truth(whole: Take) -> None:
    for side in SIDES:
        rotation, place = poses(side, FRAMES)
        model = free_hand(side)
        truth = model.pose(rotation, place, model.rest()).keypoints
        found = whole.track(side).points
        centred = [points - points.mean(1, keepdims=True) for points in (found, truth)]
        turned = centred[0] @ np.swapaxes(rotations.aligning_rotation(*centred), 1, 2)
        assert np.linalg.norm(turned - centred[1], axis=-1).mean() < 0.010
        off = np.degrees(rotations.angle_between(whole.track(side).rotation[:, 1:], rotation[:, 1:]))
        assert np.sqrt((off**2).mean()) < 20.0
        assert np.linalg.norm(found.mean(1) - truth.mean(1), axis=-1).mean() < 0.06


def test_a_take_is_whole_and_its_bones_never_change_length(whole: Take) -> None:
    for side in SIDES:
        track = whole.track(side)
        np.testing.assert_allclose(np.linalg.norm(track.rotation, axis=-1), 1.0, atol=1e-9)
        assert ((track.rotation[1:] * track.rotation[:-1]).sum(-1) > 0).all()
        bones = np.linalg.norm(track.points[:, 6] - track.points[:, 5], axis=-1)
        assert np.ptp(bones) < 1e-6
    assert whole.meta["definition"] in ("mediapipe", "model") and whole.meta["models"]
    assert whole.rate == 30.0


def test_solving_again_needs_no_footage_and_changes_nothing(whole: Take, tmp_path: Path) -> None:
    again = pipeline.resolve(whole, pipeline.settings_of(whole), parent=tmp_path / "parent.npz")
    for side in SIDES:
        angle = rotations.angle_between(again.track(side).rotation, whole.track(side).rotation)
        assert np.degrees(angle).max() < 0.1
    assert again.meta["parent"] == "parent.npz"


def test_a_stopped_capture_keeps_its_frames_and_goes_on(clip: Path, whole: Take, tmp_path: Path) -> None:
    out = tmp_path / "t.take.npz"
    asked = iter(range(10**6))
    stopped = pipeline.capture(str(clip), SETTINGS, out=out, cancelled=lambda: next(asked) >= 17)
    assert len(stopped) == 17 and stopped.meta["cancelled"]
    assert len(load_take(out)) == 17 and pipeline.partial_folder(out).is_dir()
    resumed = pipeline.capture(str(clip), SETTINGS, out=out, resume=True)
    assert_same(resumed, whole)
    assert not pipeline.partial_folder(out).exists() and "cancelled" not in resumed.meta


def test_unfinished_work_of_other_footage_is_refused(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.take.npz"
    asked = iter(range(10**6))
    pipeline.capture(str(clip), SETTINGS, out=out, cancelled=lambda: next(asked) >= 5)
    with pytest.raises(BadInputError, match="other footage or other settings"):
        pipeline.capture(str(clip), Settings(focal=FOCAL, hands="left"), out=out, resume=True)


def kill_and_resume(clip: Path, out: Path, frames: int, stage: str = "seeing") -> Take:
    """Kill a capture as soon as it tells of so many frames of a stage, then finish it."""
    arguments = [str(clip), "--focal", str(FOCAL), "--device", "cpu", "--out", str(out), "--progress", "json"]
    command = [sys.executable, "-m", "engine", "capture", *arguments]
    process = subprocess.Popen(command, cwd=PACKAGE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    for line in process.stderr:
        told = json.loads(line) if line.startswith("{") else {}
        if told.get("stage") == stage and told["done"] >= frames:
            break
    process.kill()
    process.communicate()
    assert cli.main(["capture", *arguments, "--resume", "--force"]) == 0
    return load_take(out)


def test_a_killed_capture_ends_with_the_same_take(clip: Path, whole: Take, tmp_path: Path) -> None:
    assert_same(kill_and_resume(clip, tmp_path / "t.take.npz", 25), whole)


@pytest.mark.slow
def test_twenty_kills_at_random_moments(clip: Path, whole: Take, tmp_path: Path) -> None:
    moments = random.Random(1)
    for k in range(20):
        stage = "solving" if k % 4 == 3 else "seeing"
        assert_same(kill_and_resume(clip, tmp_path / f"{k}.take.npz", moments.randint(1, FRAMES), stage), whole)


def limited(arguments: list[str], largest: int) -> subprocess.CompletedProcess[str]:
    """The command line on a disk that takes no file larger than so many bytes."""
    resource = pytest.importorskip("resource")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    command = [sys.executable, "-m", "engine", *arguments, "--progress", "none"]
    return subprocess.run(command, cwd=PACKAGE, capture_output=True, text=True, check=False, preexec_fn=limit)


def test_a_full_disk_is_one_sentence_and_what_was_seen_is_kept(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "t.take.npz"
    arguments = ["capture", str(clip), "--end", "19", "--focal", str(FOCAL), "--device", "cpu", "--out", str(out)]
    full = limited(arguments, 2_000)
    assert full.returncode == 2 and full.stderr.startswith("The disk refused the finished frames")
    # Room for the chunks, none for the take.
    tight = limited(arguments, 70_000)
    assert tight.returncode == 2 and tight.stderr.startswith("The take could not be written")
    for said in (full, tight):
        assert len(said.stderr.splitlines()) == 1
    assert not out.exists() and not list(tmp_path.glob("*.tmp"))
    assert cli.main([*arguments, "--resume", "--progress", "none"]) == 0
    assert len(load_take(out)) == 20 and not pipeline.partial_folder(out).exists()


def test_an_overlay_the_disk_refuses_is_one_sentence_and_the_take_stays(clip: Path, tmp_path: Path) -> None:
    out, overlay = tmp_path / "t.take.npz", tmp_path / "o.mp4"
    arguments = ["capture", str(clip), "--end", "3", "--device", "cpu", "--out", str(out), "--overlay", str(overlay)]
    assert cli.main([*arguments[:-2], "--progress", "none"]) == 0
    take = load_take(out)
    command = (
        "import sys; sys.path.insert(0, '.')\n"
        "from pathlib import Path; from engine import pipeline; from engine.take import load_take\n"
        f"pipeline.write_overlay_of(load_take({str(out)!r}), {str(clip)!r}, Path({str(overlay)!r}))"
    )
    resource = pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", command], cwd=PACKAGE, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, 3_000)),
    )  # fmt: skip
    assert "could not be finished; free some space" in done.stderr.splitlines()[-1]
    assert len(load_take(out)) == len(take) == 4


def test_a_preview_that_cannot_be_written_does_not_stop_anything(tmp_path: Path) -> None:
    preview = pipeline.PreviewFile(tmp_path / "no" / "folder.jpg", 0.0)
    assert not preview.write(np.zeros((4, 4, 3), np.uint8))


def test_one_hand_asked_for_is_one_hand_given(clip: Path, tmp_path: Path) -> None:
    take = pipeline.capture(str(clip), Settings(focal=FOCAL, hands="left", end="9"), out=tmp_path / "t.npz")
    assert take.left.present.all() and not take.right.present.any() and len(take) == 10


def test_a_mirrored_picture_gives_the_same_hands_swapped(clip: Path, tmp_path: Path) -> None:
    take = pipeline.capture(str(clip), Settings(focal=FOCAL, mirrored=True, end="9"), out=tmp_path / "t.npz")
    # The drawn hands are symmetric enough: flipped back, each stands on the other side of the picture.
    assert (take.left.translation[:, 0] > 0).all() and (take.right.translation[:, 0] < 0).all()


def test_a_region_leaves_the_others_out(clip: Path, tmp_path: Path) -> None:
    take = pipeline.capture(str(clip), Settings(focal=FOCAL, region=(0, 0, 0.5, 1), end="9"), out=tmp_path / "t.npz")
    assert take.right.present.any() and not take.left.present.any()
    with pytest.raises(NothingFoundError, match="region"):
        pipeline.capture(str(clip), Settings(region=(0, 0, 0.05, 0.05), end="5"), out=tmp_path / "u.npz")


def test_a_truncated_movie_gives_the_frames_it_has(clip: Path, tmp_path: Path) -> None:
    from drawn_hands import write_clip as write

    source = tmp_path / "cut.avi"
    write(tmp_path / "whole.avi", frames=12, sides=("right",))
    raw = (tmp_path / "whole.avi").read_bytes()
    source.write_bytes(raw[: int(len(raw) * 0.6)])
    take = pipeline.capture(str(source), SETTINGS, out=tmp_path / "t.npz")
    assert 0 < len(take) < 12 and take.meta["warnings"]


def test_the_command_line_writes_take_and_overlay(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, overlay = tmp_path / "t.take.npz", tmp_path / "o.mp4"
    arguments = ["capture", str(clip), "--end", "5", "--out", str(out), "--overlay", str(overlay), "--progress", "json"]
    assert cli.main(arguments) == 0
    said = capsys.readouterr()
    assert "6 frames" in said.out and overlay.stat().st_size > 1000
    stages = {json.loads(line)["stage"] for line in said.err.splitlines() if line.startswith("{")}
    assert stages == {"seeing", "solving", "writing"}
    assert cli.main(["polish", str(out), "--smoothing", "0", "--out", str(tmp_path / "p.npz")]) == 0
    assert cli.main(["resolve", str(out), "--out", str(tmp_path / "r.npz"), "--progress", "none"]) == 0
    assert cli.main(["info", str(out)]) == 0
    told = capsys.readouterr()
    assert LENS_GUESSED in said.err and LENS_GUESSED in told.out and str(clip) in told.out
    for name in ("t.bvh", "t.csv", "t.json"):
        assert cli.main(["export", str(out), "--out", str(tmp_path / name)]) == 0
    polished = load_take(tmp_path / "p.npz")
    np.testing.assert_allclose(polished.left.rotation, polished.left.raw_rotation, atol=1e-9)


def test_live_follows_a_movie_and_records_it(clip: Path, tmp_path: Path) -> None:
    frames: list[live.LiveFrame] = []
    report = live.live(str(clip), SETTINGS, out=tmp_path / "l.npz", on_frame=frames.append)
    assert report.frames == len(frames) >= 1
    assert report.frames + report.dropped == FRAMES or report.frames + report.dropped == frames[-1].index + 1
    take = load_take(tmp_path / "l.npz")
    assert len(take) == report.frames
    both = [frame for frame in frames if set(frame.hands) == set(SIDES)]
    assert both
    hand = json.loads(json.dumps(both[-1].as_json()))["left"]
    assert np.shape(hand["rotation"]) == (16, 4) and np.shape(hand["translation"]) == (3,)


def test_the_worker_captures_previews_and_cancels(clip: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "worker"],
        cwd=PACKAGE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    out, preview = tmp_path / "w.take.npz", tmp_path / "preview.jpg"
    request = {"type": "capture", "id": 1, "source": str(clip), "out": str(out), "preview": str(preview)}
    process.stdin.write(json.dumps({**request, "settings": {"focal": FOCAL}}) + "\n")
    process.stdin.flush()
    kinds = set()
    for line in process.stdout:
        message = json.loads(line)
        kinds.add(message["type"])
        if message["type"] == "progress" and message["done"] >= 10 and "cancel" not in kinds:
            kinds.add("cancel")
            process.stdin.write('{"type": "cancel", "id": 1}\n')
            process.stdin.flush()
        if message["type"] in ("done", "error"):
            break
    process.stdin.close()
    process.stdout.close()
    process.wait(30)
    assert message["type"] == "done" and message["cancelled"] and isinstance(message["notes"], list)
    assert kinds >= {"hello", "progress", "preview"}
    assert 10 <= len(load_take(out)) < FRAMES and preview.stat().st_size > 1000
