# SPDX-License-Identifier: GPL-3.0-or-later
"""What each term of the two-hand energy is worth: clips of touching hands solved with all terms and without each.

    python -m benchmarks.touching_ablation draw --out DIR [--clips 10] [--seed 771]
    python -m benchmarks.touching_ablation see --clips DIR --out DIR [--match "touching_*"] [--own-tracks]
    python -m benchmarks.touching_ablation table --clips DIR --seen DIR [--true-maps] [--rows NAME ...]

`draw` makes clips of seen families, for development: weights are chosen on them and on nothing else. The unseen
families of the frozen set (`--clips out/benchmarks/frozen/two_touching/unseen_families --match "*"`) are only judged.
`see` looks at the clips once, with maps, through crops on the true hands, so that finding plays no part, or with the
engine's own tracks. `table` solves them again for each row; `--true-maps` puts what perfect maps would say in the place
of those that were seen, which tells the energy's worth from the network's.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.camera import Camera, choose_camera
from blender_handmocap.engine.fit.clip import solve
from blender_handmocap.engine.fit.settings import FitSettings
from blender_handmocap.engine.footage import Footage, open_footage
from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import KEYPOINT_COUNT, SIDES
from blender_handmocap.engine.see.clip import Seer, see, take_from
from blender_handmocap.engine.see.crops import crop_of_hand, turned
from blender_handmocap.engine.see.records import Records, joined
from blender_handmocap.engine.see.tracker import Track, TrackedHand, Tracker
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import MAP_SIZE, MATCHES, MapsTrack, State, Take, load_take, save_take
from training.footage.render import draw

from . import skin
from .measures import pair
from .measures.points import pa_mpjpe_mm
from .pair_figures import recorded_contacts
from .sets import frozen_draw
from .sets.frozen_motion import made

Array = NDArray[np.float64]

DEVELOPMENT_SEED: Final = 771
_FRAMES: Final = 24
_TWELVE: Final = (0, 4, 8, 12, 16, 20)
"""of each hand: wrist and tips"""
_SAME_PLACE: Final = 0.5
"""of its box that a hand's points may be off for it to count as found"""

_LEAST_INSIDE: Final = 0.5
"""share of a hand's points in the picture from which it is followed"""
_LEAST_PRESENCE: Final = 0.3

log = logging.getLogger(__name__)

FULL: Final = replace(
    FitSettings(),
    dense_doubt=3.0,
    silhouette_sigma=0.04,
    within_sigma=0.4,
    between_sigma=0.6,
    map_points_doubt=2.0,
)
"""all terms of the maps"""
_OFF: Final = math.inf
_LOOSE: Final = 1e3
"""a sigma of which nothing is left"""
_NO_TIME: Final[dict[str, Any]] = {"clip_rotation": _LOOSE, "clip_translation": _LOOSE, "clip_angle": _LOOSE}
_GAUSSIANS: Final[dict[str, Any]] = {"collision_sigma": _LOOSE, "gaussian_sigma": 0.3}
_IMPLAUSIBLE: Final = 5.84
"""distance of the prior beyond which one recorded hand in a hundred lies"""
_FINGERS: Final = 0.5
"""sigma of the overlap of one hand's fingers"""


def rows(full: FitSettings = FULL) -> dict[str, FitSettings]:
    """What is compared."""
    plain = FitSettings()
    return {
        "as shipped": plain,
        "shipped, one order": replace(plain, order=False),
        "shipped, no contact": replace(plain, contact=False),
        "shipped, no way between wrists": replace(plain, relative_robust=1e-3),
        "shipped, no spheres": replace(plain, collision_sigma=_LOOSE),
        "shipped, Gaussians for spheres": replace(plain, **_GAUSSIANS),
        "shipped and Gaussians of fingers": replace(plain, finger_gaussian_sigma=_FINGERS),
        "shipped, no limits": replace(plain, limit_sigma=_LOOSE),
        "shipped, no pose prior": replace(plain, prior_weight=1e-4),
        "shipped, no time": replace(plain, **_NO_TIME),
        "shipped and recovery": replace(plain, recovery=_IMPLAUSIBLE),
        "only points": replace(
            plain, order=False, contact=False, relative_robust=1e-3, collision_sigma=_LOOSE, prior_weight=1e-4
        ),
        "all terms": full,
        "without dense matches": replace(full, dense_doubt=_OFF),
        "without silhouette": replace(full, silhouette_sigma=_OFF),
        "without depth within": replace(full, within_sigma=_OFF),
        "without depth between": replace(full, between_sigma=_OFF),
        "without 42 points": replace(full, map_points_doubt=_OFF),
        "12 instead of 42 points": replace(full, map_points=_TWELVE),
        "without contact": replace(full, contact=False),
        "without spheres": replace(full, collision_sigma=_LOOSE),
        "without pose prior": replace(full, prior_weight=1e-4),
        "without limits": replace(full, limit_sigma=_LOOSE),
        "without time": replace(full, **_NO_TIME),
        "Gaussians for spheres": replace(full, **_GAUSSIANS),
        "and Gaussians of fingers": replace(full, finger_gaussian_sigma=_FINGERS),
        "shipped and dense matches": replace(plain, dense_doubt=full.dense_doubt),
        "shipped and silhouette": replace(plain, silhouette_sigma=full.silhouette_sigma),
        "shipped and depth within": replace(plain, within_sigma=full.within_sigma),
        "shipped and depth between": replace(plain, between_sigma=full.between_sigma),
        "shipped and 42 points": replace(plain, map_points_doubt=full.map_points_doubt),
    }


def draw_clips(out: Path, clips: int, seed: int) -> None:
    """Write clips of touching hands that are not there yet."""
    recipe = replace(frozen_draw.RECIPES["two_touching"], frames=_FRAMES)
    for number in range(clips):
        place = out / f"touching_{number}"
        if (place / "truth.npz").exists():
            continue
        start = (seed, 0, number)
        try:
            clip = made(recipe, start, test=False, number=number)
        except RuntimeError as error:
            log.warning("%s", error)
            continue
        (place / "pictures").mkdir(parents=True, exist_ok=True)
        truths = []
        for index, scene in enumerate(clip.scenes):
            picture = draw(scene, np.random.SeedSequence([*start, index]))
            path = str(place / "pictures" / f"{index:05d}.jpg")
            cv2.imwrite(path, picture.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            truths.append(picture.hands)
        save_take(frozen_draw.truth_of(clip, truths, "touching"), place / "truth.npz")
        log.info("%s: %s", place.name, clip.family)


def see_clip(folder: Path, truth: Take, *, own_tracks: bool) -> Take:
    """A clip seen with maps and solved as shipped, with its own lens and palm length."""
    footage = open_footage(str(folder / "pictures"))
    matrix = truth.K if truth.K.ndim == 2 else truth.K[0]
    settings = Settings(focal=float(matrix[0, 0]), palm_mm=truth.size * 1e3, threads=1, maps=True)
    take = see(footage, settings) if own_tracks else _seen_on_true_crops(footage, settings, truth)
    return solve(replace(take, time=truth.time[: len(take)], frame=truth.frame[: len(take)]))


class _HeldTracker(Tracker):
    """Follows the true hands; what is seen of them is the engine's."""

    def __init__(self, follower: Tracker, truth: Take) -> None:
        super().__init__(follower.palms, follower.hands, follower.plan, follower.area)
        self.truth, self.frame = truth, 0

    def step(self, image: NDArray[np.uint8], time: float) -> list[TrackedHand]:
        tracks = []
        for number, side in enumerate(SIDES):
            if not self.truth.track(side).state[self.frame]:
                continue
            points = self.truth.track(side).seen2d[self.frame]
            inside = ((points >= 0) & (points < image.shape[1::-1])).all(-1)
            if inside.mean() > _LEAST_INSIDE:
                right = float(side == "right")
                tracks.append(Track(number, crop_of_hand(points), points, np.zeros(2), right, time))
        self.frame += 1
        self.tracks = tracks
        seen = self.hands.look(image, [track.crop for track in tracks], [track.right for track in tracks])
        return [
            TrackedHand(track.id, replace(hand, right=track.right, judged=None), 0.0)
            for track, hand in zip(tracks, seen, strict=True)
            if hand.presence >= _LEAST_PRESENCE
        ]


def _seen_on_true_crops(footage: Footage, settings: Settings, truth: Take) -> Take:
    camera = choose_camera(footage.width, footage.height, settings, film_focal=footage.film_focal)
    seer = Seer(camera, settings)
    seer._tracker = _HeldTracker(seer._tracker, truth)
    records = Records()
    for frame in footage.frames("", ""):
        seen = seer.step(frame.image, time=frame.time)
        records.append(frame.index, frame.time, seen, seer.read)
    return take_from(joined([records.arrays()]), footage, camera, settings, seer=seer)


def perfect_maps(take: Take, truth: Take) -> MapsTrack | None:
    """What maps without error would say in the frames in which both hands were seen."""
    frames = np.flatnonzero(np.all([take.track(side).state != State.ABSENT for side in SIDES], axis=0))
    frames = np.array([t for t in frames if all(truth.track(side).state[t] for side in SIDES)], np.intp)
    if not len(frames):
        return None
    camera = Camera(K=truth.K, dist=truth.dist, width=1, height=1)
    vertices = np.linspace(0, 1500, MATCHES).astype(np.int32)
    size = (len(frames), len(SIDES))
    pixels, depth = np.full((*size, MATCHES, 2), np.nan), np.full((*size, MATCHES), np.nan)
    points, crop = np.empty((*size, KEYPOINT_COUNT, 2)), np.empty((len(frames), 5))
    between, regions = np.empty(len(frames)), np.zeros((*size, MAP_SIZE * MAP_SIZE // 8), np.uint8)
    for k, t in enumerate(frames):
        places = [camera.project(truth.track(side).points[t]) for side in SIDES]
        every = np.concatenate(places)
        side_length = 1.35 * float(np.ptp(every, axis=0).max())
        crop[k] = [*(every.max(0) + every.min(0)) / 2, side_length, side_length, 0.0]
        sight = camera.rays(crop[k, :2])
        sight = sight / np.linalg.norm(sight)
        meshes, sizes = [], truth.size
        for side in SIDES:
            hand, track = free_hand(side), truth.track(side)
            rest = hand.rest(truth.betas, sizes)
            meshes.append(hand.vertices(track.rotation[[t]], track.translation[[t]], rest)[0])
        shown = _shown(meshes, camera, crop[k])
        wrists = [truth.track(side).translation[t] for side in SIDES]
        between[k] = (wrists[0] - wrists[1]) @ sight / truth.size
        for slot in range(len(SIDES)):
            points[k, slot] = places[slot]
            regions[k, slot] = np.packbits(shown[0] == slot + 1)
            skin_points = meshes[slot][vertices]
            cell = _cells(camera.project(skin_points), crop[k])
            inside = ((cell >= 0) & (cell < MAP_SIZE)).all(-1)
            column, row = np.where(inside[:, None], cell, 0).T
            near = np.abs(skin_points[:, 2] - shown[1][row, column]) < 0.006
            seen = inside & near & (shown[0][row, column] == slot + 1)
            pixels[k, slot, seen] = camera.project(skin_points[seen])
            depth[k, slot, seen] = (skin_points[seen] - wrists[slot]) @ sight / truth.size
    cell_size = crop[:, 2, None, None] / MAP_SIZE
    return MapsTrack(
        frames.astype(np.int32), vertices, crop, regions, pixels, np.broadcast_to(cell_size, depth.shape).copy(), depth,
        between, points, np.broadcast_to(cell_size, points.shape[:-1]).copy(),
    )  # fmt: skip


def _cells(pixels: Array, crop: Array) -> NDArray[np.intp]:
    """(N, 2) column and row of the maps' cells at pixels of the picture."""
    share = (pixels - crop[:2]) @ turned(-float(crop[4])).T / crop[2] + 0.5
    return np.asarray(np.floor(share * MAP_SIZE), np.intp)


def _shown(meshes: Sequence[Array], camera: Camera, crop: Array) -> tuple[NDArray[np.uint8], Array]:
    """(56, 56) which hand each cell shows, 0: none, and how deep it lies there, metres: triangles far to near."""
    side, depth = np.zeros((MAP_SIZE, MAP_SIZE), np.uint8), np.zeros((MAP_SIZE, MAP_SIZE), np.float32)
    faces = []
    for slot, name in enumerate(SIDES):
        corners = free_hand(name).triangles
        share = (camera.project(meshes[slot]) - crop[:2]) @ turned(-float(crop[4])).T / crop[2] + 0.5
        deep = meshes[slot][corners][..., 2].mean(1)
        faces += [(float(z), slot + 1, share[corner] * MAP_SIZE - 0.5) for z, corner in zip(deep, corners, strict=True)]
    for away, label, corner in sorted(faces, key=lambda face: -face[0]):
        polygon = np.rint(corner * 16).astype(np.int32)
        cv2.fillConvexPoly(side, polygon, label, shift=4)
        cv2.fillConvexPoly(depth, polygon, away, shift=4)
    return side, depth.astype(np.float64)


@dataclass
class Score:
    """One clip solved in one way; frames in which both hands were found."""

    vector: Array
    """(n, 3) mm error of the vector between the wrists"""
    pa: Array
    """(2n,) mm"""
    shown: Array
    """mm, jointly aligned, of points that are seen"""
    hidden: Array
    """... and of hidden ones"""
    hits: int
    said: int
    touching: int
    seconds: float
    frames: int


def score(take: Take, truth: Take, true_contact: NDArray[np.bool_], seconds: float) -> Score:
    """The figures of a solved clip; true_contact (T, 6, 6)."""
    camera = Camera(K=truth.K, dist=truth.dist, width=1, height=1)
    found = np.ones(len(take), bool)
    for side in SIDES:
        mine, true = take.track(side), truth.track(side)
        there = (true.state[: len(take)] > 0) & (mine.state > 0)
        pixels = np.zeros((len(take), KEYPOINT_COUNT, 2))
        pixels[there] = camera.project(true.points[: len(take)][there])
        box = np.maximum(np.ptp(pixels, axis=1).max(-1), 1.0)
        away = np.linalg.norm(np.nan_to_num(mine.seen2d) - pixels, axis=-1).mean(-1) / box
        found &= there & (away < _SAME_PLACE)
    frames = np.flatnonzero(found)
    both = 1e3 * np.stack([take.track(side).points[frames] for side in SIDES], axis=1)
    true = 1e3 * np.stack([truth.track(side).points[frames] for side in SIDES], axis=1)
    errors = np.zeros((0, 2, KEYPOINT_COUNT))
    if len(frames):
        errors = pair.joint_errors_mm(both, true).reshape(len(frames), 2, KEYPOINT_COUNT)
    visible = np.stack([truth.track(side).visibility[frames] for side in SIDES], axis=1) > 0.5
    said = np.stack([recorded_contacts(take, int(take.frame[t])) for t in range(len(take))])
    touching = true_contact[: len(take)]
    return Score(
        vector=pair.relative_root_vector_mm(both[:, :, 0], true[:, :, 0]),
        pa=pa_mpjpe_mm(both.reshape(-1, KEYPOINT_COUNT, 3), true.reshape(-1, KEYPOINT_COUNT, 3)),
        shown=errors[visible],
        hidden=errors[~visible],
        hits=int((said & touching).sum()),
        said=int(said.sum()),
        touching=int(touching.sum()),
        seconds=seconds,
        frames=len(take),
    )


def contacts_of(truth: Take) -> NDArray[np.bool_]:
    """(T, 6, 6) which parts truly touch."""
    out = np.zeros((len(truth), 6, 6), bool)
    for t in range(len(truth)):
        if all(truth.track(side).state[t] for side in SIDES):
            left, right = (
                skin.vertices_mm(
                    side, truth.track(side).rotation[[t]], truth.track(side).translation[[t]], truth.betas, truth.size
                )[0]
                for side in SIDES
            )
            out[t] = skin.contact_of(left, right)[1]
    return out


def _kept_contacts(truth: Take, path: Path) -> NDArray[np.bool_]:
    """`contacts_of`, which takes long, kept in a file."""
    if not path.exists():
        np.save(path, contacts_of(truth))
    return np.asarray(np.load(path), bool)


def line(name: str, scores: Sequence[Score]) -> str:
    """A row of the table; at least one clip must show both hands found."""
    vector = np.concatenate([one.vector for one in scores])
    length = np.linalg.norm(vector, axis=1)
    pa, shown, hidden = (
        float(np.concatenate([getattr(one, key).ravel() for one in scores]).mean()) for key in ("pa", "shown", "hidden")
    )
    hits, said, touching = (sum(getattr(one, key) for one in scores) for key in ("hits", "said", "touching"))
    pace = 1e3 * sum(one.seconds for one in scores) / max(sum(one.frames for one in scores), 1)
    told = [
        name,
        f"{length.mean():.1f}, {np.median(length):.1f}",
        *(f"{value:.1f}" for value in (np.abs(vector[:, 2]).mean(), pa, shown, hidden)),
        f"{hits / max(said, 1):.2f} / {hits / max(touching, 1):.2f}",
        f"{pace:.0f}",
    ]
    return f"| {' | '.join(told)} |"


HEAD: Final = (
    "| terms | root: mean, median | of it depth | PA | points seen | points hidden | contact precision / recall "
    "| ms a frame |\n|---|---|---|---|---|---|---|---|"
)


def table(clips: Path, seen: Path, chosen: Sequence[str], write: Path | None = None, *, true_maps: bool = False) -> str:
    """The rows as a table; `write`: a file that grows row by row."""
    names = sorted(path.name.removesuffix(".take.npz") for path in seen.glob("*.take.npz"))
    truths = {name: load_take(clips / name / "truth.npz") for name in names}
    takes = {name: load_take(seen / f"{name}.take.npz") for name in names}
    if true_maps:
        takes = {name: replace(take, maps=perfect_maps(take, truths[name])) for name, take in takes.items()}
    touching = {name: _kept_contacts(truths[name], seen / f"{name}.contacts.npy") for name in names}
    lines = [HEAD]
    for label, settings in rows().items():
        if chosen and label not in chosen:
            continue
        scores = []
        for name in names:
            started = time.process_time()
            solved = solve(takes[name], fit=settings)
            scores.append(score(solved, truths[name], touching[name], time.process_time() - started))
        lines.append(line(label, scores))
        if write is not None:
            write.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    drawing = tasks.add_parser("draw")
    drawing.add_argument("--out", type=Path, required=True)
    drawing.add_argument("--clips", type=int, default=10)
    drawing.add_argument("--seed", type=int, default=DEVELOPMENT_SEED)
    seeing = tasks.add_parser("see")
    seeing.add_argument("--clips", type=Path, required=True)
    seeing.add_argument("--out", type=Path, required=True)
    seeing.add_argument("--match", default="touching_*")
    seeing.add_argument("--own-tracks", action="store_true")
    telling = tasks.add_parser("table")
    telling.add_argument("--clips", type=Path, required=True)
    telling.add_argument("--seen", type=Path, required=True)
    telling.add_argument("--rows", nargs="*", default=[])
    telling.add_argument("--true-maps", action="store_true")
    telling.add_argument("--write", type=Path)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.task == "draw":
        draw_clips(options.out, options.clips, options.seed)
    elif options.task == "see":
        options.out.mkdir(parents=True, exist_ok=True)
        for path in sorted(options.clips.glob(f"{options.match}/truth.npz")):
            target = options.out / f"{path.parent.name}.take.npz"
            if not target.exists():
                save_take(see_clip(path.parent, load_take(path), own_tracks=options.own_tracks), target)
                log.info("%s was seen", path.parent.name)
    else:
        sys.stdout.write(
            table(options.clips, options.seen, options.rows, options.write, true_maps=options.true_maps) + "\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
