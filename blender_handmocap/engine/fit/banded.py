# SPDX-License-Identifier: GPL-3.0-or-later
"""Symmetric positive definite systems of small dense blocks along time, solved block by block.

A block Cholesky factorisation A = L D L^T that stores only the blocks that couple: a clip of one
hand has two below each diagonal block (the next frame and the one after it), two hands in
contact more, two hands apart none between them. Time and memory grow with the number of blocks.
"""

from __future__ import annotations

import numpy as np

from .spatial import Array


class BlockSystem:
    """The upper triangle of A x = b for blocks of equal size."""

    def __init__(self, diagonal: Array, right_side: Array) -> None:
        """diagonal (N, m, m) and right side (N, m, r); both are kept and overwritten by `solve`."""
        self.diagonal = diagonal
        self.right_side = right_side
        self.couplings: list[dict[int, Array]] = [{} for _ in range(len(diagonal))]

    def couple(self, first: int, second: int, block: Array) -> None:
        """Add block (m, m) at row `first`, column `second`, and its mirror image."""
        if first > second:
            first, second, block = second, first, block.T
        mine = self.couplings[first]
        mine[second] = mine[second] + block if second in mine else block

    def solve(self) -> Array:
        """x (N, m, r). Raises numpy.linalg.LinAlgError where a pivot block is singular."""
        diagonal, right_side, couplings = self.diagonal, self.right_side, self.couplings
        count, size, sides = right_side.shape
        eliminated: list[tuple[list[int], Array]] = []
        for i in range(count):
            later = sorted(couplings[i])
            row = np.concatenate([*(couplings[i][j] for j in later), right_side[i]], axis=1)
            solved = np.linalg.solve(diagonal[i], row)
            eliminated.append((later, solved))
            if not later:
                continue
            update = row[:, : size * len(later)].T @ solved
            for a, j in enumerate(later):
                part = update[a * size : (a + 1) * size]
                diagonal[j] -= part[:, a * size : (a + 1) * size]
                right_side[j] -= part[:, size * len(later) :]
                for b in range(a + 1, len(later)):
                    block = part[:, b * size : (b + 1) * size]
                    known = couplings[j].get(later[b])
                    couplings[j][later[b]] = -block if known is None else known - block
        out = np.empty((count, size, sides))
        for i in range(count - 1, -1, -1):
            later, solved = eliminated[i]
            out[i] = solved[:, size * len(later) :]
            if later:
                out[i] -= solved[:, : size * len(later)] @ out[later].reshape(-1, sides)
        return out
