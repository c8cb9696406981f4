# SPDX-License-Identifier: GPL-3.0-or-later
"""Every key of the JSON: what it says and in which unit. All are always there; null where nothing can be measured."""

from __future__ import annotations

from typing import Final

from .measures.points import THRESHOLDS_MM
from .measures.steadiness import FREQUENCIES_HZ

STAGES: Final[dict[str, str]] = {
    "palms": "finding palms",
    "landmarks": "the hand network",
    "see": "all seeing, the two before included",
    "fit": "fitting",
    "polish": "smoothing",
}
"""Stage of our engine -> what it does."""

_OF_ERRORS: Final[dict[str, str]] = {
    "error2d": "mean 2D error over the longer side of the true box, a share",
    "pa_mpjpe_mm": "points after rotation, scale and translation (Procrustes), mm",
    "pa_mpjpe_visible_mm": "the same over visible points, mm",
    "pa_mpjpe_hidden_mm": "the same over hidden points, mm",
    "pa_mpjpe_touching_mm": "the same over points near touching skin, mm",
    "root_mpjpe_mm": "points with wrist on wrist and one scale, mm",
    "points_rotation_deg": "turn of the 21 points as a whole, degrees",
    "pip_error_deg": "bend of bent fingers' middle joint, absolute difference, degrees",
    "root_rotation_deg": "wrist rotation, geodesic, degrees",
    "place_mm": "middle of the hand in camera space, mm",
    "place_palm_given_mm": "the same with the true palm length given, mm",
    "joint_mpjpe_mm": "both hands' points after one translation and one scale, mm",
    "mrrpe_mm": "vector from wrist to wrist, mm",
    "mrrpe_plane_mm": "its part in the image plane, mm",
    "mrrpe_depth_mm": "its part in depth, mm",
    "mrrpe_one_depth_mm": "the same vector with both wrists put at one depth: the trivial answer, mm",
    "mrrpe_palm_given_mm": "vector from wrist to wrist, true palm length given, mm",
    "mrrpe_plane_palm_given_mm": "its part in the image plane, mm",
    "mrrpe_depth_palm_given_mm": "its part in depth, mm",
    "mrrpe_one_depth_palm_given_mm": "both wrists at one depth, true palm length given, mm",
}
"""Errors with a cap; each also as `KEY_found`, over the found hands alone."""

MEASURES: Final[dict[str, str]] = {
    "n": "true hands",
    "frames": "frames with truth",
    "found": "hands with a prediction of the right side within a fifth of the box, a share",
    "both_found": "frames with two hands in which both are found, a share",
    "wrong_side": "hands that only a prediction of the other side lies on, a share",
    "duplicates": "surplus predictions on hands that already have one, a true hand",
    "false_hands": "predictions on no hand, a frame",
    "crowded": "frames with more predictions than true hands, wherever they lie, a share",
    "hands_per_frame": "predictions a frame",
    "both_hands": "frames with two predictions or more, a share",
    **_OF_ERRORS,
    **{f"{key}_found": f"{about}; found hands alone" for key, about in _OF_ERRORS.items()},
    **{
        f"pck_{threshold:.0f}mm": f"points within {threshold:.0f} mm, root-aligned, a share"
        for threshold in THRESHOLDS_MM
    },
    "pck_auc_20_50mm": "area under it from 20 to 50 mm, 1 is perfect",
    "pip_bias_deg": "signed difference of bent fingers' bend, degrees; negative is too straight",
    "angle_rmse_deg": "15 joints' rotations, geodesic, root of the mean square, degrees",
    "angle_rmse_deg_found": "the same over found hands alone, without a cap, degrees",
    "angle_rmse_visible_deg": "the same over joints that are visible, degrees",
    "angle_rmse_hidden_deg": "the same over joints that are hidden, degrees",
    "angle_rmse_touching_deg": "the same over joints near touching skin, degrees",
    **{
        f"pcf_{threshold:.0f}mm": f"frames whose worst point of both hands is within {threshold:.0f} mm, a share"
        for threshold in THRESHOLDS_MM
    },
    "pcf_auc_20_50mm": "area under it from 20 to 50 mm, 1 is perfect",
    "contact_precision": "reported contacts between parts that are true, a share",
    "contact_recall": "true contacts between parts that are reported, a share",
    "touching_distance_mm": "median distance of truly touching skin, a frame, mm",
    "touching_distance_median_mm": "the same over all touching skin, median, mm",
    "touching_distance_p90_mm": "the same, 90th percentile, mm",
    "penetration_depth_mm": "deepest point of either hand in the other, mean of the frames, mm",
    "penetration_depth_max_mm": "the same, worst frame, mm",
    "penetration_volume_mm3": "space both hands share, mean of the frames, mm^3",
    "side_right": "predictions on labelled hands that are of their side, a share",
    "nearer_right": "labelled frames with the right hand in front, a share",
    "touch_precision": "frames said to touch that do, a share",
    "touch_recall": "frames that touch and are said to, a share",
    "parts_recall": "labelled touching parts that are shown, a share",
    "hidden_precision": "points said to be hidden that are labelled so, a share",
    "hidden_recall": "points labelled as hidden that are said to be, a share",
    "jitter_mm": "trembling about the hand's middle while it stands still, mm a frame^2",
    "jitter_placed_mm": "the same with the hand's place, mm a frame^2",
    "jitter_truth_mm": "the same of the truth itself, mm a frame^2",
    "acceleration_error_mm": "difference of second differences, all frames, mm a frame^2",
    **{
        f"amplitude_kept_{hertz:.0f}hz": f"share of the true swing at {hertz:.0f} Hz that is kept"
        for hertz in FREQUENCIES_HZ
    },
    "lag_ms": "delay behind the truth, ms",
    "bone_length_variation": "spread of bone lengths through a clip over their mean, a share",
    "confidence_gap": "expected calibration error of the confidence, 0 to 1",
    "ms_per_frame": "median time a frame, ms",
    "ms_per_frame_mean": "mean time a frame, ms",
    **{f"ms_{stage}": f"{about}, mean a frame, ms" for stage, about in STAGES.items()},
    "peak_memory_mb": "most memory the method's process held, MB",
}
"""Key -> meaning and unit."""
