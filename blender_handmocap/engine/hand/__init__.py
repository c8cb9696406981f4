# SPDX-License-Identifier: GPL-3.0-or-later
"""The hand model: names, skinning, Jacobians, limits and file readers."""
