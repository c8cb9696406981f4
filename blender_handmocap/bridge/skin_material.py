# SPDX-License-Identifier: GPL-3.0-or-later
"""A skin material that works in the viewport, EEVEE and Cycles.

Its two pictures come from training/rig_skin.py and are packed into the file, so that it travels without HandMocap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import bpy

MATERIAL_NAME: Final = "HandMocap Skin"
PLAIN_NAME: Final = "HandMocap Plain Skin"

_MODELS: Final = Path(__file__).resolve().parent.parent / "models"
_COLOUR: Final = _MODELS / "skin_colour.jpg"
_SURFACE: Final = _MODELS / "skin_surface.jpg"
_HEIGHT_RANGE: Final = 0.0008
"""Metres between black and white of the height channel."""
_TONE: Final = (0.62, 0.36, 0.28, 1.0)
_SCATTER_RADIUS: Final = (1.0, 0.35, 0.2)
_SCATTER_SCALE: Final = 0.004


def skin_material(*, textured: bool) -> bpy.types.Material:
    """The skin of this file, made when missing; `textured` needs the free hand's UVs."""
    name = MATERIAL_NAME if textured else PLAIN_NAME
    found = bpy.data.materials.get(name)
    if found is not None and found.library is None:
        return found
    material = bpy.data.materials.new(name)
    material.diffuse_color = _TONE
    if material.node_tree is None:
        material.use_nodes = True
    tree = material.node_tree
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = _TONE
    shader.inputs["Roughness"].default_value = 0.5
    shader.inputs["Subsurface Weight"].default_value = 0.2
    shader.inputs["Subsurface Radius"].default_value = _SCATTER_RADIUS
    shader.inputs["Subsurface Scale"].default_value = _SCATTER_SCALE
    if textured:
        _add_pictures(tree, shader)
    return material


def _add_pictures(tree: bpy.types.NodeTree, shader: bpy.types.Node) -> None:
    colour = _picture_node(tree, _COLOUR, (-600, 300), "sRGB")
    surface = _picture_node(tree, _SURFACE, (-900, -50), "Non-Color")
    channels = tree.nodes.new("ShaderNodeSeparateColor")
    channels.location = (-580, -50)
    bump = tree.nodes.new("ShaderNodeBump")
    bump.location = (-300, -150)
    bump.inputs["Distance"].default_value = _HEIGHT_RANGE
    links = tree.links
    links.new(colour.outputs["Color"], shader.inputs["Base Color"])
    links.new(surface.outputs["Color"], channels.inputs["Color"])
    links.new(channels.outputs["Green"], shader.inputs["Roughness"])
    links.new(channels.outputs["Red"], bump.inputs["Height"])
    links.new(bump.outputs["Normal"], shader.inputs["Normal"])


def _picture_node(tree: bpy.types.NodeTree, path: Path, location: tuple[float, float], space: str) -> Any:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.location = location
    node.image = bpy.data.images.load(str(path), check_existing=True)
    node.image.colorspace_settings.name = space
    node.image.pack()
    return node
