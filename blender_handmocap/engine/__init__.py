# SPDX-License-Identifier: GPL-3.0-or-later
"""The capture engine: footage in, a Take out. It never imports bpy."""
