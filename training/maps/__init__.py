# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of the network that says of every cell of a crop around both hands what it shows."""
