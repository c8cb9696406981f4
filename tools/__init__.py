# SPDX-License-Identifier: GPL-3.0-or-later
"""What build.py does, in parts. Standard library only."""
