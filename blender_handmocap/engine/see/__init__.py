# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels to observations: palms, landmarks, tracking and identity."""
