# SPDX-License-Identifier: GPL-3.0-or-later
"""Every weight of the fit, frozen; lengths in metres, angles in radians, times in seconds.

A term's strength is given as a sigma: the size of a residual that costs 1. A sigma of infinity
switches its term off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_DEGREE = math.pi / 180.0


@dataclass(frozen=True)
class FitSettings:
    """Weights and limits of one fit."""

    # Reprojection of the 21 points.
    pixel_share: float = 0.02
    """sigma as a share of the hand's box where an observation states none"""
    pixel_robust: float = 6.0
    """residuals of this many sigmas count half (Geman-McClure)"""

    # Observed 3D points.
    point_sigma: float = 0.003
    """least sigma of an observed 3D point"""
    point_robust: float = 3.0
    nuisance_sigma: float = 10.0 * _DEGREE
    """the observed points may be turned as a whole by about this much"""

    # What hands do.
    limit_sigma: float = 2.0 * _DEGREE
    prior_weight: float = 0.5
    """of the Gaussian over hinge angles, as a factor on its cost"""
    prior_floor: float = 6.0 * _DEGREE
    """added to the prior's spread in every direction"""
    recovery: float = math.inf
    """distance from the usual pose, as the prior measures it, from which a frame is tried again from that distance"""
    coupling_ratio: float = 0.6
    """a finger's last joint bends by about this share of its middle one"""
    coupling_sigma: float = 20.0 * _DEGREE

    # Time, live: distance from the predicted state.
    live_rotation: float = 8.0 * _DEGREE
    live_translation: float = 0.012
    live_angle: float = 12.0 * _DEGREE
    live_velocity: float = 0.6
    """share of the last motion that is expected to go on"""
    live_angle_velocity: float = 0.3

    # Time, offline: change of velocity between frames 1/30 s apart.
    clip_rotation: float = 4.0 * _DEGREE
    clip_translation: float = 0.008
    clip_angle: float = 6.0 * _DEGREE
    clip_break: float = 0.5
    """a hand away for longer than this starts anew"""

    # Hands against each other.
    collision_sigma: float = 0.002
    collision_gate: float = 0.25
    """hands whose wrists are further apart than this cannot touch"""

    order: bool = True
    """try which of two hands that overlap lies in front"""
    order_break: float = 0.2
    """seconds without overlap after which hands may have changed their order"""
    order_least: float = 0.005
    """hands that need not slide farther than this lie in that order already"""
    order_farthest: float = 0.2
    """share of the distance that sizes are never wrong by: what would have to slide farther stays"""
    order_overlap: float = 30.0
    """most that a frame's hands running into each other counts in that choice"""
    order_gain: float = 1.0
    """of the cost, from which another order is believed"""

    contact: bool = True
    """hold together what seems to touch"""
    contact_sigma: float = 0.003
    """distance of surfaces that are surely in contact"""
    contact_robust: float = 5.0
    contact_slide: float = 0.03
    """how far one hand is likely to be misplaced along the line of sight"""
    contact_margin: float = 0.003
    """surfaces that come this near may touch"""
    contact_ease: float = 0.12
    """seconds over which a contact fades in and out"""
    contact_gap: float = 0.0018
    """parts whose spheres are this far apart touch as likely as not"""
    contact_doubt: float = 0.0006
    """how sharply that changes"""
    contact_reach: float = 0.02
    """parts that are solved farther apart than this do not touch, whatever was seen"""
    relative_sure: float = 0.7
    """of the errors stated of a seen vector between the wrists, where both hands are seen well: what stands against it,
    the sizes of both hands, is then wrong alike in all points and frames, and counts as if it were wrong in each by
    itself"""
    relative_doubt: float = 0.3
    """the same where a hand is hardly seen"""
    relative_robust: float = 30.0
    """a seen vector between the wrists that is off by so many sigmas counts half"""

    # What the maps of a crop around both hands say (see/maps.py); a doubt multiplies the errors that are stated.
    dense_doubt: float = math.inf
    """of matches between skin and pixels"""
    dense_robust: float = 4.0
    silhouette_sigma: float = math.inf
    """sides of the crop: outline against outline"""
    silhouette_robust: float = 4.0
    within_sigma: float = math.inf
    """palm lengths: depth of a point of the skin behind its wrist"""
    within_robust: float = 4.0
    between_sigma: float = math.inf
    """palm lengths: depth of one wrist behind the other"""
    between_robust: float = 4.0
    map_points_doubt: float = math.inf
    """of the model's own 21 points, seen or hidden"""
    map_points_robust: float = 4.0
    map_points: tuple[int, ...] = tuple(range(21))
    """which of them"""
    gaussian_sigma: float = math.inf
    """overlap of Gaussians, 0..1, between the hands"""
    finger_gaussian_sigma: float = math.inf
    """... and between the fingers of one"""

    # The search.
    near: float = 0.10
    far: float = 3.0
    """a hand is placed between these distances"""
    tolerance: float = 1e-3
    """stop when a step lowers the cost by less than this share"""
    damping: float = 1e-2
    live_steps: int = 2
    live_small_step: float = 6.0 * _DEGREE
    """a step that turns nothing by more than this is a frame's last"""
    live_restart: float = 3.0
    """a cost above so many times the running median starts the hand anew"""
    window: int = 300
    overlap: int = 60
    """frames of a window of the clip solve, and how many it shares with the next"""
    clip_steps: int = 4
    contact_steps: int = 4
    """more steps of a window once it is known what touches"""
