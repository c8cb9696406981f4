# SPDX-License-Identifier: GPL-3.0-or-later
"""Smoothing and gaps, re-runnable on a take without seeing again."""
