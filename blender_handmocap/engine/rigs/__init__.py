# SPDX-License-Identifier: GPL-3.0-or-later
"""A take on other skeletons: presets as data, detection, retargeting. No Blender here."""
