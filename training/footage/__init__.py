# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthetic footage of our own hand: scenes, pictures with exact truth, poses and motion."""
