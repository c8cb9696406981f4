# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand as a Blender rig: an armature and a skinned mesh a side, shaped by betas and palm length.

The bones keep their axes for good: X flexes (fingers towards the palm, in both hands), Y runs along the mean
hand's bone, Z completes them. A change of shape only moves heads and changes lengths, so every key, driver and pose
keeps its meaning to the last bit. All a rig needs to change its shape is stored with it; no model file is read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import bpy
import numpy as np
from mathutils import Vector
from numpy.typing import ArrayLike, NDArray

from ..engine.errors import BadInputError
from ..engine.hand.free import HandSurface, Hinges, free_hand, free_hinges, free_surface
from ..engine.hand.mano import hinges_from_joints
from ..engine.hand.model import HandModel
from ..engine.hand.names import (
    FINGERS,
    JOINT_COUNT,
    JOINT_NAMES,
    JOINT_PARENTS,
    PALM_LENGTH_JOINT,
    SIDE_SUFFIX,
    SIDES,
    TIP_JOINTS,
    Side,
)
from . import correctives, skin
from .frames import ARMATURE_FROM_CANONICAL, RigFrames, armature_points
from .modes import editing_bones

Array = NDArray[np.float64]

COLLECTION_NAME: Final = "HandMocap Hands"
JOINT_BONES: Final = (*JOINT_NAMES, *(f"{finger}4" for finger in FINGERS))
"""Bones of a rig without their suffix: 16 joints in MANO's order, then the five fingertip ends in FINGERS order."""
BONE_PARENTS: Final = (*JOINT_PARENTS, *TIP_JOINTS)

_DATA: Final = "handmocap"
"""Custom property of the armature data that holds what the rig needs to change its shape."""
_BONE_INDEX: Final = "handmocap_bone"
"""Custom property of a bone: its index in JOINT_BONES, which survives renaming."""
_APART: Final = "handmocap_apart"
"""Custom property of an armature object that is none of the scene's own hands."""
_SHAPE_KEY: Final = "beta{}"
_SHAPE_RANGE: Final = 5.0
"""How many standard deviations a shape key can be dragged; the components are scaled to one."""
_TIP_BONE_LENGTH: Final = 0.008
_SHOWN_AT: Final[dict[Side, tuple[float, float, float]]] = {"right": (0.13, 0.45, -0.1), "left": (-0.13, 0.45, -0.1)}
"""Where the wrists of new hands stand, metres: side by side in front of the camera, until keys say otherwise."""


@dataclass(frozen=True)
class HandRig:
    """The two objects of one hand. Do not keep it across ticks, undo or file load; ask `find_hands` again."""

    side: Side
    armature: bpy.types.Object
    mesh: bpy.types.Object | None
    """None when the user deleted the skin"""


def add_hands(
    scene: bpy.types.Scene,
    sides: Iterable[Side] = SIDES,
    *,
    betas: ArrayLike | None = None,
    size: float | None = None,
) -> dict[Side, HandRig]:
    """Add the free hand on each side: betas (10,), palm length in metres (None: as modelled)."""
    surface = free_surface()
    return {
        side: add_hand(scene, free_hand(side), free_hinges(side), surface=surface, betas=betas, size=size)
        for side in sides
    }


def add_hands_of(
    scene: bpy.types.Scene, models: Mapping[Side, HandModel], sides: Iterable[Side]
) -> dict[Side, HandRig]:
    """Add hands of the model a take was solved with: the free hand in full, a user's own with what its file says."""
    if models["right"].id == free_hand("right").id:
        return add_hands(scene, sides)
    return {side: add_hand(scene, models[side], hinges_from_joints(models[side])) for side in sides}


def add_hand(
    scene: bpy.types.Scene,
    model: HandModel,
    hinges: Hinges,
    *,
    surface: HandSurface | None = None,
    betas: ArrayLike | None = None,
    size: float | None = None,
) -> HandRig:
    """Add one hand of any model to the scene's hands collection.

    `hinges` gives each bone's flexion axis. Without a `surface` (a user's MANO file) the skin is the model's triangles
    without UVs. The skin's vertices are the model's, in its order.
    """
    collection = _hands_collection(scene)
    name = f"Hand.{SIDE_SUFFIX[model.side]}"
    data = bpy.data.armatures.new(name)
    armature = bpy.data.objects.new(name, data)
    collection.objects.link(armature)
    armature.show_in_front = True
    data.display_type = "STICK"
    _store(data, model)
    axes = _bone_axes(model, hinges)
    _make_bones(armature, axes)
    _dress_bones(armature, model.side)
    frames = rig_frames(armature)
    mesh = skin.add_skin(collection, armature, model, bone_names(armature)[:JOINT_COUNT], surface)
    _add_shape_keys(mesh, model)
    if model.pose_dirs is not None:
        correctives.add_correctives(mesh, armature, model, frames, bone_names(armature)[:JOINT_COUNT])
    reshape(armature, betas=betas, size=size)
    armature.pose.bones[bone_names(armature)[0]].location = frames.rest[0].T @ np.array(_SHOWN_AT[model.side])
    return HandRig(model.side, armature, mesh)


def find_hands(scene: bpy.types.Scene, *, model: str | None = None) -> dict[Side, HandRig]:
    """The hand rigs of a scene; of several on a side, the one whose name sorts first.

    `model`: only rigs made of the hand model with this id. Hands that were `set_apart` do not count.
    """
    found: dict[Side, bpy.types.Object] = {}
    # Panels ask this at every redraw: nothing is sorted, and little is asked of what is no armature.
    for obj in scene.objects:
        side = side_of(obj)
        if side is None or _APART in obj or model not in (None, obj.data[_DATA]["model"]):
            continue
        if side not in found or obj.name < found[side].name:
            found[side] = obj
    return {side: HandRig(side, found[side], skin_of(found[side])) for side in SIDES if side in found}


def set_apart(rig: HandRig, collection: bpy.types.Collection) -> None:
    """Move a hand into another collection, where it only shows something: nobody finds or selects it."""
    rig.armature[_APART] = True
    for obj in (rig.armature, rig.mesh):
        if obj is None:
            continue
        for holder in obj.users_collection:
            holder.objects.unlink(obj)
        collection.objects.link(obj)
        obj.hide_select = True


def side_of(obj: bpy.types.Object | None) -> Side | None:
    """Which hand an object is the rig of; None for anything else."""
    if obj is None or obj.type != "ARMATURE" or _DATA not in obj.data:
        return None
    side: Side = obj.data[_DATA]["side"]
    return side


def skin_of(armature: bpy.types.Object) -> bpy.types.Object | None:
    """The mesh skinned to a hand rig."""
    for child in armature.children:
        if child.type == "MESH" and any(m.type == "ARMATURE" and m.object is armature for m in child.modifiers):
            return child
    return None


def bone_names(armature: bpy.types.Object) -> list[str]:
    """The names of the bones of a hand rig in the order of JOINT_BONES, whatever the user calls them."""
    names: dict[int, str] = {bone[_BONE_INDEX]: bone.name for bone in armature.data.bones if _BONE_INDEX in bone}
    missing = [JOINT_BONES[i] for i in range(len(JOINT_BONES)) if i not in names]
    if missing:
        raise BadInputError(
            f"{armature.name} lacks the bones {', '.join(missing)}; "
            "undo their removal or add new hands from the HandMocap tab."
        )
    return [names[i] for i in range(len(JOINT_BONES))]


def rig_frames(armature: bpy.types.Object) -> RigFrames:
    """The rest axes of a hand rig as they are in the file."""
    bones = armature.data.bones
    rest = np.array([bones[name].matrix_local for name in bone_names(armature)[:JOINT_COUNT]], dtype=np.float64)
    side = side_of(armature)
    if side is None:
        raise BadInputError(f"{armature.name} is not a HandMocap hand; add hands from the HandMocap tab.")
    return RigFrames(side, rest[:, :3, :3], rest[0, :3, 3])


def shape_of(armature: bpy.types.Object) -> tuple[Array, float]:
    """Betas (10,) and palm length in metres of a hand rig."""
    stored = armature.data[_DATA]
    return np.array(stored["betas"], dtype=np.float64), float(stored["size"])


def reshape(armature: bpy.types.Object, *, betas: ArrayLike | None = None, size: float | None = None) -> None:
    """Give a hand rig another shape: betas (10,), palm length in metres; None keeps what it has.

    The rest joints and the skin follow at once; the bones' axes and everything keyed stay as they are.
    """
    stored = armature.data[_DATA]
    old_betas, old_size = shape_of(armature)
    new_betas = old_betas if betas is None else np.asarray(betas, dtype=np.float64)
    new_size = old_size if size is None else float(size)
    if new_betas.shape != old_betas.shape or not np.isfinite(new_betas).all() or not new_size > 0.0:
        raise BadInputError(
            f"A hand's shape is {len(old_betas)} finite numbers and a palm length above zero; "
            "correct the values and try again."
        )
    joints, scale = _rest_joints(stored, new_betas, new_size)
    _place_bones(armature, joints)
    _shape_skin(armature, new_betas, scale / float(stored["scale"]))
    stored["betas"], stored["size"], stored["scale"] = new_betas.tolist(), new_size, scale


def _store(data: bpy.types.Armature, model: HandModel) -> None:
    ends = np.concatenate([model.joints, model.tips])
    end_dirs = np.concatenate([model.joint_dirs, model.tip_dirs], axis=1)
    data[_DATA] = {
        "side": model.side,
        "model": model.id,
        "sha256": model.sha256,
        "joints": armature_points(ends, model.side).ravel().tolist(),
        "joint_dirs": armature_points(end_dirs, model.side).ravel().tolist(),
        "betas": [0.0] * len(model.joint_dirs),
        "size": model.palm_length,
        "scale": 1.0,
    }


def _rest_joints(stored: bpy.types.PropertyGroup, betas: Array, size: float) -> tuple[Array, float]:
    """Rest joints and tips (21, 3) in armature space, metres, and the factor from the model's own size."""
    joints = np.array(stored["joints"], dtype=np.float64).reshape(-1, 3)
    dirs = np.array(stored["joint_dirs"], dtype=np.float64).reshape(len(betas), -1, 3)
    joints = joints + np.tensordot(betas, dirs, 1)
    joints = joints - joints[0]
    scale = size / float(np.linalg.norm(joints[PALM_LENGTH_JOINT]))
    return joints * scale, scale


def _bone_axes(model: HandModel, hinges: Hinges) -> Array:
    """(21, 3, 3) columns X, Y, Z of each bone in armature space: Y along the mean bone, X its flexion axis."""
    ends = np.concatenate([model.joints, model.tips])
    along = ends[_child_ends()] - ends[:JOINT_COUNT]
    flexion = hinges.frame[:, :, 0].copy()
    # The wrist has no hinge of its own; its flexion is about the axis across the palm, like the knuckle's.
    flexion[0] = hinges.frame[PALM_LENGTH_JOINT, :, 0]
    y = along / np.linalg.norm(along, axis=-1, keepdims=True)
    x = flexion - (flexion * y).sum(-1, keepdims=True) * y
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    axes = np.stack([x, y, np.cross(x, y)], axis=-1)
    axes = np.concatenate([axes, axes[list(TIP_JOINTS)]])
    return ARMATURE_FROM_CANONICAL[model.side] @ axes


def _child_ends() -> list[int]:
    """For each joint the index, in JOINT_BONES, of the end its bone points to."""
    children = {parent: child for child, parent in enumerate(BONE_PARENTS) if parent > 0}
    return [PALM_LENGTH_JOINT, *(children[joint] for joint in range(1, JOINT_COUNT))]


def _make_bones(armature: bpy.types.Object, axes: Array) -> None:
    stored = armature.data[_DATA]
    suffix = SIDE_SUFFIX[stored["side"]]
    joints, _ = _rest_joints(stored, np.array(stored["betas"]), stored["size"])
    lengths = _bone_lengths(joints)
    with editing_bones(armature) as edit_bones:
        made = []
        for index, base in enumerate(JOINT_BONES):
            bone = edit_bones.new(f"{base}.{suffix}")
            bone[_BONE_INDEX] = index
            bone.head = joints[index]
            bone.tail = joints[index] + axes[index, :, 1] * lengths[index]
            bone.align_roll(Vector(axes[index, :, 2]))
            bone.parent = made[BONE_PARENTS[index]] if index else None
            bone.use_deform = index < JOINT_COUNT
            made.append(bone)


def _place_bones(armature: bpy.types.Object, joints: Array) -> None:
    """Move heads to joints (21, 3); each bone keeps its axes, only its length follows."""
    names = bone_names(armature)
    axes = {name: armature.data.bones[name].matrix_local.to_3x3() for name in names}
    lengths = _bone_lengths(joints)
    with editing_bones(armature) as edit_bones:
        for index, name in enumerate(names):
            bone = edit_bones[name]
            bone.use_connect = False
            bone.head = joints[index]
            bone.tail = bone.head + axes[name].col[1] * lengths[index]
            bone.align_roll(axes[name].col[2])


def _bone_lengths(joints: Array) -> Array:
    lengths = np.linalg.norm(joints[_child_ends()] - joints[:JOINT_COUNT], axis=-1)
    return np.concatenate([lengths, np.full(len(FINGERS), _TIP_BONE_LENGTH)])


def _dress_bones(armature: bpy.types.Object, side: Side) -> None:
    """Collections, colours, locks and rotation modes."""
    data = armature.data
    hand, tips = data.collections.new("Hand"), data.collections.new("Fingertips")
    tips.is_visible = False
    names = bone_names(armature)
    for index, name in enumerate(names):
        bone, pose_bone = data.bones[name], armature.pose.bones[name]
        (hand if index < JOINT_COUNT else tips).assign(bone)
        pose_bone.rotation_mode = "QUATERNION"
        pose_bone.lock_scale = (True, True, True)
        if index:
            pose_bone.lock_location = (True, True, True)
            finger = next(i for i, finger in enumerate(FINGERS) if JOINT_BONES[index].startswith(finger))
            bone.color.palette = f"THEME{finger + 1:02d}"
        else:
            bone.color.palette = "THEME09"


def _add_shape_keys(mesh: bpy.types.Object, model: HandModel) -> None:
    basis = armature_points(model.template - model.joints[0], model.side)
    offsets = armature_points(model.shape_dirs - model.joint_dirs[:, :1], model.side)
    mesh.shape_key_add(name="Basis", from_mix=False)
    for index, offset in enumerate(offsets):
        key = mesh.shape_key_add(name=_SHAPE_KEY.format(index), from_mix=False)
        key.slider_min, key.slider_max = -_SHAPE_RANGE, _SHAPE_RANGE
        key.data.foreach_set("co", (basis + offset).astype(np.float32).ravel())


def _shape_skin(armature: bpy.types.Object, betas: Array, factor: float) -> None:
    """Set the shape keys' values and scale all keys by `factor`, so that what the user sculpted scales along."""
    mesh = skin_of(armature)
    if mesh is None or mesh.data.shape_keys is None:
        return
    blocks = mesh.data.shape_keys.key_blocks
    if factor != 1.0:
        points = np.empty(3 * len(mesh.data.vertices), np.float32)
        for block in blocks:
            block.data.foreach_get("co", points)
            block.data.foreach_set("co", points * np.float32(factor))
        mesh.data.vertices.foreach_get("co", points)
        mesh.data.vertices.foreach_set("co", points * np.float32(factor))
    for index, value in enumerate(betas):
        block = blocks.get(_SHAPE_KEY.format(index))
        if block is not None:
            block.slider_min, block.slider_max = min(block.slider_min, value), max(block.slider_max, value)
            block.value = value
    mesh.data.update()


def _hands_collection(scene: bpy.types.Scene) -> bpy.types.Collection:
    for collection in scene.collection.children_recursive:
        if collection.name.startswith(COLLECTION_NAME) and collection.library is None:
            return collection
    collection = bpy.data.collections.new(COLLECTION_NAME)
    scene.collection.children.link(collection)
    return collection
