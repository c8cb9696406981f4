# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place where bpy meets numpy."""
