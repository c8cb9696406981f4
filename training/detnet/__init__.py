# SPDX-License-Identifier: GPL-3.0-or-later
"""DetNet: where the 21 points of a hand are, in the picture and relative to each other, from one crop."""
