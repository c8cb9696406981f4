# SPDX-License-Identifier: GPL-3.0-or-later
"""The spheres lie inside the mesh, fill it, move with it and follow its shape."""

from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine.hand.free import free_hand
from blender_handmocap.engine.hand.names import CONTACT_PARTS
from blender_handmocap.engine.hand.spheres import NO_PART, RUNTIME_COUNT, fitted_spheres

STRAIGHT = np.tile([1.0, 0.0, 0.0, 0.0], (1, 16, 1))


def signed_gaps(model, spheres, rest, rotation=STRAIGHT):
    """Distance (V,) of each vertex from the union of spheres; negative inside. Metres."""
    posed = model.pose(rotation, np.zeros((1, 3)), rest)
    vertices = model.skin(posed, rest, rotation)[0]
    centres = spheres.centres(posed)[0]
    return (np.linalg.norm(vertices[:, None] - centres, axis=-1) - spheres.radius).min(1)


@pytest.fixture(scope="module")
def right():
    return free_hand("right")


def hand_only(model):
    return model.rest_vertices(model.rest())[:, 0] < 0.0


def test_few_spheres_fill_the_hand_and_stay_inside(right):
    spheres = fitted_spheres(right)
    assert 0.8 * RUNTIME_COUNT <= len(spheres) <= RUNTIME_COUNT
    gaps = signed_gaps(right, spheres, right.rest())[hand_only(right)]
    assert gaps.min() > -0.001
    assert np.median(gaps) < 0.0012
    assert np.quantile(gaps, 0.95) < 0.0065


def test_more_spheres_fit_more_closely(right):
    gaps = [
        np.quantile(signed_gaps(right, fitted_spheres(right, count=n), right.rest())[hand_only(right)], 0.9)
        for n in (40, 250)
    ]
    assert gaps[1] < 0.5 * gaps[0]
    assert gaps[1] < 0.001


def test_they_move_with_a_bent_hand(right):
    half = np.radians(35.0)
    rotation = STRAIGHT.copy()
    # The flexion axis of a right hand's fingers points along +z, so a fist turns about it.
    rotation[0, [2, 5, 8, 11]] = [np.cos(half), 0.0, 0.0, np.sin(half)]
    spheres = fitted_spheres(right, count=120)
    bent = signed_gaps(right, spheres, right.rest(), rotation)[hand_only(right)]
    # Skin blends between two bones where a ball follows one: near the joint they part by some millimetres.
    assert np.quantile(np.abs(bent), 0.9) < 0.003
    assert bent.min() > -0.006


def test_they_follow_shape_and_size(right):
    betas = np.random.default_rng(4).normal(size=10)
    rest = right.rest(betas, 0.08)
    gaps = signed_gaps(right, fitted_spheres(right, rest, count=120), rest)[hand_only(right)]
    assert np.quantile(np.abs(gaps), 0.9) < 0.0025
    doubled = fitted_spheres(right, right.rest(size=2 * right.palm_length))
    np.testing.assert_allclose(doubled.radius, 2 * fitted_spheres(right).radius, rtol=1e-9)


def test_the_left_hand_has_the_mirrored_spheres(right):
    left = fitted_spheres(free_hand("left"))
    np.testing.assert_allclose(left.offset, fitted_spheres(right).offset * [-1, 1, 1], atol=1e-12)
    np.testing.assert_allclose(left.radius, fitted_spheres(right).radius)


def test_every_contact_part_has_spheres(right):
    part = fitted_spheres(right).part
    assert set(range(len(CONTACT_PARTS))) <= set(part.tolist()) <= {*range(len(CONTACT_PARTS)), NO_PART}
