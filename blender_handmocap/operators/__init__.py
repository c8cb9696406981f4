# SPDX-License-Identifier: GPL-3.0-or-later
"""One operator a file: read properties, call the bridge, report."""
