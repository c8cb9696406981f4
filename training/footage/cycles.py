# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw a bundle of posed meshes (`example_clip bundle`) with Cycles: skin, sleeves, a room, a camera's lens.

    python -m training.footage.cycles --bundle FOLDER --frames FOLDER [--start 0 --end 179] [--samples 16]
    python -m training.footage.cycles --frames FOLDER --movie examples/two_hands.mp4

Needs bpy and nothing else of ours but the bridge. Frames that are there already are left alone,
so a stopped job goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import bpy
import numpy as np
from numpy.typing import NDArray

from blender_handmocap.bridge.camera import lens_of
from blender_handmocap.bridge.frames import world_points

log = logging.getLogger(__name__)

SIDES: Final = ("left", "right")
ROOM: Final = Path(__file__).resolve().parent / "data" / "hdri_interior.jpg"
CUFF: Final = 0.062
"""metres behind the wrist at which the sleeve begins"""
_CLOTH: Final = 0.006
"""metres the cloth stands off the skin"""
_ROOM_TURN: Final = math.radians(118.0)
_NOISE: Final = 2.2
"""standard deviation of the sensor's noise, grey levels"""


def build(bundle: Path, *, samples: int) -> dict[str, NDArray[Any]]:
    """An empty Blender becomes the scene; returns the bundle's arrays."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with np.load(bundle / "meshes.npz", allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}
    scene = bpy.context.scene
    skin, cloth = _skin(bundle), _cloth()
    for side in SIDES:
        _add_mesh(side, data, skin)
        _add_sleeve(side, data, cloth)
    add_camera(scene, data["K"], *(int(n) for n in data["size"]))
    _add_lights()
    _add_room(scene)
    set_up(scene, samples=samples)
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "Medium High Contrast"
    scene.view_settings.exposure = 0.35
    scene.render.image_settings.file_format = "PNG"
    return data


def set_up(scene: bpy.types.Scene, *, samples: int) -> None:
    """Cycles with few samples and a denoiser."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    # A thorough denoiser costs more than the picture itself; the webcam's own noise comes on top anyway.
    scene.cycles.denoising_quality = "FAST"
    scene.cycles.denoising_prefilter = "NONE"
    scene.cycles.denoising_input_passes = "RGB_ALBEDO"
    scene.cycles.max_bounces = 4
    scene.render.use_persistent_data = True


def _add_mesh(side: str, data: dict[str, NDArray[Any]], material: bpy.types.Material) -> None:
    faces, uv = data[f"{side}_faces"], data[f"{side}_uv"]
    mesh = bpy.data.meshes.new(f"hand.{side}")
    mesh.from_pydata(world_points(data[f"{side}_vertices"][0]).tolist(), [], faces.tolist())
    layer = mesh.uv_layers.new(name="UVMap")
    corners = uv.reshape(-1, 2) * [1.0, -1.0] + [0.0, 1.0]
    layer.data.foreach_set("uv", corners.astype(np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.materials.append(material)
    thing = bpy.data.objects.new(f"hand.{side}", mesh)
    bpy.context.scene.collection.objects.link(thing)
    finer = thing.modifiers.new("finer", "SUBSURF")
    finer.levels = finer.render_levels = 1


def _sleeve_faces(side: str, data: dict[str, NDArray[Any]]) -> NDArray[Any]:
    faces = data[f"{side}_faces"]
    return faces[(data[f"{side}_along"][faces] > CUFF).all(1)]


def _sleeve_points(side: str, data: dict[str, NDArray[Any]], frame: int) -> NDArray[Any]:
    """The skin's points moved out along their normals, in soft folds that wander with the arm."""
    vertices, faces = data[f"{side}_vertices"][frame].astype(np.float64), data[f"{side}_faces"]
    corners = vertices[faces]
    normal = np.zeros_like(vertices)
    face_normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for k in range(3):
        np.add.at(normal, faces[:, k], face_normal)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    along = data[f"{side}_along"]
    around = np.arctan2(normal[:, 0], normal[:, 1])
    folds = 0.0012 * np.sin(along * 210.0 + 1.3 * np.sin(2.0 * around) + (1.7 if side == "left" else 0.0))
    return world_points(vertices + normal * (_CLOTH + folds + 0.05 * np.maximum(along - CUFF, 0.0))[:, None])


def _add_sleeve(side: str, data: dict[str, NDArray[Any]], material: bpy.types.Material) -> None:
    faces = _sleeve_faces(side, data)
    mesh = bpy.data.meshes.new(f"sleeve.{side}")
    mesh.from_pydata(_sleeve_points(side, data, 0).tolist(), [], faces.tolist())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.materials.append(material)
    thing = bpy.data.objects.new(f"sleeve.{side}", mesh)
    bpy.context.scene.collection.objects.link(thing)
    thick = thing.modifiers.new("thick", "SOLIDIFY")
    thick.thickness, thick.offset = 0.0025, 1.0
    finer = thing.modifiers.new("finer", "SUBSURF")
    finer.levels = finer.render_levels = 1


def _image(path: Path) -> bpy.types.Image:
    image = bpy.data.images.load(str(path.resolve()))
    # The maps hold linear values already.
    image.colorspace_settings.name = "Non-Color"
    return image


def _skin(bundle: Path) -> bpy.types.Material:
    material = bpy.data.materials.new("skin")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]

    def texture(name: str) -> bpy.types.Node:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = _image(bundle / f"{name}.png")
        return node

    albedo, roughness, height = (texture(name) for name in ("albedo", "roughness", "height"))
    tree.links.new(albedo.outputs["Color"], shader.inputs["Base Color"])
    rough = tree.nodes.new("ShaderNodeMath")
    rough.operation = "MULTIPLY"
    rough.inputs[1].default_value = 0.95
    tree.links.new(roughness.outputs["Color"], rough.inputs[0])
    tree.links.new(rough.outputs[0], shader.inputs["Roughness"])
    bump = tree.nodes.new("ShaderNodeBump")
    bump.inputs["Distance"].default_value = 0.002
    bump.inputs["Strength"].default_value = 0.6
    tree.links.new(height.outputs["Color"], bump.inputs["Height"])
    tree.links.new(bump.outputs["Normal"], shader.inputs["Normal"])
    shader.inputs["Subsurface Weight"].default_value = 0.35
    shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.18)
    shader.inputs["Subsurface Scale"].default_value = 0.004
    return material


def _cloth() -> bpy.types.Material:
    material = bpy.data.materials.new("cloth")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]
    shader.inputs["Roughness"].default_value = 0.95
    shader.inputs["Sheen Weight"].default_value = 0.4
    weave = tree.nodes.new("ShaderNodeTexNoise")
    weave.inputs["Scale"].default_value = 420.0
    weave.inputs["Detail"].default_value = 3.0
    shade = tree.nodes.new("ShaderNodeValToRGB")
    shade.color_ramp.elements[0].color = (0.030, 0.042, 0.075, 1.0)
    shade.color_ramp.elements[1].color = (0.060, 0.080, 0.130, 1.0)
    tree.links.new(weave.outputs["Fac"], shade.inputs["Fac"])
    tree.links.new(shade.outputs["Color"], shader.inputs["Base Color"])
    return material


def add_camera(scene: bpy.types.Scene, K: NDArray[Any], width: int, height: int) -> None:
    """A camera with a matrix K (3, 3) for pictures of width x height, at the origin of the engine's axes."""
    lens = lens_of(K, width, height)
    scene.render.resolution_x, scene.render.resolution_y = width, height
    scene.render.resolution_percentage = 100
    camera = bpy.data.cameras.new("camera")
    camera.sensor_fit, camera.sensor_width = "HORIZONTAL", 36.0
    camera.lens, camera.shift_x, camera.shift_y = float(lens.lens[0]), float(lens.shift_x[0]), float(lens.shift_y[0])
    camera.clip_start = 0.01
    thing = bpy.data.objects.new("camera", camera)
    thing.rotation_euler = (math.pi / 2, 0.0, 0.0)
    scene.collection.objects.link(thing)
    scene.camera = thing


def _add_lights() -> None:
    """A window on the left, the ceiling's bounce, and what a screen gives."""
    for name, place, size, power, colour in (
        ("window", (-0.9, 0.1, 0.55), 0.7, 16.0, (1.0, 0.96, 0.90)),
        ("ceiling", (0.3, 0.6, 1.4), 1.2, 12.0, (1.0, 0.90, 0.78)),
        ("screen", (0.0, -0.12, -0.12), 0.35, 1.2, (0.85, 0.93, 1.0)),
    ):
        light = bpy.data.lights.new(name, "AREA")
        light.size, light.energy, light.color = size, power, colour
        thing = bpy.data.objects.new(name, light)
        thing.location = place
        target = np.array([0.0, 0.52, 0.0]) - place
        yaw = math.atan2(target[0], target[1])
        pitch = math.atan2(target[2], math.hypot(target[0], target[1]))
        thing.rotation_euler = (math.pi / 2 + pitch, 0.0, -yaw)
        bpy.context.scene.collection.objects.link(thing)


def _add_room(scene: bpy.types.Scene) -> None:
    """The picture of a room all round; far enough to be out of focus."""
    world = bpy.data.worlds.new("room")
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    place = tree.nodes.new("ShaderNodeTexCoord")
    turn = tree.nodes.new("ShaderNodeMapping")
    turn.inputs["Rotation"].default_value = (0.0, math.radians(-6.0), _ROOM_TURN)
    picture = tree.nodes.new("ShaderNodeTexEnvironment")
    picture.image = bpy.data.images.load(str(ROOM))
    picture.interpolation = "Cubic"
    tree.links.new(place.outputs["Generated"], turn.inputs["Vector"])
    tree.links.new(turn.outputs["Vector"], picture.inputs["Vector"])
    tree.links.new(picture.outputs["Color"], tree.nodes["Background"].inputs["Color"])
    tree.nodes["Background"].inputs["Strength"].default_value = 0.75


def show(data: dict[str, NDArray[Any]], frame: int) -> None:
    """Put the meshes where they are in one frame."""
    for side in SIDES:
        for name, points in (
            (f"hand.{side}", world_points(data[f"{side}_vertices"][frame])),
            (f"sleeve.{side}", _sleeve_points(side, data, frame)),
        ):
            mesh = bpy.data.meshes[name]
            mesh.vertices.foreach_set("co", np.ascontiguousarray(points, np.float32).ravel())
            mesh.update()


def render(bundle: Path, frames: Path, *, start: int, end: int | None, samples: int) -> None:
    """Draw every frame that is not there yet."""
    data = build(bundle, samples=samples)
    frames.mkdir(parents=True, exist_ok=True)
    last = len(data["left_vertices"]) - 1 if end is None else end
    scene = bpy.context.scene
    for frame in range(start, last + 1):
        path = frames / f"{frame:05d}.png"
        if path.exists():
            continue
        show(data, frame)
        scene.cycles.seed = frame
        scene.render.filepath = str((frames / f"part_{frame:05d}.png").resolve())
        bpy.ops.render.render(write_still=True)
        Path(scene.render.filepath).replace(path)
        log.info("frame %d of %d", frame, last)


def encode(frames: Path, movie: Path, *, rate: int = 30, quality: int = 23) -> None:
    """The frames with a webcam's noise as an H.264 movie, by Blender's own encoder."""
    import cv2

    pictures = sorted(frames.glob("[0-9]*.png"))
    noisy = frames / "noisy"
    noisy.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    for number, path in enumerate(pictures):
        image = np.asarray(cv2.imread(str(path)), np.float64)
        # Noise of a small sensor: neighbouring pixels share it after demosaicing.
        grain = cv2.GaussianBlur(random.normal(size=image.shape) * _NOISE * 1.6, (0, 0), 0.7)
        soft = cv2.GaussianBlur(image, (0, 0), 0.55)
        cv2.imwrite(str(noisy / f"{number:05d}.png"), np.clip(soft + grain, 0, 255).astype(np.uint8))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    height, width = cv2.imread(str(pictures[0])).shape[:2]
    scene.render.resolution_x, scene.render.resolution_y, scene.render.fps = width, height, rate
    scene.render.resolution_percentage = 100
    scene.view_settings.view_transform = "Standard"
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences
    strip = strips.new_image("frames", str((noisy / "00000.png").resolve()), channel=1, frame_start=1)
    for number in range(1, len(pictures)):
        strip.elements.append(f"{number:05d}.png")
    scene.frame_start, scene.frame_end = 1, len(pictures)
    strip.frame_final_duration = len(pictures)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):
        settings.media_type = "VIDEO"
    settings.file_format = "FFMPEG"
    scene.render.ffmpeg.format, scene.render.ffmpeg.codec = "MPEG4", "H264"
    scene.render.ffmpeg.constant_rate_factor = "MEDIUM"
    scene.render.ffmpeg.gopsize = rate
    scene.render.filepath = str(movie.resolve())
    bpy.ops.render.render(animation=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--end", type=int)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--movie", type=Path)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if options.bundle:
        render(options.bundle, options.frames, start=options.start, end=options.end, samples=options.samples)
    if options.movie:
        encode(options.frames, options.movie)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
