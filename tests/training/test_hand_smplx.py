# SPDX-License-Identifier: GPL-3.0-or-later
"""Our hand against smplx, the reference implementation: the same file, the same hands."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from mano_files import mano_tables

from blender_handmocap.engine import rotations
from blender_handmocap.engine.hand.mano import load_mano, mano_translation
from blender_handmocap.engine.hand.names import SIDES, Side

smplx = pytest.importorskip("smplx")
torch = pytest.importorskip("torch")

POSES = 100


def write_for_smplx(path: Path, side: Side) -> None:
    """The same numbers with a real scipy matrix, since smplx unpickles the ordinary way."""
    from scipy.sparse import csc_matrix

    tables = mano_tables(side)
    path.write_bytes(pickle.dumps({**tables, "J_regressor": csc_matrix(tables["J_regressor"])}, protocol=2))


@pytest.mark.parametrize("side", SIDES)
def test_vertices_and_joints_agree_over_random_poses_and_shapes(tmp_path: Path, side: Side) -> None:
    path = tmp_path / f"MANO_{side.upper()}.pkl"
    write_for_smplx(path, side)
    reference = smplx.create(
        str(path), model_type="mano", is_rhand=side == "right", use_pca=False, flat_hand_mean=True, batch_size=POSES
    ).double()
    random = np.random.default_rng(0)
    betas = random.normal(size=(POSES, 10))
    vectors = random.normal(size=(POSES, 16, 3)) * 0.6
    wrist = random.normal(size=(POSES, 3)) * 0.3
    model = load_mano(path, side, mend_left_shape=False)
    place = np.array([mano_translation(model, b, w) for b, w in zip(betas, wrist, strict=True)])

    def tensor(array: np.ndarray) -> object:
        return torch.from_numpy(np.ascontiguousarray(array))

    with torch.no_grad():
        out = reference(
            betas=tensor(betas),
            global_orient=tensor(vectors[:, 0]),
            hand_pose=tensor(vectors[:, 1:].reshape(POSES, 45)),
            transl=tensor(place),
        )
    rotation = rotations.quaternion_from_vector(vectors)
    for k in range(POSES):
        rest = model.rest(betas[k])
        posed = model.pose(rotation[k : k + 1], wrist[k : k + 1], rest)
        np.testing.assert_allclose(posed.joints[0], out.joints[k].numpy()[:16], atol=1e-5)
        np.testing.assert_allclose(model.skin(posed, rest, rotation[k : k + 1])[0], out.vertices[k].numpy(), atol=1e-5)
