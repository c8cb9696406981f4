# SPDX-License-Identifier: GPL-3.0-or-later
"""The free hand written the way MANO's authors wrote theirs: chumpy arrays, a sparse regressor, protocol 2."""

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np

from blender_handmocap.engine.hand.free import HAND_FILE, free_hand
from blender_handmocap.engine.hand.names import JOINT_PARENTS, Side


class _CompressedColumns:
    """What scipy.sparse.csc_matrix leaves in a pickle."""

    def __init__(self, dense: np.ndarray) -> None:
        column, row = np.nonzero(dense.T)
        starts = np.concatenate([[0], np.cumsum(np.bincount(column, minlength=dense.shape[1]))])
        self.__dict__.update(
            _shape=dense.shape,
            data=dense[row, column],
            indices=row.astype(np.int32),
            indptr=starts.astype(np.int32),
            format="csc",
            maxprint=50,
        )


class _Chumpy:
    """What chumpy.ch.Ch leaves in a pickle."""

    def __init__(self, values: np.ndarray) -> None:
        self.__dict__.update(x=values, _dirty_vars=set(), _cache={})


def joint_regressor() -> np.ndarray:
    """(16, V) the free hand's joints as weighted means of its vertices, the same for both sides and every shape."""
    with np.load(HAND_FILE) as file:
        index, share = file["joint_vertices"].astype(int), file["joint_shares"].astype(np.float64)
        rows = np.zeros((len(index), len(file["template"])))
    np.add.at(rows, (np.arange(len(index))[:, None], index), share)
    return rows


def mano_tables(side: Side, *, posed: bool = True) -> dict[str, Any]:
    """The free hand's numbers under MANO's names, with correctives made up for the test."""
    model = free_hand(side)
    count = len(model.template)
    correctives = np.random.default_rng(5).normal(size=(count, 3, 135)) * 1e-3 if posed else np.zeros((count, 3, 135))
    return {
        "v_template": model.template,
        "shapedirs": np.moveaxis(model.shape_dirs, 0, 2),
        "posedirs": correctives,
        "J_regressor": joint_regressor(),
        "weights": model.weights,
        "f": model.triangles.astype(np.uint32),
        "kintree_table": np.array([[4294967295, *JOINT_PARENTS[1:]], range(16)], np.int64),
        "hands_mean": np.zeros(45),
        "hands_components": np.eye(45),
        "bs_type": "lrotmin",
        "bs_style": "lbs",
    }


def write_mano_pickle(path: Path, side: Side, *, posed: bool = True, chumpy: bool = True) -> dict[str, Any]:
    """Write the file; chumpy's and scipy's classes exist only while it is written."""
    tables = mano_tables(side, posed=posed)
    stored: dict[str, Any] = {**tables, "J_regressor": _CompressedColumns(tables["J_regressor"])}
    if chumpy:
        stored["shapedirs"] = _Chumpy(tables["shapedirs"])
    fakes = {"chumpy.ch": ("Ch", _Chumpy), "scipy.sparse.csc": ("csc_matrix", _CompressedColumns)}
    modules = ("chumpy", "chumpy.ch", "scipy", "scipy.sparse", "scipy.sparse.csc")
    replaced = {name: sys.modules.get(name) for name in modules}
    sys.modules.update({name: types.ModuleType(name) for name in modules})
    for name, (attribute, kind) in fakes.items():
        kind.__module__, kind.__qualname__, kind.__name__ = name, attribute, attribute
        setattr(sys.modules[name], attribute, kind)
    try:
        path.write_bytes(pickle.dumps(stored, protocol=2))
    finally:
        for module, before in replaced.items():
            if before is None:
                sys.modules.pop(module, None)
            else:
                sys.modules[module] = before
    return tables
