# SPDX-License-Identifier: GPL-3.0-or-later
"""A skin material that works in the viewport, EEVEE and Cycles."""

from __future__ import annotations

from typing import Final

import bpy

MATERIAL_NAME: Final = "HandMocap Skin"
_TONE: Final = (0.62, 0.36, 0.26, 1.0)


def skin_material() -> bpy.types.Material:
    """The skin material of this file, made when it is missing."""
    found = bpy.data.materials.get(MATERIAL_NAME)
    if found is not None and found.library is None:
        return found
    material = bpy.data.materials.new(MATERIAL_NAME)
    material.diffuse_color = _TONE
    if material.node_tree is None:
        material.use_nodes = True
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = _TONE
    shader.inputs["Roughness"].default_value = 0.45
    shader.inputs["Subsurface Weight"].default_value = 0.15
    shader.inputs["Subsurface Scale"].default_value = 0.004
    return material
