# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole clip: from what was seen in every frame to the pose of both hands.

First every frame on its own from several starts, the readings chosen over the clip; then both
hands together through overlapping windows, with time in both directions, spheres between the
hands, and what the user corrected held fast. The result depends on the take alone, so a take
solved again gives the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .. import rotations
from ..errors import CancelledError
from ..hand.hands import Hands, chosen_hands, free_hands
from ..hand.names import JOINT_COUNT, KEYPOINT_COUNT, SIDES, Side
from ..hand.spheres import fitted_spheres
from ..memory import give_back
from ..progress import Cancelled, OnProgress, Progress
from ..see.definitions import MODEL
from ..settings import Settings
from ..take import CONTACT_DTYPE, HandTrack, State, Take
from ..timing import mean_around
from . import contacts, corrections as fixes, hypotheses, observations, seen_maps, shape, spatial
from .energy import Energy
from .kinematics import Chain, HandState, concatenate
from .orders import best_order
from .poses import hand_poses
from .settings import FitSettings
from .terms import collision
from .terms.collision import SphereSet
from .terms.relative_root import SeenVector
from .window import Frames, Window, pair_frames

_LEAST_POINTS: Final = 4
"""points that must be seen for a frame to say anything about the pose"""
_SHOWN: Final = 0.1
"""weight from which a point counts as one of them"""
_START_SHARE: Final = 0.5
"""of the progress is reported for the starts, the rest for the windows"""
_WELL_SEEN: Final = 0.5
"""seconds before and after a frame that say how well its hands are seen"""
_STRETCH: Final = 1000
"""frames whose starts are chosen together, so that memory does not grow with the clip"""
_STRETCH_OVERLAP: Final = 50


@dataclass(frozen=True)
class Hand:
    """One side of the clip, ready to be solved: its n frames, right-handed."""

    side: Side
    take: Take
    frames: NDArray[np.intp]
    """(n,) indices into the take"""
    time: spatial.Array
    given: fixes.SideCorrections

    def seen(self, index: NDArray[np.intp], chain: Chain, settings: FitSettings) -> observations.Seen:
        """What was seen in the frames of an index array; made anew each time, for all of a clip is too much."""
        frames, time = self.frames[index], self.time[index]
        seen = observations.of_track(self.take, self.side, frames, chain, settings)
        fade = partial(fixes.faded, given=self.given, frames=frames, time=time, when=self.take.time)
        return replace(seen, ray_weight=fade(seen.ray_weight), point_weight=fade(seen.point_weight))

    def pins(self, index: NDArray[np.intp], chain: Chain) -> fixes.Pins:
        """What the user fixed in the frames of an index array."""
        return fixes.pins(self.given, self.side, chain, self.take, self.frames[index])


def solve(
    take: Take,
    *,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    cancelled: Cancelled | None = None,
    fit: FitSettings | None = None,
) -> Take:
    """Fill rotation, translation, points and the raw copies from the seen part of a take.

    Reads only what was seen, the corrections, betas and size. `settings.mode` "stills" takes the
    frames as pictures without order; `settings.calibrate` may change betas (see `shape`). Rotations and
    betas are those of the hand that `settings` names (MANO files or the free hand); `meta` says which.
    """
    choices = Settings() if settings is None else settings
    weights = FitSettings() if fit is None else fit
    model = chosen_hands(choices.mano_right, choices.mano_left)
    if choices.calibrate:
        take = shape.with_shape(take, shape.calibrate(take, weights, model))
    energy, plain = energies(model, take, weights)
    hands = [hand for side in SIDES if (hand := _hand(take, side)) is not None]
    total = sum(len(hand.frames) for hand in hands)
    report = _Report(on_progress, cancelled, total)
    states = {hand.side: _starts(hand, energy, report, ordered=choices.mode != "stills") for hand in hands}
    give_back()
    spheres = SphereSet.on_chain(fitted_spheres(model.right, energy.chain.rest), energy.chain)
    if choices.mode != "stills":
        # The skin that maps speak of is the free hand's; another model's betas mean something else.
        betas = take.betas if model.id == free_hands().id else np.zeros_like(take.betas)
        states = _through_windows(take, hands, states, energy, plain, spheres, report, betas)
    tracks = {side: HandTrack.absent_views(len(take)) for side in SIDES}
    for hand in hands:
        tracks[hand.side] = _track(take, hand, states[hand.side], energy.chain, model)
    seen_keys = ("confidence", "seen2d", "seen2d_sigma", "seen3d", "seen3d_sigma", "visibility")
    tracks = {
        side: replace(track, **{key: getattr(take.track(side), key) for key in seen_keys})
        for side, track in tracks.items()
    }
    touches = _touches(take, hands, states, plain.chain, model, weights)
    meta = {**take.meta, "hand_model": model.id}
    return replace(take, left=tracks["left"], right=tracks["right"], contacts=touches, meta=meta)


def energies(model: Hands, take: Take, settings: FitSettings) -> tuple[Energy, Energy]:
    """The energy that meets the take's observations, and one for the model's own points; right hands."""
    rest = model.right.rest(take.betas, take.size)
    shift = observations.definition_shift(str(take.meta.get("definition", MODEL)), rest)
    return Energy(Chain(rest, model.hinges, shift), settings), Energy(Chain(rest, model.hinges), settings)


class _Report:
    """Progress in hands solved, and the question whether to stop."""

    def __init__(self, on_progress: OnProgress | None, cancelled: Cancelled | None, total: int) -> None:
        self._on_progress = on_progress
        self.cancelled = cancelled
        self._total = total
        self._done = 0.0

    def add(self, hands: float) -> None:
        self._done += hands
        if self._on_progress is not None:
            self._on_progress(Progress("solving", min(round(self._done), self._total), self._total))
        self.check()

    def check(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise CancelledError("Solving was stopped before it was finished; start it again to have the result.")


def _hand(take: Take, side: Side) -> Hand | None:
    track = take.track(side)
    given = fixes.of_side(take, side)
    enough = np.isfinite(track.seen2d).all(-1).sum(1) >= _LEAST_POINTS
    there = enough & (track.state != State.ABSENT)
    there[list(given.posed_frames)] = True
    there[list(given.absent)] = False
    # A hidden frame has a pose only when the frames around it have.
    frames = np.flatnonzero(there)
    if not len(frames):
        return None
    return Hand(side, take, frames, take.time[frames], given)


def _starts(hand: Hand, energy: Energy, report: _Report, *, ordered: bool) -> HandState:
    """A pose for every frame on its own; frames that show too little take their neighbour's."""
    count = len(hand.frames)
    parts: list[HandState] = []
    shown = np.zeros(count, bool)
    done = 0
    while done < count:
        first = max(done - _STRETCH_OVERLAP, 0) if ordered else done
        last = min(done + _STRETCH, count)
        piece = np.arange(first, last)
        seen = hand.seen(piece, energy.chain, energy.settings)
        shown[piece] = (seen.ray_weight > _SHOWN).sum(0) >= _LEAST_POINTS
        if ordered:
            state = hypotheses.chosen(hypotheses.candidates(energy, seen, hand.time[piece]), hand.time[piece], energy)
        else:
            state = hypotheses.independent(energy, seen).state
        parts.append(state.take(np.arange(done - first, len(piece))))
        report.add((last - done) * (_START_SHARE if ordered else 1.0))
        done = last
    state = concatenate(parts)
    if ordered and shown.any() and not shown.all():
        known = np.flatnonzero(shown)
        state = state.take(np.where(shown, np.arange(count), known[nearest(hand.time, hand.time[known])]))
    return state


def nearest(time: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.intp]:
    """(T,) index of the entry of `known` (rising) that is nearest to each time; the earlier one of two."""
    before = np.clip(np.searchsorted(known, time) - 1, 0, len(known) - 1)
    after = np.minimum(before + 1, len(known) - 1)
    return np.where(time - known[before] <= known[after] - time, before, after)


def _through_windows(
    take: Take,
    hands: list[Hand],
    states: dict[Side, HandState],
    energy: Energy,
    plain: Energy,
    spheres: SphereSet,
    report: _Report,
    betas: spatial.Array,
) -> dict[Side, HandState]:
    """Overlapping windows; each frame's result comes from the window it lies deepest in."""
    settings = energy.settings
    out = {side: state.copy() for side, state in states.items()}
    step = settings.window - settings.overlap
    total = len(take)
    way = _seen_way(take, settings)
    for first in range(0, max(total - settings.overlap, 1), step):
        last = min(first + settings.window, total)
        inside = {h.side: np.flatnonzero((h.frames >= first) & (h.frames < last)) for h in hands}
        present = [h for h in hands if inside[h.side].size]
        if not present:
            continue
        frame = np.concatenate([h.frames[inside[h.side]] for h in present])
        left = np.concatenate([np.full(len(inside[h.side]), h.side == "left") for h in present])
        seen = observations.concatenate([h.seen(inside[h.side], energy.chain, settings) for h in present])
        pair_frame = pair_frames(frame, left)[0]
        frames = Frames(
            frame=frame,
            time=np.concatenate([h.time[inside[h.side]] for h in present]),
            left=left,
            vector=None if way is None else _known_of(way, pair_frame),
            maps=seen_maps.of_take(take, frame, left, seen.ray_weight.any(0), pair_frame, betas),
            seen=seen,
            pins=fixes.concatenate([h.pins(inside[h.side], energy.chain) for h in present]),
        )
        window = Window(energy, plain, frames, spheres)
        start = concatenate([out[h.side].take(inside[h.side]) for h in present])
        solved = window.solve(start, steps=settings.clip_steps, cancelled=report.cancelled)
        report.check()
        if settings.order:
            # The frames of the window before say which hand lies in front: between windows none may jump.
            settled = frame < (first + settings.overlap if first else 0)
            solved = best_order(window, solved, spheres, settled=settled, cancelled=report.cancelled)
            report.check()
        if settings.contact:
            solved = _held_together(take, window, solved, spheres, report)
        keep_from = first + settings.overlap // 2 if first else 0
        begin = 0
        for h in present:
            mine = inside[h.side]
            kept = h.frames[mine] >= keep_from
            where = np.arange(begin, begin + len(mine))[kept]
            out[h.side] = out[h.side].put(mine[kept], solved.take(where))
            begin += len(mine)
            fresh = (h.frames[mine] >= first + (settings.overlap if first else 0)).sum()
            report.add(float(fresh) * (1.0 - _START_SHARE))
        if last == total:
            break
    return out


def _seen_way(take: Take, settings: FitSettings) -> SeenVector | None:
    """What was seen of the way from wrist to wrist in every frame, believed the more the less the hands are seen
    around that time."""
    pair = take.pair
    if pair is None:
        return None
    # Not picture by picture: hands would tremble with how well they are seen.
    well = mean_around(np.minimum(take.left.confidence, take.right.confidence), take.time, _WELL_SEEN)[:, None]
    share = settings.relative_sure * well + settings.relative_doubt * (1.0 - well)
    sigma = np.where(pair.valid[:, None], pair.sigma * share, np.inf)
    vector = np.where(pair.valid[:, None], pair.vector, 0.0)
    return SeenVector(vector.T * take.size, sigma.T * take.size)


def _known_of(way: SeenVector, frames: NDArray[np.intp]) -> SeenVector | None:
    """The way in `frames` (P,); None: it was seen in none."""
    return way.take(frames) if np.isfinite(way.sigma[:, frames]).all(0).any() else None


def _held_together(take: Take, window: Window, state: HandState, spheres: SphereSet, report: _Report) -> HandState:
    """The window solved on, with what seems to touch held together."""
    near = window.near_pairs(state)
    if not near.size:
        return state
    settings, chain = window.settings, window.chain
    frames, right, left = (part[near] for part in window.pairs)
    likely = contacts.proposed(spheres, chain, state.take(right), state.take(left), settings)
    if take.pair is not None:
        said = np.where(take.pair.valid[frames, None, None], take.pair.contact[frames], np.nan)
        likely = contacts.with_seen(likely, said)
    window.wanted = contacts.wanted(contacts.eased(likely, take.time[frames], settings), near)
    if not window.wanted.pair.size:
        return state
    touching = np.zeros(int(window.frame_index.max()) + 1, bool)
    touching[window.frame_index[window.pairs[1][np.unique(window.wanted.pair)]]] = True
    state = window.solve(state, steps=settings.contact_steps, frames=touching, cancelled=report.cancelled)
    report.check()
    return state


def _touches(
    take: Take, hands: list[Hand], states: dict[Side, HandState], chain: Chain, model: Hands, settings: FitSettings
) -> NDArray[np.void]:
    """The take's contact records: which parts of the hands touch, as was seen, or in the result."""
    both = {hand.side: hand for hand in hands}
    if len(both) < len(SIDES):
        return np.zeros(0, CONTACT_DTYPE)
    frames, right, left = np.intersect1d(both["right"].frames, both["left"].frames, return_indices=True)
    near = collision.near(
        states["right"].translation[:, right], states["left"].translation[:, left], settings.collision_gate
    )
    if not near.any():
        return np.zeros(0, CONTACT_DTYPE)
    first, second = states["right"].take(right[near]), states["left"].take(left[near])
    skin = contacts.skin_spheres(model.right, chain)
    frames = frames[near]
    said = None
    if take.pair is not None:
        said = np.where(take.pair.valid[frames, None, None], take.pair.contact[frames], np.nan)
    return contacts.records(contacts.gaps(skin, chain, first, second), frames, settings, said)


def _track(take: Take, hand: Hand, state: HandState, chain: Chain, hands: Hands) -> HandTrack:
    """The solved part of a track, in the hand's own side and in the take's conventions."""
    side, frames = hand.side, hand.frames
    solved, place = np.empty((len(frames), JOINT_COUNT, 4)), np.empty((len(frames), 3))
    for first in range(0, len(frames), _STRETCH):
        piece = np.arange(first, min(first + _STRETCH, len(frames)))
        solved[piece], place[piece] = hand_poses(state.take(piece), side == "left", chain)
    solved = fixes.with_exact_rotations(solved, hand.given, frames, hand.time)
    solved = rotations.continuous(solved)
    for frame, exact in hand.given.translations.items():
        place[frames == frame] = exact
    rotation = np.tile(rotations.IDENTITY, (len(take), JOINT_COUNT, 1))
    rotation[frames] = solved
    translation = np.full((len(take), 3), np.nan)
    translation[frames] = place
    model = hands.model(side)
    points = np.full((len(take), KEYPOINT_COUNT, 3), np.nan)
    points[frames] = model.keypoints(solved, place, model.rest(take.betas, take.size))
    kind = np.full(len(take), State.ABSENT, dtype=np.uint8)
    kind[frames] = State.SEEN
    kind[sorted(hand.given.hidden & set(frames.tolist()))] = State.FILLED
    kind[sorted(hand.given.posed_frames)] = State.CORRECTED
    return replace(
        HandTrack.absent_views(len(take)),
        state=kind,
        raw_rotation=rotation,
        raw_translation=translation,
        rotation=rotation,
        translation=translation,
        points=points,
    )
