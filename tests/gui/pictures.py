# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's pictures of the window, cut from the screenshots that the first ten minutes leave in out/gui/.

`python -m tests.gui.pictures` after `build.py test --all -- tests/gui`; look at them before they are committed.
"""

from __future__ import annotations

import sys
from typing import Final

import cv2

from tools.console import OUT, ROOT

PICTURES: Final = {
    # name in docs/pictures: screenshot, left, top, width, height
    "tab_empty": ("1_empty_tab.png", 950, 118, 300, 695),
    "capturing": ("2_first_seconds.png", 0, 40, 1240, 840),
    "example": ("3_example.png", 0, 40, 1240, 840),
    "pose_from_picture": ("4_posed.png", 280, 180, 680, 520),
    "own_clip": ("5_stopped.png", 230, 100, 1010, 770),
}
QUALITY: Final = 88


def main() -> int:
    for name, (screenshot, left, top, width, height) in PICTURES.items():
        picture = cv2.imread(str(OUT / "gui" / screenshot))
        if picture is None:
            sys.stderr.write(f"There is no {screenshot} in {OUT / 'gui'}; run the tests of tests/gui first.\n")
            return 2
        cut = picture[top : top + height, left : left + width]
        cv2.imwrite(str(ROOT / "docs" / "pictures" / f"{name}.jpg"), cut, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return 0


if __name__ == "__main__":
    sys.exit(main())
