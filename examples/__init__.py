# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: its clip, the ground truth of the clip, and what `build.py demo` does with them."""
