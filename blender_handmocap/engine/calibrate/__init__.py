# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's hand from a photo, measured against something whose size is known."""
