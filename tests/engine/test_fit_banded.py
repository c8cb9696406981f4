# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest

from blender_handmocap.engine.fit.banded import BlockSystem


def random_system(count: int, size: int, links: list[tuple[int, int]], seed: int = 0) -> tuple[BlockSystem, np.ndarray]:
    """A block system and the same as a dense positive definite matrix."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((count * size, count * size))
    blocks = {}
    for i, j in links:
        blocks[i, j] = rng.normal(size=(size, size))
        dense[i * size : (i + 1) * size, j * size : (j + 1) * size] += blocks[i, j]
    dense = dense + dense.T
    dense += np.eye(len(dense)) * (np.abs(dense).sum(1).max() + 1.0)
    noise = rng.normal(size=(count, size, size))
    diagonal = noise + np.swapaxes(noise, 1, 2)
    for i in range(count):
        dense[i * size : (i + 1) * size, i * size : (i + 1) * size] += diagonal[i]
    dense += np.eye(len(dense)) * np.abs(diagonal).sum((1, 2)).max()
    pieces = np.stack([dense[i * size : (i + 1) * size, i * size : (i + 1) * size] for i in range(count)])
    system = BlockSystem(pieces.copy(), rng.normal(size=(count, size, 2)))
    for (i, j), block in blocks.items():
        system.couple(i, j, block)
    return system, dense


def band(count: int, reach: int) -> list[tuple[int, int]]:
    return [(i, i + k) for k in range(1, reach + 1) for i in range(count - k)]


@pytest.mark.parametrize(
    ("count", "size", "links"),
    [
        (1, 4, []),
        (7, 3, band(7, 1)),
        (12, 5, band(12, 2)),
        # Two interleaved hands, coupled with each other in the middle only.
        (16, 4, [(i, i + 2) for i in range(14)] + [(i, i + 4) for i in range(12)] + [(6, 7), (8, 9)]),
        (6, 3, [(0, 5), (1, 3), (2, 4)]),
    ],
)
def test_solution_is_the_dense_one(count: int, size: int, links: list[tuple[int, int]]) -> None:
    system, dense = random_system(count, size, links)
    right_side = system.right_side.reshape(count * size, -1).copy()
    found = system.solve().reshape(count * size, -1)
    np.testing.assert_allclose(found, np.linalg.solve(dense, right_side), rtol=1e-9, atol=1e-12)


def test_blocks_below_the_diagonal_are_mirrored() -> None:
    system, dense = random_system(5, 3, [])
    block = np.random.default_rng(1).normal(size=(3, 3))
    system.couple(4, 1, block)
    dense[12:15, 3:6] += block
    dense[3:6, 12:15] += block.T
    expected = np.linalg.solve(dense, system.right_side.reshape(15, -1))
    np.testing.assert_allclose(system.solve().reshape(15, -1), expected, rtol=1e-9)


def test_agrees_with_a_banded_solver() -> None:
    linalg = pytest.importorskip("scipy.linalg")
    count, size = 40, 6
    system, dense = random_system(count, size, band(count, 2))
    width = 3 * size
    lower = np.zeros((width, count * size))
    for k in range(width):
        lower[k, : count * size - k] = np.diagonal(dense, -k)
    expected = linalg.solveh_banded(lower, system.right_side.reshape(count * size, -1), lower=True)
    np.testing.assert_allclose(system.solve().reshape(count * size, -1), expected, rtol=1e-9, atol=1e-12)


def test_blocks_that_do_not_couple_are_not_filled() -> None:
    links = [(i, i + 2) for i in range(18)]
    system, _ = random_system(20, 3, links)
    system.solve()
    assert all(set(row) <= {i + 2} for i, row in enumerate(system.couplings))
