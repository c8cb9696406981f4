# SPDX-License-Identifier: GPL-3.0-or-later
"""Who touches whom: proposed from where the hands are, held by the solver, and written to the take.

What a single camera knows least about two hands is how much deeper one is than the other. So the
left hand is slid along the line of sight until the two first meet: the shorter that way, the
likelier they touch, and the bones that meet there are the ones that do. Contacts last: their
weights are eased over time. What a network says about the pair (`PairTrack.contact`) comes first
where it looked.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..hand.model import HandModel
from ..hand.names import JOINT_COUNT, TIP_JOINTS
from ..hand.spheres import fitted_spheres
from ..take import CONTACT_DTYPE
from .kinematics import Chain, HandState
from .settings import FitSettings
from .spatial import Array
from .terms.collision import SphereSet
from .terms.contact import Wanted
from .terms.pairs import MIRROR

PART_BONES: Final = np.array([*TIP_JOINTS, 0])
"""(6,) the bone each of CONTACT_PARTS is"""
CHUNK: Final = 32
"""pairs of hands looked at side by side, for the memory they take"""
_LEAST_WEIGHT: Final = 0.1
_SKIN_SPHERES: Final = 240
"""told apart true contacts of known hands with a precision of .83 and a recall of .94; the solver's spheres .71, .80"""


def proposed(spheres: SphereSet, chain: Chain, right: HandState, left: HandState, settings: FitSettings) -> Array:
    """(P, 16, 16) how likely each bone of P right hands touches each of P left ones, 0..1.

    The left hands are given as mirrored right ones.
    """
    parts = [np.arange(first, min(first + CHUNK, right.count)) for first in range(0, right.count, CHUNK)]
    found = [_proposed(spheres, chain, right.take(part), left.take(part), settings) for part in parts]
    return np.concatenate(found) if found else np.zeros((0, JOINT_COUNT, JOINT_COUNT))


def _proposed(spheres: SphereSet, chain: Chain, right: HandState, left: HandState, settings: FitSettings) -> Array:
    apart, touch = between(spheres, chain, right, left)
    middle = right.translation + left.translation * MIRROR[:, None]
    sight = middle / np.linalg.norm(middle, axis=0)
    deeper = np.einsum("cijp,cp->ijp", apart, sight)
    beside = np.einsum("cijp,cijp->ijp", apart, apart) - deeper * deeper
    room = (touch + settings.contact_margin)[..., None] ** 2 - beside
    # How far the left hand slides until this pair of spheres meets; 0 where it does already.
    need = np.sqrt(np.maximum(room, 0.0))
    way = np.where(room > 0.0, np.sign(deeper) * np.maximum(np.abs(deeper) - need, 0.0), np.inf)
    flat = way.reshape(-1, way.shape[-1])
    first = np.abs(flat).argmin(0)
    slide = flat[first, np.arange(flat.shape[-1])]
    meets = np.isfinite(slide)
    slide = np.where(meets, slide, 0.0)
    gap = np.sqrt(np.maximum(beside + (deeper - slide) ** 2, 0.0)) - touch[..., None]
    likely = np.exp(-0.5 * (slide / settings.contact_slide) ** 2) * meets
    near = np.clip(1.5 - _by_bones(spheres, gap) / settings.contact_margin, 0.0, 1.0)
    return near * likely[:, None, None]


def between(spheres: SphereSet, chain: Chain, right: HandState, left: HandState) -> tuple[Array, Array]:
    """Right sphere minus left sphere (3, S, S, P), camera axes, and the sum of their radii (S, S)."""
    mine = spheres.centres(chain.pose(right, moving=False)) + right.translation[:, None]
    theirs = (spheres.centres(chain.pose(left, moving=False)) + left.translation[:, None]) * MIRROR[:, None, None]
    return mine[:, :, None] - theirs[:, None], spheres.radius[:, None] + spheres.radius


def _by_bones(spheres: SphereSet, gap: Array) -> Array:
    """The least gap of each pair of bones (P, 16, 16) from that of each pair of spheres (S, S, P)."""
    order = np.argsort(spheres.bone, kind="stable")
    bones, starts = np.unique(spheres.bone[order], return_index=True)
    least = np.minimum.reduceat(np.minimum.reduceat(gap[order][:, order], starts, axis=0), starts, axis=1)
    out = np.full((gap.shape[-1], JOINT_COUNT, JOINT_COUNT), np.inf)
    out[:, bones[:, None], bones] = least.transpose(2, 0, 1)
    return out


def skin_spheres(model: HandModel, chain: Chain) -> SphereSet:
    """More and smaller spheres than the solver works with, of the parts that contacts are recorded between."""
    every = SphereSet.on_chain(fitted_spheres(model, chain.rest, count=_SKIN_SPHERES), chain)
    kept = np.isin(every.bone, PART_BONES)
    return SphereSet(every.bone[kept], every.offset[kept], every.radius[kept])


def gaps(spheres: SphereSet, chain: Chain, right: HandState, left: HandState) -> Array:
    """(P, 16, 16) metres between the surfaces of each bone of P right hands and each of P left ones; < 0: overlap."""
    out = []
    for first in range(0, right.count, CHUNK):
        piece = np.arange(first, min(first + CHUNK, right.count))
        apart, touch = between(spheres, chain, right.take(piece), left.take(piece))
        out.append(_by_bones(spheres, np.sqrt(np.einsum("cijp,cijp->ijp", apart, apart)) - touch[..., None]))
    return np.concatenate(out) if out else np.zeros((0, JOINT_COUNT, JOINT_COUNT))


def with_seen(likely: Array, contact: Array) -> Array:
    """Proposals (P, 16, 16) corrected by what a network says, contact (P, 6, 6) left part first; NaN: it says nothing.

    Between the parts the network knows, its word counts alone; between other bones the proposal
    stands as far as the network sees the hands touch at all.
    """
    out = likely.copy()
    said = np.flatnonzero(np.isfinite(contact).all((1, 2)))
    out[said] *= contact[said].max((1, 2))[:, None, None]
    out[np.ix_(said, PART_BONES, PART_BONES)] = contact[said].swapaxes(1, 2)
    return out


def eased(likely: Array, time: Array, settings: FitSettings) -> Array:
    """The weights (P, 16, 16) at `time` (P,) seconds averaged over a little while, so that contacts fade in and out."""
    reach = settings.contact_ease
    share = np.maximum(1.0 - np.abs(time[:, None] - time) / reach, 0.0)
    flat = likely.reshape(len(likely), -1)
    return np.asarray((share @ flat / share.sum(1, keepdims=True)).reshape(likely.shape))


def wanted(likely: Array, pairs: NDArray[np.intp]) -> Wanted:
    """Weights (P, 16, 16) of the pairs called `pairs` (P,) as contacts to hold."""
    index, right, left = np.nonzero(likely > _LEAST_WEIGHT)
    return Wanted(pairs[index], right, left, likely[index, right, left])


def records(gap: Array, frame: NDArray[np.intp], settings: FitSettings, said: Array | None = None) -> NDArray[np.void]:
    """Contacts of a take from the gaps (P, 16, 16) between bones in frames (P,).

    `said` (P, 6, 6), left part first: what a network says of the parts, which counts in the place of the gaps wherever
    the parts are anywhere near each other: in depth the hands are placed worse than it sees. NaN: it says nothing.
    """
    parts = gap[:, PART_BONES[:, None], PART_BONES].swapaxes(1, 2)
    # Spheres lie a little inside the skin: they are still this far apart when skin touches.
    probability = 1.0 / (1.0 + np.exp((parts - settings.contact_gap) / settings.contact_doubt))
    if said is not None:
        looked = np.isfinite(said).all((1, 2), keepdims=True)
        probability = np.where(looked, np.where(parts <= settings.contact_reach, said, 0.0), probability)
    index, left, right = np.nonzero(probability > _LEAST_WEIGHT)
    rows = np.zeros(len(index), CONTACT_DTYPE)
    rows["frame"], rows["left_part"], rows["right_part"] = frame[index], left, right
    rows["probability"] = probability[index, left, right]
    return rows
