# SPDX-License-Identifier: GPL-3.0-or-later
"""The pose prior: how hands usually bend, as a Gaussian over the free hinge angles.

Made from the training side of the recordings alone (`data/mocap.npz`), for the fitter. A
recording counts as so many poses however long it is, so that no performer outweighs the rest.
`python -m training.footage.prior` writes models/pose_prior.npz again.

Keys of the file (n free angles in the order of `fit.hinges.pack`, radians):

    mean (n,), covariance (n, n)     of the poses, without any floor: add the fitter's own
    count ()                         poses the moments were taken over
    hand ()                          sha256 of the models/hand.npz whose hinges they are about
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from blender_handmocap.engine.fit.hinges import pack
from blender_handmocap.engine.hand.free import HAND_FILE, free_hand, free_hinges

from . import mocap

log = logging.getLogger(__name__)

PRIOR_FILE: Final = HAND_FILE.with_name("pose_prior.npz")

POSES_OF_A_RECORDING: Final = 60
"""A recording and side counts as at most this many poses, evenly spaced in time."""


def training_poses() -> NDArray[np.float64]:
    """Free hinge angles (N, n) of the training hands, thinned so that recordings weigh alike."""
    recordings = mocap.load()
    chosen = recordings.chosen(test=False)
    keep: list[NDArray[np.intp]] = []
    for source in np.unique(recordings.source[chosen]):
        for side in (0, 1):
            mine = chosen[(recordings.source[chosen] == source) & (recordings.side[chosen] == side)]
            evenly = np.linspace(0, len(mine) - 1, min(len(mine), POSES_OF_A_RECORDING)).round().astype(int)
            keep.append(mine[evenly])
    return pack(recordings.angles[np.concatenate(keep)], free_hinges("right"))


def main() -> None:
    """Command line: write models/pose_prior.npz."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--out", type=Path, default=PRIOR_FILE)
    out = parser.parse_args().out
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    poses = training_poses()
    np.savez(
        out,
        mean=poses.mean(0),
        covariance=np.cov(poses, rowvar=False),
        count=np.array(len(poses)),
        hand=np.array(free_hand("right").sha256),
    )
    raw = out.read_bytes()
    log.info("%d poses; %s: %d bytes, sha256 %s", len(poses), out.name, len(raw), hashlib.sha256(raw).hexdigest())


if __name__ == "__main__":
    main()
