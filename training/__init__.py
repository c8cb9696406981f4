# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes what is in blender_handmocap/models: footage, networks, priors. Nothing here ships."""
