# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels draw, and nothing else: they read what is there and never wait, search or change anything."""
