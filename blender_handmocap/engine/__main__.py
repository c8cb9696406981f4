# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m engine`: the command line."""

import sys

from .site import prepare

# Before anything imports numpy.
prepare()

from .cli import main  # noqa: E402 - see above

sys.exit(main())
