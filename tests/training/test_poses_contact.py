# SPDX-License-Identifier: GPL-3.0-or-later
"""Relaxation to contact and what the meshes say: against hand-made cases and against each other."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from blender_handmocap.engine import rotations
from blender_handmocap.engine.fit.hinges import pack, rotations_from_angles
from blender_handmocap.engine.hand.free import free_hand, free_hinges
from blender_handmocap.engine.hand.spheres import fitted_spheres
from training.footage import contact, families, mesh_gap, poses, split, two_hands
from training.footage.contact import Pairs

FACING = rotations.quaternion_from_matrix(np.diag([-1.0, -1.0, 1.0]))
"""The left hand laid palm to palm on the right one, fingers the same way."""


def palm_to_palm(distance, count=1, name="open"):
    """Pairs whose palms face each other, wrists `distance` metres apart."""
    return Pairs(
        angles=np.tile(poses.named(name), (count, 2, 1, 1)),
        turn=np.tile(FACING, (count, 1)),
        shift=np.tile([0.0, -distance, 0.0], (count, 1)),
        arm=np.tile(rotations.IDENTITY, (count, 2, 1)),
    )


def icosphere(radius):
    """A sphere of triangles, outwards counter-clockwise."""
    trimesh = pytest.importorskip("trimesh")
    ball = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return np.array(ball.vertices), np.array(ball.faces, np.int64)


def rings(vertices, faces):
    order = np.argsort(faces.ravel(), kind="stable")
    start = np.searchsorted(faces.ravel()[order], np.arange(len(vertices) + 1))
    return start.astype(np.int64), (order // 3).astype(np.int64), np.arange(len(vertices)), np.array([0, len(vertices)])


def test_centres_are_the_engines():
    random = np.random.default_rng(0)
    angles = poses.sample(random, 6).reshape(3, 2, 16, 3)
    pairs = Pairs(
        angles,
        rotations.normalized(random.normal(size=(3, 4))),
        random.normal(size=(3, 3)),
        np.tile(rotations.IDENTITY, (3, 2, 1)),
    )
    body = contact.body_of()
    found = contact.centres(pairs, body)[:, 1, : body.hand_spheres]
    left = free_hand("left")
    rotation = rotations_from_angles(pairs.angles[:, 1], free_hinges("left"), pairs.turn)
    posed = left.pose(rotation, pairs.shift, left.rest())
    expected = fitted_spheres(left, count=contact.SPHERE_COUNT).centres(posed)
    order = np.argsort(fitted_spheres(left, count=contact.SPHERE_COUNT).joint, kind="stable")
    np.testing.assert_allclose(found, expected[:, order], atol=1e-12)


def test_hands_that_sink_come_apart():
    before = palm_to_palm(0.022)
    assert mesh_gap.measure(before).depth[0] > 0.005
    after = contact.relax(before, families.wishes(1, shift=0.05))
    seen = mesh_gap.measure(after.pairs)
    assert seen.depth[0] < 0.002
    assert seen.gap[0] < 0.004, "pushed further than needed"


def test_pulled_fingertips_meet():
    before = palm_to_palm(0.12)
    tips = np.array([families.tip_sphere(finger) for finger in ("index", "middle")])
    wish = families.wishes(1, np.stack([tips, tips], axis=-1)[None], shift=0.1, angles=30.0)
    assert mesh_gap.measure(before).gap[0] == mesh_gap.FAR
    after = contact.relax(before, wish).pairs
    seen = mesh_gap.measure(after)
    assert seen.depth[0] < 0.002
    assert seen.part_gap[0, 1, 1] <= two_hands.TOUCH and seen.part_gap[0, 2, 2] <= two_hands.TOUCH


def test_hands_far_apart_stay_as_they_are():
    before = palm_to_palm(0.3)
    after = contact.relax(before, families.wishes(1)).pairs
    np.testing.assert_allclose(after.shift, before.shift, atol=1e-6)
    np.testing.assert_allclose(after.angles, before.angles, atol=np.radians(0.6))


def test_limits_hold_however_hard_the_pull():
    tip = families.tip_sphere("pinky")
    wish = families.wishes(1, np.array([[[tip, families.tip_sphere("thumb")]]]), angles=90.0, shift=0.001, turn=1.0)
    hinges = free_hinges("right")
    after = pack(contact.relax(palm_to_palm(0.1), wish).pairs.angles, hinges)
    assert (after >= pack(hinges.limits[..., 0], hinges) - 1e-9).all()
    assert (after <= pack(hinges.limits[..., 1], hinges) + 1e-9).all()


def test_a_held_ball_is_touched_by_both_and_entered_by_none():
    draft = families.FAMILIES["object"].draft(np.random.default_rng(6), 12, False)
    outcome = contact.relax(draft.pairs, draft.wishes)
    body = contact.body_of()
    depth = contact.thing_depth(outcome.pairs, draft.wishes.thing, body)[:, :, : body.hand_spheres].max(2)
    sound = outcome.depth < 0.004
    assert sound.mean() > 0.5
    assert depth[sound].max() < 0.004
    assert np.median(depth[sound]) > -0.004


def test_changing_roles_is_a_mirror():
    random = np.random.default_rng(8)
    draft = families.FAMILIES["touch"].draft(random, 6, False)
    swapped = families._partly_swapped(draft, np.ones(6, bool))
    before, after = mesh_gap.measure(draft.pairs), mesh_gap.measure(swapped.pairs)
    np.testing.assert_allclose(after.depth, before.depth, atol=1e-9)
    np.testing.assert_allclose(after.part_gap, np.swapaxes(before.part_gap, 1, 2), atol=1e-9)


def test_signed_distances_to_a_ball():
    vertices, faces = icosphere(0.02)
    points = np.random.default_rng(2).normal(size=(300, 3))
    points *= (np.random.default_rng(3).uniform(0.012, 0.03, 300) / np.linalg.norm(points, axis=1))[:, None]
    signed, nearest = mesh_gap.signed_distances(points, np.ones(300, bool), vertices, faces, *rings(vertices, faces))
    expected = np.linalg.norm(points, axis=1) - 0.02
    assert (nearest >= 0).all()
    np.testing.assert_allclose(signed, expected, atol=0.0003)


def test_winding_number_and_depth_of_a_ball():
    vertices, faces = icosphere(0.02)
    assert mesh_gap._winding(np.zeros(3), vertices, faces) == pytest.approx(1.0, abs=1e-6)
    assert mesh_gap._winding(np.array([0.05, 0, 0]), vertices, faces) == pytest.approx(0.0, abs=1e-6)
    inside = np.array([[0.0, 0.0, 0.013], [0.0, 0.019, 0.0]])
    assert mesh_gap.winding_depth(inside, np.ones(2, bool), vertices, faces) == pytest.approx(0.007, abs=0.0004)


def test_the_quick_depth_agrees_with_the_thorough_one():
    draft = families.FAMILIES["palms"].draft(np.random.default_rng(1), 6, False)
    quick, thorough = mesh_gap.measure(draft.pairs).depth, mesh_gap.true_depth(draft.pairs)
    shallow = thorough < 0.006
    np.testing.assert_allclose(quick[shallow], thorough[shallow], atol=0.001)
    assert (quick[~shallow] > 0.004).all()


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_every_family_makes_sound_patterns(family):
    made, drafted = two_hands.made(family, np.random.default_rng(4), 10, test=False)
    assert drafted == 10
    assert len(made) >= 2
    seen = mesh_gap.measure(made.pairs)
    assert seen.depth.max() < two_hands.DEEPEST + 1e-9
    if families.FAMILIES[family].touching:
        assert (seen.gap <= two_hands.TOUCH).mean() >= 0.6


def test_patterns_keep_through_a_file(tmp_path):
    made, _ = two_hands.made("fingertips", np.random.default_rng(4), 8, test=True)
    two_hands.save(made, tmp_path / "some.npz")
    read = two_hands.read(tmp_path / "some.npz")
    assert read.names == made.names and read.test.all()
    np.testing.assert_allclose(read.pairs.angles, made.pairs.angles, atol=1e-12)
    np.testing.assert_allclose(read.pairs.shift, made.pairs.shift, atol=1e-12)
    np.testing.assert_allclose(rotations.angle_between(read.pairs.turn, made.pairs.turn), 0.0, atol=1e-6)
    assert (read.gap >= made.gap - 1e-9)[made.gap < 0.0255].all()
    two_hands.save(read, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "some.npz").read_bytes()


def test_another_shape_keeps_its_contacts():
    made, _ = two_hands.made("fingertips", np.random.default_rng(7), 8, test=False)
    betas = np.random.default_rng(1).normal(size=10)
    eased = two_hands.fitted(made, betas, 0.1)
    body = contact.body_of(betas, 0.1)
    centres = contact.centres(eased, body)[:, :, : body.hand_spheres]
    apart = np.linalg.norm(centres[:, 0, :, None] - centres[:, 1, None], axis=-1)
    gap = (apart - body.radius[: body.hand_spheres, None] - body.radius[: body.hand_spheres]).min((1, 2))
    assert np.median(np.abs(gap)) < 0.002
    assert gap.min() > -0.004


def test_the_split_names_families_there_are():
    assert split.load().names["family"] <= set(families.FAMILIES)


def test_the_committed_set_is_the_one_its_card_describes():
    card = (Path(__file__).parents[2] / "docs" / "footage.md").read_text(encoding="utf-8")
    assert hashlib.sha256(two_hands.PATTERN_FILE.read_bytes()).hexdigest() in card
    patterns = two_hands.load()
    assert len(patterns) >= 50_000
    assert patterns.names == tuple(families.FAMILIES)
    for number, name in enumerate(patterns.names):
        mine = patterns.family == number
        assert mine.sum() >= families.FAMILIES[name].wanted
        share = patterns.test[mine].mean()
        assert share == 1.0 if split.is_test("family", name) else 0.02 < share < 0.25
    assert patterns.thing[patterns.family != patterns.names.index("object"), 6].max() == 0.0


def test_random_ones_of_the_committed_set_touch_without_entering():
    patterns = two_hands.load()
    random = np.random.default_rng()
    about_touching = [name for name in patterns.names if families.FAMILIES[name].touching]
    touching = patterns.of(*about_touching)
    some = touching[random.choice(len(touching), 60, replace=False)]
    seen = mesh_gap.measure(some.pairs)
    assert np.quantile(seen.depth, 0.95) <= two_hands.DEEPEST
    assert (seen.gap <= two_hands.TOUCH).mean() >= 0.6
    # What is stored of the parts' distances is what the meshes say, to the unit it is stored in.
    near = seen.part_gap < 0.0255 - 2 * two_hands.GAP_UNIT
    np.testing.assert_allclose(some.gap[near], seen.part_gap[near], atol=1.01 * two_hands.GAP_UNIT)
