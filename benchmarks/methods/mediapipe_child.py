# SPDX-License-Identifier: GPL-3.0-or-later
"""MediaPipe Hands in its own environment: pictures in on stdin, hands out on stdout.

Run by mediapipe_hands.py with the Python that has mediapipe; imports nothing of ours. Each message is one line
of JSON; a picture's line is followed by its raw RGB bytes.

    -> {"op": "open", "static": true, "hands": 2}        start anew (a new clip)
    -> {"op": "frame", "height": 480, "width": 640}      then height * width * 3 bytes
    <- {"ms": 21.3, "hands": [{"right": 0.98, "image": [[x, y, z] * 21], "world": [[x, y, z] * 21]}]}
    -> {"op": "close"}
    <- {"peak_mb": 180.2}

`image` is in shares of the picture's width and height (z in shares of the width), `world` in metres.
`right` is the probability of a right hand for a picture that is not a mirror image: MediaPipe's own labels
assume a mirror. `ms` is the time inside MediaPipe alone.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    # MediaPipe's own libraries write to stdout now and then; the messages keep a pipe to themselves.
    messages = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    import mediapipe
    import numpy

    pictures = sys.stdin.buffer
    hands = None
    messages.write(json.dumps({"version": mediapipe.__version__}) + "\n")
    for line in iter(pictures.readline, b""):
        request = json.loads(line)
        if request["op"] == "open":
            if hands is not None:
                hands.close()
            hands = mediapipe.solutions.hands.Hands(
                static_image_mode=request["static"], max_num_hands=request["hands"], model_complexity=1
            )
        elif request["op"] == "frame":
            height, width = request["height"], request["width"]
            raw = pictures.read(height * width * 3)
            picture = numpy.frombuffer(raw, numpy.uint8).reshape(height, width, 3)
            started = time.perf_counter()
            result = hands.process(picture)
            elapsed = (time.perf_counter() - started) * 1000.0
            messages.write(json.dumps({"ms": elapsed, "hands": _hands(result)}) + "\n")
        else:
            messages.write(json.dumps({"peak_mb": _peak_mb()}) + "\n")
            break


def _hands(result) -> list:
    if not result.multi_hand_landmarks:
        return []
    found = zip(result.multi_hand_landmarks, result.multi_hand_world_landmarks, result.multi_handedness, strict=True)
    return [
        {
            "right": _right(handedness.classification[0]),
            "image": [[point.x, point.y, point.z] for point in image.landmark],
            "world": [[point.x, point.y, point.z] for point in world.landmark],
        }
        for image, world, handedness in found
    ]


def _right(label) -> float:
    return label.score if label.label == "Left" else 1.0 - label.score


def _peak_mb() -> float | None:
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0 * 1024.0) if sys.platform == "darwin" else peak / 1024.0


if __name__ == "__main__":
    main()
