# SPDX-License-Identifier: GPL-3.0-or-later
"""The skinned mesh of a hand rig: faces, UVs, weights, material."""

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

from ..engine.hand.free import HandSurface
from ..engine.hand.model import HandModel
from ..engine.hand.names import SIDE_SUFFIX
from .frames import armature_points
from .skin_material import skin_material

IntArray = NDArray[np.int32]


def add_skin(
    collection: bpy.types.Collection,
    armature: bpy.types.Object,
    model: HandModel,
    bones: list[str],
    surface: HandSurface | None,
) -> bpy.types.Object:
    """Make the mean hand's mesh, skinned to `bones` (MANO's order); vertices are the model's, in its order."""
    name = f"Hand Skin.{SIDE_SUFFIX[model.side]}"
    mesh = bpy.data.meshes.new(name)
    points = armature_points(model.template - model.joints[0], model.side)
    faces, corners = _faces(model, surface)
    mesh.from_pydata(points, [], faces)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    if surface is not None:
        layer = mesh.uv_layers.new(name="UVMap")
        layer.uv.foreach_set("vector", surface.uv[corners].astype(np.float32).ravel())
    mesh.materials.append(skin_material(textured=surface is not None))
    obj = bpy.data.objects.new(name, mesh)
    collection.objects.link(obj)
    obj.parent = armature
    _weigh(obj, model, bones)
    _modify(obj, armature)
    mesh.update()
    return obj


def _faces(model: HandModel, surface: HandSurface | None) -> tuple[list[list[int]], IntArray]:
    """Faces outwards counter-clockwise, and the UV index of each of their corners in a row."""
    if surface is None:
        return model.triangles.tolist(), np.zeros(0, np.int32)
    groups = [(surface.quads, surface.quad_uv), (surface.cap, surface.cap_uv)]
    if model.side == "left":
        groups = [(face[:, ::-1], uv[:, ::-1]) for face, uv in groups]
    faces = [face for group, _ in groups for face in group.tolist()]
    return faces, np.concatenate([uv.ravel() for _, uv in groups])


def _weigh(obj: bpy.types.Object, model: HandModel, bones: list[str]) -> None:
    for joint, bone in enumerate(bones):
        group = obj.vertex_groups.new(name=bone)
        weights = model.weights[:, joint]
        for vertex in np.flatnonzero(weights):
            group.add([int(vertex)], float(weights[vertex]), "REPLACE")


def _modify(obj: bpy.types.Object, armature: bpy.types.Object) -> None:
    deform = obj.modifiers.new("Hand", "ARMATURE")
    deform.object = armature
    deform.use_vertex_groups, deform.use_bone_envelopes = True, False
    # The engine skins linearly; preserving volume would be another hand.
    deform.use_deform_preserve_volume = False
    smooth = obj.modifiers.new("Smooth", "SUBSURF")
    smooth.levels, smooth.render_levels = 0, 1
    smooth.show_viewport = False
