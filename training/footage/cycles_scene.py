# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the light of a bundle of scenes (`cycles_bundle`) with Cycles: every body, lamp and movement of the scene.

    python -m training.footage.cycles_scene --bundle FOLDER [--samples 16]

Needs bpy and nothing else of ours but the bridge. Frames that are there already are left alone, so a stopped job
goes on where it was. Backdrop, lens and codec come afterwards, the same as in pictures drawn without Blender.
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
from mathutils import Vector
from numpy.typing import NDArray

from blender_handmocap.bridge.frames import world_points

from .cycles import add_camera, set_up

log = logging.getLogger(__name__)

_METAL: Final = 0.2
"""Reflectance from which on a body is metal."""
_THREADS: Final = 2


def build(data: dict[str, NDArray[Any]], *, samples: int) -> None:
    """An empty Blender becomes the scene, without its movement."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    for k in range(_count(data, "body")):
        _add_body(k, data)
    for k in range(_count(data, "light")):
        _add_sun(k, data)
    add_camera(scene, data["K"], *(int(n) for n in data["size"]))
    _add_sky(scene, data["sky"])
    set_up(scene, samples=samples)
    scene.render.film_transparent = True
    scene.render.use_motion_blur = True
    scene.render.motion_blur_shutter = 1.0
    # The shutter opens at frame 0 and closes at frame 1, between which each mesh moves evenly.
    scene.render.motion_blur_position = "START"
    scene.frame_set(0)
    scene.render.threads_mode, scene.render.threads = "FIXED", _THREADS
    scene.view_settings.view_transform = "Raw"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode = "RGBA"
    scene.render.image_settings.color_depth = "32"


def _count(data: dict[str, NDArray[Any]], kind: str) -> int:
    end = "_faces" if kind == "body" else "_colour"
    return sum(key.startswith(kind) and key.endswith(end) for key in data)


def _add_body(k: int, data: dict[str, NDArray[Any]]) -> None:
    faces = data[f"body{k}_faces"]
    mesh = bpy.data.meshes.new(f"body{k}")
    mesh.from_pydata(world_points(data[f"body{k}_start"][0]).tolist(), [], faces.tolist())
    layer = mesh.uv_layers.new(name="UVMap")
    corners = data[f"body{k}_uv"].reshape(-1, 2) * [1.0, -1.0] + [0.0, 1.0]
    layer.data.foreach_set("uv", corners.astype(np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), bool))
    mesh.materials.append(_material(k, data))
    thing = bpy.data.objects.new(f"body{k}", mesh)
    bpy.context.scene.collection.objects.link(thing)
    thing.shape_key_add(name="start")
    moved = thing.shape_key_add(name="end")
    for frame, value in ((0, 0.0), (1, 1.0)):
        moved.value = value
        moved.keyframe_insert("value", frame=frame)
    for curve in _curves(mesh.shape_keys):
        for point in curve.keyframe_points:
            point.interpolation = "LINEAR"


def _curves(keys: bpy.types.Key) -> list[bpy.types.FCurve]:
    """The animation curves of shape keys, by whichever way this Blender stores them."""
    action = keys.animation_data.action
    if hasattr(action, "fcurves"):
        return list(action.fcurves)
    return [curve for layer in action.layers for strip in layer.strips for bag in strip.channelbags
            for curve in bag.fcurves]  # fmt: skip


def _image(name: str, values: NDArray[Any]) -> bpy.types.Image:
    """An image of linear values (rows, columns, 3), first row at the bottom."""
    rows, columns = values.shape[:2]
    image = bpy.data.images.new(name, columns, rows, float_buffer=True, is_data=True)
    pixels = np.ones((rows, columns, 4), np.float32)
    pixels[..., :3] = values
    image.pixels.foreach_set(pixels.ravel())
    return image


def _material(k: int, data: dict[str, NDArray[Any]]) -> bpy.types.Material:
    skin, roughness, reflectance, bump, red, green, blue, _ = (float(v) for v in data[f"body{k}_material"])
    texels = data[f"body{k}_texture"][::-1].astype(np.float32)
    material = bpy.data.materials.new(f"body{k}")
    material.use_nodes = True
    tree = material.node_tree
    shader = tree.nodes["Principled BSDF"]

    def texture(name: str, values: NDArray[Any]) -> bpy.types.NodeSocket:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = _image(f"body{k} {name}", values)
        return node.outputs["Color"]

    albedo = np.clip((texels[..., :3] / 255.0) ** 2 * [red, green, blue], 0.0, 1.0)
    tree.links.new(texture("albedo", albedo), shader.inputs["Base Color"])
    rough = np.clip(texels[..., 3:4] / 128.0 * roughness, 0.12, 1.0)
    tree.links.new(texture("roughness", np.repeat(rough, 3, axis=2)), shader.inputs["Roughness"])
    if reflectance >= _METAL:
        shader.inputs["Metallic"].default_value = 1.0
    else:
        # A specular level of 0.5 reflects 4 % head on.
        shader.inputs["Specular IOR Level"].default_value = reflectance / 0.08
    height = data[f"body{k}_height"]
    if height.size and bump > 0:
        node = tree.nodes.new("ShaderNodeBump")
        node.inputs["Distance"].default_value = 1.0
        node.inputs["Strength"].default_value = 1.0
        tree.links.new(texture("height", np.repeat(height[::-1, :, None], 3, axis=2)), node.inputs["Height"])
        tree.links.new(node.outputs["Normal"], shader.inputs["Normal"])
    if skin > 0:
        shader.inputs["Subsurface Weight"].default_value = 0.35
        shader.inputs["Subsurface Radius"].default_value = (1.0, 0.35, 0.18)
        shader.inputs["Subsurface Scale"].default_value = 0.004
    return material


def _add_sun(k: int, data: dict[str, NDArray[Any]]) -> None:
    colour = data[f"light{k}_colour"]
    strength = max(float(colour.max()), 1e-6)
    light = bpy.data.lights.new(f"light{k}", "SUN")
    light.color = (colour / strength).tolist()
    # Sunlight of pi shows a white surface that faces it as 1.
    light.energy = math.pi * strength
    light.angle = 2.0 * float(data[f"light{k}_softness"])
    thing = bpy.data.objects.new(f"light{k}", light)
    toward = Vector(world_points(data[f"light{k}_direction"][None])[0].tolist())
    thing.rotation_euler = toward.to_track_quat("Z", "Y").to_euler()
    bpy.context.scene.collection.objects.link(thing)


def _add_sky(scene: bpy.types.Scene, sky: NDArray[Any]) -> None:
    world = bpy.data.worlds.new("sky")
    scene.world = world
    world.use_nodes = True
    tree = world.node_tree
    picture = tree.nodes.new("ShaderNodeTexEnvironment")
    picture.image = _image("sky", sky)
    tree.links.new(picture.outputs["Color"], tree.nodes["Background"].inputs["Color"])


def show(data: dict[str, NDArray[Any]], frame: int) -> None:
    """Put the meshes where they are while the shutter of one frame is open."""
    for k in range(_count(data, "body")):
        mesh = bpy.data.meshes[f"body{k}"]
        for name in ("start", "end"):
            points = np.ascontiguousarray(world_points(data[f"body{k}_{name}"][frame]), np.float32)
            mesh.shape_keys.key_blocks[name].data.foreach_set("co", points.ravel())
            if name == "start":
                mesh.vertices.foreach_set("co", points.ravel())
        mesh.update()


def light(data: dict[str, NDArray[Any]], frame: int, scratch: Path) -> NDArray[np.float16]:
    """One frame (H, W, 4): linear light x covered share, and that share. `scratch` names a file that is overwritten."""
    show(data, frame)
    scene = bpy.context.scene
    scene.cycles.seed = frame
    scene.render.filepath = str(scratch.resolve())
    bpy.ops.render.render(write_still=True)
    image = bpy.data.images.load(str(scratch.resolve()))
    width, height = image.size
    values = np.empty(width * height * 4, np.float32)
    image.pixels.foreach_get(values)
    bpy.data.images.remove(image)
    return values.reshape(height, width, 4)[::-1].astype(np.float16)


def render(bundle: Path, *, samples: int) -> None:
    """Draw every frame that is not there yet."""
    with np.load(bundle / "scene.npz", allow_pickle=False) as file:
        data = {key: file[key] for key in file.files}
    frames = len(data["body0_start"])
    missing = [frame for frame in range(frames) if not (bundle / f"{frame:05d}.npy").exists()]
    if not missing:
        return
    build(data, samples=samples)
    for frame in missing:
        drawn = light(data, frame, bundle / "drawing.exr")
        unfinished = bundle / "unfinished.npy"
        np.save(unfinished, drawn)
        unfinished.replace(bundle / f"{frame:05d}.npy")
        log.info("%s: frame %d of %d", bundle, frame, frames)
    (bundle / "drawing.exr").unlink()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path, action="append", required=True)
    parser.add_argument("--samples", type=int, default=16)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for bundle in options.bundle:
        render(bundle, samples=options.samples)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
