# SPDX-License-Identifier: GPL-3.0-or-later
"""The pair network: from one hand's crop to both hands in one frame, and to what touches what.

It reads the taps that the trunk makes of a hand's own crop anyway. Near hands lie in each other's
crops, so that both crops of a picture say where the hands are to each other.
"""
