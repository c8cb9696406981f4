# SPDX-License-Identifier: GPL-3.0-or-later
"""IKNet: the rotations of a hand's joints from the 21 points that were seen of it."""
