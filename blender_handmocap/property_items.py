# SPDX-License-Identifier: GPL-3.0-or-later
"""What the choices of our properties are called: identifier, name, tooltip."""

from __future__ import annotations

from typing import Final

from .bridge.character import Reach
from .bridge.timing import Timing

TIMINGS: Final = (
    ("AUTO", "Automatic", "A scene without animation takes the clip's rate; any other gets keys at their true times"),
    (Timing.MATCH_SCENE.value, "Match Scene", "Set the scene to the clip's rate: a scene frame is a clip frame"),
    (Timing.ONE_A_FRAME.value, "A Key a Frame", "Clip frames on successive scene frames, at the scene's own rate"),
    (Timing.TRUE_TIME.value, "True Time", "Keep the scene's rate and the speed of the motion; the footage is retimed"),
)
"""Items of every property that asks how a take's frames become scene frames."""

SOURCES: Final = (
    ("FILE", "File", "A movie, a picture, or one picture of a sequence in a folder of its own"),
    ("CLIP", "Movie Clip", "A clip that is open in Blender already"),
    ("CAMERA", "Webcam", "A camera of this machine; pictures never leave it"),
)

CAMERA_SIZES: Final = (
    ("AUTO", "Camera's Own", "What the camera sends by itself"),
    ("640x480", "640 x 480", "Fast, and enough for hands near the camera"),
    ("1280x720", "1280 x 720", "For hands farther away"),
    ("1920x1080", "1920 x 1080", "For hands far away, on a fast machine"),
)

CAMERA_RATES: Final = (
    ("AUTO", "Camera's Own", "What the camera sends by itself"),
    ("30", "30", "Thirty pictures a second"),
    ("60", "60", "Sixty pictures a second, where the camera can"),
)

LIVE_TARGETS: Final = (
    ("HANDS", "Hands", "The scene's hand rigs, which are made when missing"),
    ("CHARACTER", "Character", "The character chosen below, through its bone map"),
)

HANDS: Final = (
    ("auto", "Automatic", "Every hand of the performer that is seen"),
    ("both", "Both", "One left and one right hand"),
    ("left", "Left", "Only the left hand"),
    ("right", "Right", "Only the right hand"),
)

LENSES: Final = (
    ("AUTO", "From Clip", "What the file says about its lens, else a usual one"),
    ("FOV", "Field of View", "The horizontal field of view of the picture"),
    ("FOCAL", "35 mm Focal Length", "A focal length as for full-frame film, 36 mm wide"),
    ("CAMERA", "Scene Camera", "The scene's active camera, tracked or still, with its place, motion and zoom"),
)

GAPS: Final = (
    ("interpolate", "Interpolate", "From the last pose to the next"),
    ("hold", "Hold", "The last pose stays"),
    ("rest", "Ease to Rest", "The fingers relax and come back"),
    ("none", "Leave Empty", "The hand is away"),
)

REACHES: Final = (
    (Reach.FINGERS.value, "Fingers", "The fingers alone; the wrist stays with whatever animates it"),
    (Reach.WRIST.value, "Fingers and Wrist", "Also turn the wrist in the world as it was seen"),
    (Reach.SPACE.value, "Hands in Space", "The hands where they were seen, relative to each other and the character"),
)
