# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that ships: whole, sound, and what its card says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_handmocap.engine.errors import ModelFileError
from blender_handmocap.engine.hand.free import HAND_FILE, free_hand, free_hinges, free_surface
from blender_handmocap.engine.hand.names import FINGER_JOINTS, FINGERS, FOREARM_PART

IntArray = NDArray[np.integer]


def _edges(faces: IntArray) -> Counter[tuple[int, int]]:
    return Counter((int(face[k]), int(face[(k + 1) % len(face)])) for face in faces for k in range(len(face)))


def _open_edges(*parts: IntArray) -> list[tuple[int, int]]:
    edges = sum((_edges(part) for part in parts), Counter())
    assert max(edges.values()) == 1, "an edge is used twice in one direction"
    return [edge for edge in edges if edge[::-1] not in edges]


def test_the_file_is_small_and_its_keys_are_the_documented_ones() -> None:
    import blender_handmocap.engine.hand.free as free

    assert HAND_FILE.stat().st_size < 400_000
    with np.load(HAND_FILE, allow_pickle=False) as file:
        for key in file.files:
            assert f"{key} " in (free.__doc__ or ""), key


def test_the_model_mesh_is_closed_and_outwards() -> None:
    hand, surface = free_hand("right"), free_surface()
    assert not _open_edges(surface.quads, surface.cap)
    assert surface.cap[:, 2].min() == surface.cap[:, 2].max() == len(hand.template) - 1
    for side in ("right", "left"):
        corners = free_hand(side).template[free_hand(side).triangles]
        volume = np.einsum("fa,fa->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
        assert 2e-4 < volume < 6e-4, "cubic metres, positive when the faces look outwards"


def test_the_forearm_continues_the_hand_with_clean_rings() -> None:
    hand, surface = free_hand("right"), free_surface()
    rim = _open_edges(surface.quads, surface.arm_quads)
    assert len(rim) == 20
    points = np.concatenate([hand.template, surface.arm_template])
    assert points[[a for a, _ in rim], 0].min() > 0.12
    assert len(surface.arm_template) % 20 == 0
    assert surface.arm_shape_dirs.shape == (10, len(surface.arm_template), 3)
    share = surface.arm_weight
    assert len(share) == len(points) and share.min() == 0.0 and share.max() == 1.0
    assert (share[points[:, 0] < -0.02] == 0.0).all() and (share[points[:, 0] > 0.03] == 1.0).all()


def test_skin_weights_have_at_most_four_joints_and_sum_to_one() -> None:
    weights = free_hand("right").weights
    assert ((weights > 0).sum(1) <= 4).all()
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-12)
    # A finger is moved by its own joints and the palm alone, away from the webs.
    hand = free_hand("right")
    for finger in FINGERS:
        chain = list(FINGER_JOINTS[finger])
        far = hand.weights[:, chain[1:]].sum(1) > 0.9
        others = [joint for joint in range(1, 16) if joint not in chain]
        assert hand.weights[far][:, others].max() < 0.02


def test_joints_and_tips_are_points_of_the_mesh_in_every_shape() -> None:
    hand = free_hand("right")
    with np.load(HAND_FILE) as file:
        index, share, tips = (
            file["joint_vertices"].astype(int),
            file["joint_shares"].astype(float),
            file["tip_vertices"],
        )
    assert share.min() >= 0.0 and share.max() < 0.2
    np.testing.assert_allclose(np.einsum("jk,jkc->jc", share, hand.template[index]), hand.joints, atol=1e-7)
    for betas in np.random.default_rng(1).normal(size=(5, 10)) * 2.0:
        rest = hand.rest(betas)
        vertices = hand.rest_vertices(rest)
        np.testing.assert_allclose(np.einsum("jk,jkc->jc", share, vertices[index]), rest.joints, atol=1e-6)
        np.testing.assert_allclose(vertices[tips.astype(int)], rest.tips, atol=1e-6)


def test_every_joint_lies_inside_the_skin() -> None:
    """Seen from a joint the closed mesh surrounds it: the solid angle of its triangles is 4 pi."""
    hand = free_hand("right")
    for betas in (np.zeros(10), *np.random.default_rng(3).normal(size=(3, 10)) * 1.5):
        rest = hand.rest(betas)
        corners = hand.rest_vertices(rest)[hand.triangles]
        for joint in rest.joints:
            a, b, c = (corners[:, k] - joint for k in range(3))
            la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
            top = (a * np.cross(b, c)).sum(1)
            bottom = la * lb * lc + (a * b).sum(1) * lc + (a * c).sum(1) * lb + (b * c).sum(1) * la
            assert 2.0 * np.arctan2(top, bottom).sum() == pytest.approx(4.0 * np.pi, abs=1e-6)


def test_components_are_one_spread_each_and_change_proportions() -> None:
    hand = free_hand("right")
    moved = np.sqrt((hand.shape_dirs**2).sum(2).mean(1)) * 1e3
    assert (moved > 0.15).all() and (moved < 5.0).all()
    flat = hand.shape_dirs.reshape(10, -1)
    likeness = np.corrcoef(flat)[np.triu_indices(10, 1)]
    assert np.abs(likeness).max() < 0.8


def test_uvs_are_inside_the_atlas_and_every_face_has_room() -> None:
    surface = free_surface()
    assert surface.uv.min() >= 0.0 and surface.uv.max() <= 1.0
    for corners in (surface.quad_uv, surface.arm_quad_uv, surface.cap_uv):
        uv = surface.uv[corners]
        ahead = np.roll(uv, -1, axis=1)
        area = 0.5 * np.abs((uv[..., 0] * ahead[..., 1] - uv[..., 1] * ahead[..., 0]).sum(1))
        assert (area > 1e-8).all()


def test_parts_are_the_joints_that_move_them_most() -> None:
    hand, surface = free_hand("right"), free_surface()
    assert set(surface.part) == set(range(FOREARM_PART))
    agree = hand.weights[np.arange(len(surface.part)), surface.part] >= hand.weights.max(1) - 1e-3
    assert agree.all()


def test_flexion_brings_every_fingertip_to_the_palm() -> None:
    from blender_handmocap.engine.fit.hinges import rotations_from_angles

    hand, hinges = free_hand("right"), free_hinges("right")
    angles = np.zeros((1, 16, 3))
    for finger in FINGERS[1:]:
        angles[0, list(FINGER_JOINTS[finger]), 0] = np.radians([85.0, 100.0, 60.0])
    rest = hand.rest()
    tips = hand.pose(rotations_from_angles(angles, hinges), np.zeros((1, 3)), rest).keypoints[0, [8, 12, 16, 20]]
    palm = hand.rest_vertices(rest)
    palm = palm[hand.weights[:, 0] > 0.5]
    for tip in tips:
        assert np.linalg.norm(palm - tip, axis=1).min() < 0.013
        # Over the middle of the palm, not at the foot of the fingers.
        assert -0.065 < tip[0] < -0.02


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04broken"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hand.npz"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"hand\.npz is missing or damaged .*; install HandMocap again"):
        free_hand("right", path)
    with pytest.raises(ModelFileError):
        free_hinges("left", tmp_path / "nowhere.npz")
