# SPDX-License-Identifier: GPL-3.0-or-later
"""Bakes the free hand, and measures how closely it can follow real ones."""
