# SPDX-License-Identifier: GPL-3.0-or-later
"""Other programs' results as takes."""
