# SPDX-License-Identifier: GPL-3.0-or-later
"""One measure a function, numpy only; each docstring is the measure's whole definition.

Points are (N, 21, 3) millimetres in camera axes (x right, y down, z forward) or (N, 21, 2)
pixels, in the order of `names.KEYPOINT_NAMES`; NaN marks a point without truth, which no
measure counts. Rotations are (N, 16, 4) unit quaternions w, x, y, z in MANO's joint order.
"""
