# SPDX-License-Identifier: GPL-3.0-or-later
"""The pictures of the hand's card, rendered with Cycles: `python -m training.hand.pictures` under a Python with bpy.

docs/pictures/hand_poses.jpg: ten named poses from the back and from the palm.
docs/pictures/hand_shapes.jpg: each component at -2 and +2 standard deviations, palm length held.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Final

import bpy
import cv2
import numpy as np
from mathutils import Matrix
from numpy.typing import NDArray

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import rotations_from_angles
from blender_handmocap.engine.hand.free import HAND_FILE, free_hand, free_hinges, free_surface

from .poses import TEN_POSES

Array = NDArray[np.float64]

PICTURES: Final = Path(__file__).resolve().parents[2] / "docs" / "pictures"
SHAPE_NAMES: Final = (
    *(f"principal {number}" for number in range(1, 7)),
    "palm width",
    "palm length",
    "thumb",
    "thickness",
)
_SIDE: Final = 220
_SAMPLES: Final = 24
_BACK: Final = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
"""Canonical to picture axes (right, towards the eye, up) of a right hand seen from its back, fingers up."""


def _stage() -> bpy.types.Object:
    """An empty scene with soft light and a camera that looks along +y; the camera is returned."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = _SAMPLES
    scene.cycles.use_denoising = False
    scene.render.resolution_x = scene.render.resolution_y = _SIDE
    scene.render.image_settings.file_format = "PNG"
    scene.view_settings.view_transform = "Standard"
    scene.world = bpy.data.worlds.new("grey")
    scene.world.use_nodes = True
    scene.world.node_tree.nodes["Background"].inputs["Color"].default_value = (0.16, 0.17, 0.19, 1.0)
    for name, place, energy, size in (
        ("key", (-0.35, -0.55, 0.55), 5.5, 0.20),
        ("fill", (0.55, -0.45, 0.10), 1.2, 0.5),
        ("rim", (0.25, 0.45, 0.45), 4.0, 0.3),
    ):
        lamp = bpy.data.lights.new(name, "AREA")
        lamp.energy, lamp.size = energy, size
        holder = bpy.data.objects.new(name, lamp)
        holder.location = place
        holder.rotation_euler = (-holder.location).to_track_quat("-Z", "Y").to_euler()
        scene.collection.objects.link(holder)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.data.type = "ORTHO"
    camera.data.ortho_scale = 0.225
    camera.matrix_world = Matrix.Translation((0.0, -1.0, 0.0)) @ Matrix.Rotation(np.pi / 2, 4, "X")
    scene.collection.objects.link(camera)
    scene.camera = camera
    return camera


def _skin() -> bpy.types.Material:
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (0.60, 0.36, 0.26, 1.0)
    shader.inputs["Roughness"].default_value = 0.5
    shader.inputs["Subsurface Weight"].default_value = 0.25
    shader.inputs["Subsurface Radius"].default_value = (0.006, 0.003, 0.002)
    shader.inputs["Subsurface Scale"].default_value = 1.0
    return material


def _shown(vertices: Array, faces: list[list[int]], material: bpy.types.Material) -> bpy.types.Object:
    mesh = bpy.data.meshes.new("hand")
    mesh.from_pydata(vertices.tolist(), [], faces)
    mesh.shade_smooth()
    mesh.materials.append(material)
    thing = bpy.data.objects.new("hand", mesh)
    smooth = thing.modifiers.new("smooth", "SUBSURF")
    smooth.levels = smooth.render_levels = 1
    bpy.context.scene.collection.objects.link(thing)
    return thing


def _faces() -> list[list[int]]:
    surface = free_surface(HAND_FILE)
    return [face.tolist() for face in (*surface.quads, *surface.cap)]


def _turn(up: float, side: float) -> Array:
    """World from canonical: seen from the back, then turned by degrees about the fingers and about the picture's x."""
    about = rotations.matrix_from_vector(np.radians([[0.0, 0.0, side], [up, 0.0, 0.0]]))
    to_world = np.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])
    turned: Array = about[1] @ about[0] @ to_world @ _BACK
    return turned


def _render(vertices: Array, turn: Array, material: bpy.types.Material, scratch: Path) -> NDArray[np.uint8]:
    placed = vertices @ turn.T
    placed -= 0.5 * (placed.min(0) + placed.max(0))
    thing = _shown(placed, _faces(), material)
    bpy.context.scene.render.filepath = str(scratch / "one.png")
    bpy.ops.render.render(write_still=True)
    bpy.data.objects.remove(thing)
    return cv2.imread(str(scratch / "one.png"))


def _labelled(picture: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    out = picture.copy()
    cv2.putText(out, text, (8, _SIDE - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def _sheet(pictures: list[NDArray[np.uint8]], columns: int, path: Path) -> None:
    rows = [np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 85])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--only", choices=["poses", "shapes"])
    options = parser.parse_args()
    hand, hinges = free_hand("right"), free_hinges("right")
    with tempfile.TemporaryDirectory() as folder:
        _stage()
        material, scratch = _skin(), Path(folder)
        if options.only != "shapes":
            rest = hand.rest()
            back, palm = [], []
            for label, pose in TEN_POSES.items():
                rotation = rotations_from_angles(pose.angles()[None], hinges)
                vertices = hand.vertices(rotation, np.zeros((1, 3)), rest)[0]
                back.append(_labelled(_render(vertices, _turn(10.0, 30.0), material, scratch), label))
                palm.append(_labelled(_render(vertices, _turn(10.0, 200.0), material, scratch), label))
            half = len(back) // 2
            _sheet(back[:half] + palm[:half] + back[half:] + palm[half:], half, options.out / "hand_poses.jpg")
        if options.only != "poses":
            low, high = [], []
            for component, label in enumerate(SHAPE_NAMES):
                for spread, row in ((-2.0, low), (2.0, high)):
                    rest = hand.rest(np.eye(10)[component] * spread, hand.palm_length)
                    picture = _render(hand.rest_vertices(rest), _turn(0.0, 205.0), material, scratch)
                    row.append(_labelled(picture, f"{label} {spread:+.0f}"))
            half = len(low) // 2
            _sheet(low[:half] + high[:half] + low[half:] + high[half:], half, options.out / "hand_shapes.jpg")


if __name__ == "__main__":
    main()
