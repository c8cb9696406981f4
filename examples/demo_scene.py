# SPDX-License-Identifier: GPL-3.0-or-later
"""A take as a Blender file and as a picture: footage above, the captured hands below. Run by `build.py demo`.

python -m examples.demo_scene TAKE --clip MOVIE --blend OUT.blend --picture OUT.png
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

import bpy
import cv2
import numpy as np
from mathutils import Matrix, Vector
from numpy.typing import NDArray

from blender_handmocap.bridge.frames import world_points
from blender_handmocap.bridge.scene import AppliedTake, apply_take
from blender_handmocap.engine.footage import open_footage
from blender_handmocap.engine.progress import Progress, Reporter
from blender_handmocap.engine.take import Take, load_take

Picture = NDArray[np.uint8]

COLUMNS: Final = 4
WIDTH: Final = 400
"""pixels of one picture in the sheet"""
MARGIN: Final = 8
SAMPLES: Final = 24
TURNED: Final = math.radians(60)
"""how far the second view goes round the hands"""
ROOM: Final = 1.15
"""how much wider than the hands the second view is"""
PAPER: Final = 245


def main() -> int:
    """Write the .blend and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("take", type=Path)
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--blend", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    options = parser.parse_args()

    bpy.ops.wm.read_factory_settings(use_empty=True)
    take = load_take(options.take)
    scene = bpy.context.scene
    applied = apply_take(scene, take, options.clip.resolve(), name=options.take.name.partition(".")[0])
    light(scene, take)
    look_through_camera()
    with silence():
        bpy.ops.wm.save_as_mainfile(filepath=str(options.blend.resolve()), relative_remap=True, compress=True)
    shown = frames_to_show(take)
    footage = pictures_of(options.clip, [int(take.frame[index]) for index in shown])
    rows = [footage, *rendered(scene, take, applied, shown, height=footage[0].shape[0])]
    cv2.imwrite(str(options.picture), cv2.cvtColor(sheet(rows), cv2.COLOR_RGB2BGR))
    return 0


def frames_to_show(take: Take) -> list[int]:
    """Indices of frames spread over the take, with as many hands as it ever shows at once."""
    hands = take.left.present.astype(int) + take.right.present.astype(int)
    full = np.flatnonzero(hands == hands.max())
    return [int(full[round(share * (len(full) - 1))]) for share in np.linspace(0.1, 0.9, COLUMNS)]


def pictures_of(clip: Path, numbers: list[int]) -> list[Picture]:
    """Frames of the clip by number, as wide as a picture of the sheet."""
    found: dict[int, Picture] = {}
    for frame in open_footage(str(clip)).frames():
        if frame.index in numbers:
            height = round(WIDTH * frame.image.shape[0] / frame.image.shape[1])
            found[frame.index] = cv2.resize(frame.image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        if len(found) == len(set(numbers)):
            break
    return [found[number] for number in numbers]


def hands_at(take: Take, index: int) -> NDArray[np.float64]:
    """Points (N, 3) of the hands that are there in one frame, world axes, metres."""
    tracks = [track for track in (take.left, take.right) if track.present[index]]
    return world_points(np.concatenate([track.points[index] for track in tracks]))


def light(scene: bpy.types.Scene, take: Take) -> None:
    """A key, a fill and a rim light around where the hands are on average, on a plain ground."""
    middle = Vector(np.mean([hands_at(take, index).mean(0) for index in frames_to_show(take)], axis=0))
    for name, place, watts, size in (
        ("Key", (-0.5, -0.5, 0.6), 14.0, 0.5),
        ("Fill", (0.7, -0.4, 0.1), 5.0, 0.8),
        ("Rim", (0.2, 0.6, 0.5), 9.0, 0.4),
    ):
        lamp = bpy.data.objects.new(name, bpy.data.lights.new(name, "AREA"))
        lamp.data.energy, lamp.data.size = watts, size
        lamp.location = middle + Vector(place)
        lamp.rotation_euler = (middle - lamp.location).to_track_quat("-Z", "Y").to_euler()
        scene.collection.objects.link(lamp)
    scene.world = bpy.data.worlds.new("Ground")
    scene.world.color = (0.25, 0.27, 0.3)


def look_through_camera() -> None:
    """Whoever opens the file sees the hands over the footage at once."""
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.region_3d.view_perspective = "CAMERA"


def rendered(
    scene: bpy.types.Scene, take: Take, applied: AppliedTake, shown: list[int], *, height: int
) -> list[list[Picture]]:
    """Two rows: the hands through the solved camera, and from the side."""
    render = scene.render
    render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = SAMPLES, True
    scene.cycles.device = "CPU"
    render.film_transparent = True
    render.image_settings.file_format, render.image_settings.color_mode = "PNG", "RGBA"
    render.resolution_x, render.resolution_y, render.resolution_percentage = WIDTH, height, 100
    through = scene.camera
    aside = bpy.data.objects.new("Side", through.data.copy())
    aside.data.animation_data_clear()
    aside.data.lens = closer_lens(take, shown, through, height / WIDTH)
    scene.collection.objects.link(aside)
    report, total = Reporter(), 2 * len(shown)
    rows: list[list[Picture]] = [[], []]
    with tempfile.TemporaryDirectory() as folder:
        for column, index in enumerate(shown):
            scene.frame_set(applied.first_frame + int(take.frame[index] - take.frame[0]))
            turn_round(aside, through.location, Vector(hands_at(take, index).mean(0)))
            for row, camera in enumerate((through, aside)):
                scene.camera = camera
                render.filepath = str(Path(folder) / f"{row}-{column}.png")
                with silence():
                    bpy.ops.render.render(write_still=True)
                rows[row].append(on_paper(Path(render.filepath)))
                report(Progress("writing", 2 * column + row + 1, total))
    scene.camera = through
    report.close()
    return rows


def closer_lens(take: Take, shown: list[int], through: bpy.types.Object, aspect: float) -> float:
    """Focal length, millimetres, that fills a picture with the hands of every frame shown."""
    needed = 0.0
    for index in shown:
        points = hands_at(take, index)
        centre = points.mean(0)
        reach = float(np.linalg.norm(points - centre, axis=1).max())
        needed = max(needed, reach / float(np.linalg.norm(centre - np.array(through.location))))
    return float(aspect * through.data.sensor_width / (2.0 * ROOM * needed))


def turn_round(aside: bpy.types.Object, origin: Vector, centre: Vector) -> None:
    """Look at the hands from as far away as the first camera, but from the side."""
    aside.location = centre + Matrix.Rotation(TURNED, 3, "Z") @ (origin - centre)
    aside.rotation_euler = (centre - aside.location).to_track_quat("-Z", "Y").to_euler()
    aside.data.shift_x = aside.data.shift_y = 0.0


def on_paper(path: Path) -> Picture:
    """A transparent render over the sheet's ground."""
    picture = cv2.cvtColor(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA).astype(np.float64)
    alpha = picture[..., 3:] / 255.0
    return (picture[..., :3] * alpha + (PAPER - 25) * (1.0 - alpha)).round().astype(np.uint8)


def sheet(rows: list[list[Picture]]) -> Picture:
    """Pictures of one size, in rows, with margins."""
    height, width = rows[0][0].shape[:2]
    page = np.full(
        (len(rows) * (height + MARGIN) + MARGIN, len(rows[0]) * (width + MARGIN) + MARGIN, 3), PAPER, np.uint8
    )
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            y, x = MARGIN + row * (height + MARGIN), MARGIN + column * (width + MARGIN)
            page[y : y + height, x : x + width] = picture
    return page


class silence:  # noqa: N801 - reads as a statement
    """Blender reports every render on the process's standard output; a progress bar has no room for that."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self._kept = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()
        os.dup2(self._kept, 1)
        os.close(self._kept)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Blender 4.5 may hang while Python shuts down; what is to be written is written.
    os._exit(code)
