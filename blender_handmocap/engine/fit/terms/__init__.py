# SPDX-License-Identifier: GPL-3.0-or-later
"""The terms of the fit: each one file, its value in squared sigmas and its derivatives."""
