#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up, demo, tests, package: `python3 build.py --help`.

Needs nothing but Python 3.11; everything else goes into .venv. This file must be readable by
older Pythons too, because they are who it talks to first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

WANTED = (3, 11)


def find_python() -> str | None:
    """A Python 3.11 of this machine, or None. Blender's module exists for no other version."""
    if sys.platform == "win32" and shutil.which("py"):
        asked = subprocess.run(["py", "-3.11", "-c", "import sys; print(sys.executable)"], stdout=subprocess.PIPE)
        return asked.stdout.decode().strip() or None
    return shutil.which("python3.11")


def main() -> int:
    if sys.version_info[:2] == WANTED:
        from tools.commands import run

        return run(sys.argv[1:])
    python = find_python()
    if python is None:
        sys.stderr.write(
            "HandMocap is built with Python 3.11, which Blender's own module needs, and this is Python {}.{}; "
            "install Python 3.11 and run the same command again.\n".format(*sys.version_info[:2])
        )
        return 2
    os.environ.pop("PYTHONHOME", None)
    return subprocess.call([python, __file__, *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
