# SPDX-License-Identifier: GPL-3.0-or-later
"""How two hands stand to each other, read from the points that were seen of each."""
