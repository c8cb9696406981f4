# SPDX-License-Identifier: GPL-3.0-or-later
"""Symmetric positive definite systems of small dense blocks along time, solved block by block.

A block factorisation A = L D L^T that holds only the blocks that couple: a clip of one hand has two
below each diagonal block (the next frame and the one after it), two hands in contact more, two
hands apart none between them. Each block is eliminated in a small dense front that hands on what
remains to the next block it touches, so the work is a few dense products a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spatial import Array


class BlockSystem:
    """The upper triangle of A x = b for blocks of equal size."""

    def __init__(self, diagonal: Array, right_side: Array) -> None:
        """diagonal (N, m, m) and right side (N, m, r)."""
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
        count, size, sides = self.right_side.shape
        eliminated: list[tuple[list[int], Array]] = []
        left: list[list[_Rest]] = [[] for _ in range(count)]
        for i in range(count):
            blocks, front = self._front(i, left[i])
            left[i] = []
            row = front[:size, size:]
            # Many right sides for one small matrix: with its inverse they are one product.
            solved = np.linalg.inv(front[:size, :size]) @ row
            later = blocks[1:]
            eliminated.append((later, solved))
            if later:
                rest = row[:, :-sides].T @ solved
                np.subtract(front[size:, size:], rest, out=rest)
                left[later[0]].append(_Rest(later, rest))
        out = np.empty((count, size, sides))
        for i in range(count - 1, -1, -1):
            later, solved = eliminated[i]
            out[i] = solved[:, size * len(later) :]
            if later:
                out[i] -= solved[:, : size * len(later)] @ out[later].reshape(-1, sides)
        return out

    def _front(self, i: int, left: list[_Rest]) -> tuple[list[int], Array]:
        """Block i and the later ones it has to do with by now, and their dense system with the right side behind it.

        Of the later blocks' rows it holds what eliminated ones left to them, the rest joins when their turn comes.
        """
        size, sides = self.right_side.shape[1:]
        mine = self.couplings[i]
        blocks = sorted({i, *mine, *(block for rest in left for block in rest.blocks)})
        place = {block: slot * size for slot, block in enumerate(blocks)}
        width = size * len(blocks)
        front = np.zeros((width, width + sides))
        front[:size, :size] = self.diagonal[i]
        front[:size, width:] = self.right_side[i]
        for block, values in mine.items():
            front[:size, place[block] : place[block] + size] = values
        for rest in left:
            first, last = place[rest.blocks[0]], place[rest.blocks[-1]] + size
            if last - first == len(rest.values):
                front[first:last, first:last] += rest.values[:, :-sides]
                front[first:last, width:] += rest.values[:, -sides:]
            else:
                rows = np.concatenate([np.arange(place[block], place[block] + size) for block in rest.blocks])
                front[np.ix_(rows, rows)] += rest.values[:, :-sides]
                front[rows, width:] += rest.values[:, -sides:]
        return blocks, front


@dataclass(frozen=True)
class _Rest:
    """What an eliminated block leaves to the later ones it was coupled to."""

    blocks: list[int]
    """in order; the first one takes it on"""
    values: Array
    """(n m, n m + r) to add to their system and right side"""
