# SPDX-License-Identifier: GPL-3.0-or-later
"""Observations to pose, shape and place: residual terms, the solver, one frame, a whole clip."""
