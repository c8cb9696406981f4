# SPDX-License-Identifier: GPL-3.0-or-later
"""Live: two or three warm-started steps a frame, from the past alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import rotations
from ..camera import Camera
from ..hand.hands import Hands, free_hands
from ..hand.names import SIDES, Side
from ..hand.spheres import fitted_spheres
from ..see.definitions import MEDIAPIPE
from ..see.observation import Observation
from . import hypotheses, observations, solver
from .energy import Energy
from .kinematics import Chain, HandState, concatenate
from .parting import parted
from .poses import hand_poses
from .settings import FitSettings
from .spatial import Array
from .terms.collision import SphereSet
from .terms.prediction import Prediction, predicted

_MEMORY: Final = 60
"""frames whose costs say what is usual"""
_MIRROR: Final = np.array([-1.0, 1.0, 1.0])
_WARM_UP: Final = 5
"""frames after which the usual cost is known well enough to judge by"""


@dataclass(frozen=True)
class LivePose:
    """One hand in one frame, in a take's conventions."""

    rotation: Array
    """(16, 4) unit quaternions w,x,y,z, of the sign nearest to the frame before"""
    translation: Array
    """(3,) wrist joint, metres, camera axes"""
    points: Array
    """(21, 3) posed joints and tips in keypoint order, metres, camera axes"""
    restarted: bool
    """the pose does not continue the one before: the hand is new, or was lost"""


@dataclass
class _Track:
    """The past of one hand."""

    last: HandState | None = None
    before: HandState | None = None
    time: float = -np.inf
    step: float = 1.0 / 30.0
    costs: deque[float] = field(default_factory=lambda: deque(maxlen=_MEMORY))
    rotation: Array | None = None

    def remember(self, state: HandState, cost: float, time: float) -> None:
        """The newest pose."""
        if self.last is not None:
            self.step = max(time - self.time, 1e-3)
        self.before, self.last, self.time = self.last, state, time
        self.costs.append(cost)

    def forget(self) -> None:
        """Nothing known: the next pose starts from scratch."""
        self.last = self.before = self.rotation = None
        self.costs.clear()


class LiveFitter:
    """Feed it observations frame by frame; it never looks ahead and never blocks for long."""

    def __init__(
        self,
        camera: Camera,
        *,
        betas: ArrayLike | None = None,
        size: float | None = None,
        definition: str = MEDIAPIPE,
        settings: FitSettings | None = None,
        hands: Hands | None = None,
    ) -> None:
        """`size` is the palm length in metres (None: the model's own); `hands` the free hand by default."""
        self._camera = camera
        self._settings = FitSettings() if settings is None else settings
        model = free_hands() if hands is None else hands
        self._model = model.right
        right = self._model.rest(betas, size)
        chain = Chain(right, model.hinges, observations.definition_shift(definition, right))
        self._energy = Energy(chain, self._settings)
        self._spheres = SphereSet.on_chain(fitted_spheres(self._model, right), chain)
        self._tracks: dict[Side, _Track] = {side: _Track() for side in SIDES}

    @property
    def size(self) -> float:
        """Palm length of the fitted hand, metres."""
        return self._energy.chain.rest.palm_length

    def points(self, side: Side, rotation: ArrayLike, translation: ArrayLike) -> Array:
        """Keypoints (21, 3) of this hand in a pose (16, 4), (3,): what a polish needs after it changed one."""
        return self._points(np.array([side == "left"]), np.asarray(rotation)[None], np.asarray(translation)[None])[0]

    def reset(self) -> None:
        """Forget both hands."""
        for track in self._tracks.values():
            track.forget()

    def step(self, seen: Mapping[Side, Observation], time: float) -> dict[Side, LivePose]:
        """The poses of the hands seen at `time` seconds; a side without observation has none."""
        sides = [side for side in SIDES if side in seen]
        for side in SIDES:
            if time - self._tracks[side].time > self._settings.clip_break:
                self._tracks[side].forget()
        if not sides:
            return {}
        given = self._seen([seen[side] for side in sides], sides)
        usable = (given.ray_weight > 0.0).sum(0) >= 4
        sides = [side for side, good in zip(sides, usable, strict=True) if good]
        given = given.take(np.flatnonzero(usable))
        warm = [i for i, side in enumerate(sides) if self._tracks[side].last is not None]
        states: dict[int, HandState] = {}
        costs: dict[int, float] = {}
        if warm:
            index = np.array(warm)
            found = self._continued([sides[i] for i in warm], given.take(index), time)
            for k, i in enumerate(warm):
                states[i], costs[i] = found.state.take(np.array([k])), float(found.cost[k])
        fresh = [False] * len(sides)
        for i, side in enumerate(sides):
            track = self._tracks[side]
            if i in states and not self._failed(track, costs[i]):
                continue
            restart = hypotheses.independent(self._energy, given.take(np.array([i])), thorough=True)
            if i not in states or restart.cost[0] < costs[i]:
                states[i], costs[i], fresh[i] = restart.state, float(restart.cost[0]), True
                track.forget()
        if not states:
            return {}
        final = concatenate([states[i] for i in range(len(sides))])
        for i, side in enumerate(sides):
            self._tracks[side].remember(states[i], costs[i], time)
        return self._poses(sides, final, fresh)

    def _seen(self, given: list[Observation], sides: list[Side]) -> observations.Seen:
        return observations.seen_hands(
            np.array([side == "left" for side in sides]),
            self._energy.chain,
            self._settings,
            pixels=np.stack([o.points2d for o in given]),
            pixel_sigma=np.stack([o.sigma2d for o in given]),
            points=np.stack([o.points3d for o in given]),
            point_sigma=np.stack([o.sigma3d for o in given]),
            visibility=np.stack([o.visibility for o in given]),
            camera=self._camera.K,
            distortion=self._camera.dist,
        )

    def _continued(self, sides: list[Side], seen: observations.Seen, time: float) -> solver.Solution:
        settings = self._settings
        tracks = [self._tracks[side] for side in sides]
        last = concatenate([track.last for track in tracks if track.last is not None])
        before = concatenate([t.before if t.before is not None else t.last for t in tracks if t.last is not None])
        # A frame that comes late has moved further, and less surely.
        late = np.array([max(time - track.time, 1e-3) for track in tracks])
        share = np.minimum(late / np.array([track.step for track in tracks]), 3.0)
        start = predicted(last, before, settings.live_velocity * share, settings.live_angle_velocity * share)
        loose = np.sqrt(late * 30.0)
        prediction = Prediction(
            start, settings.live_rotation * loose, settings.live_translation * loose, settings.live_angle * loose
        )
        found = solver.minimise(self._energy, start, seen, steps=settings.live_steps, prediction=prediction)
        if len(sides) < len(SIDES):
            return found
        order = np.array([sides.index("right"), sides.index("left")])
        apart = parted(self._energy, self._spheres, found.state.take(order), seen.take(order), prediction.take(order))
        return replace(found, state=apart.take(np.argsort(order)))

    def _failed(self, track: _Track, cost: float) -> bool:
        if len(track.costs) < _WARM_UP:
            return False
        return cost > self._settings.live_restart * float(np.median(track.costs))

    def _poses(self, sides: list[Side], state: HandState, fresh: list[bool]) -> dict[Side, LivePose]:
        left = np.array([side == "left" for side in sides])
        rotation, translation = hand_poses(state, left, self._energy.chain)
        for i, side in enumerate(sides):
            track = self._tracks[side]
            if track.rotation is not None:
                flip = (rotation[i] * track.rotation).sum(-1) < 0.0
                rotation[i] = np.where(flip[:, None], -rotation[i], rotation[i])
            track.rotation = rotation[i]
        points = self._points(left, rotation, translation)
        return {side: LivePose(rotation[i], translation[i], points[i], fresh[i]) for i, side in enumerate(sides)}

    def _points(self, left: NDArray[np.bool_], rotation: Array, translation: Array) -> Array:
        """(B, 21, 3); a left hand is the mirrored right one, so one call poses all."""
        turned = np.where(left[:, None, None], rotations.mirrored(rotation), rotation)
        mirror = np.where(left[:, None], _MIRROR, 1.0)
        found = self._model.pose(turned, translation * mirror, self._energy.chain.rest).keypoints
        return np.asarray(found * mirror[:, None])
