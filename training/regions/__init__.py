# SPDX-License-Identifier: GPL-3.0-or-later
"""The region finder: where hands of each side are in a picture, read from the palm detector's own feature maps."""
