# SPDX-License-Identifier: GPL-3.0-or-later
"""What Blender's validator lets pass and a user would trip over."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from . import pins
from .wheels import Wheel, pythons

REQUIRED_KEYS: Final = frozenset(
    {"schema_version", "id", "name", "tagline", "version", "type", "maintainer", "license", "blender_version_min"}
)
KNOWN_KEYS: Final = REQUIRED_KEYS | {
    "blender_version_max",
    "website",
    "copyright",
    "permissions",
    "tags",
    "platforms",
    "wheels",
    "build",
}
KNOWN_PERMISSIONS: Final = frozenset({"files", "network", "clipboard", "camera", "microphone"})
KNOWN_PLATFORMS: Final = frozenset({"windows-x64", "windows-arm64", "linux-x64", "macos-x64", "macos-arm64"})
LONGEST_TEXT: Final = 64
MUST_HOLD: Final = ("__init__.py", "LICENSE", "models/hand.npz", "models/models.toml", "examples/two_hands.mp4")
NETWORKS: Final = ("models/mediapipe_palm.onnx", "models/mediapipe_hand.onnx", "models/mediapipe_LICENSE.txt")


def problems(
    manifest: dict[str, Any],
    names: Sequence[str],
    *,
    needed: Collection[str],
    tags: Sequence[str],
    known_tags: Collection[str],
) -> list[str]:
    """Everything wrong with one platform's package.

    `needed`: projects a wheel must be there of, for every Python; `tags`: wheel tags of the platform.
    """
    return [
        *_manifest_problems(manifest, known_tags),
        *_wheel_problems(manifest, names, needed, tags),
        *_content_problems(names),
    ]


def _manifest_problems(manifest: dict[str, Any], known_tags: Collection[str]) -> Iterator[str]:
    yield from (f"unknown key {key!r} in the manifest" for key in sorted(manifest.keys() - KNOWN_KEYS))
    yield from (f"no {key!r} in the manifest" for key in sorted(REQUIRED_KEYS - manifest.keys()))
    yield from (f"unknown tag {tag!r}" for tag in manifest.get("tags", []) if tag not in known_tags)
    for platform in manifest.get("platforms", []):
        if platform not in KNOWN_PLATFORMS:
            yield f"unknown platform {platform!r}"
    if "blender" in str(manifest.get("name", "")).lower():
        yield "the name must not hold the word Blender"
    texts = {"tagline": manifest.get("tagline", "")}
    for key, reason in manifest.get("permissions", {}).items():
        if key not in KNOWN_PERMISSIONS:
            yield f"unknown permission {key!r}"
        texts[f"permission {key!r}"] = reason
    for what, text in texts.items():
        if not text.strip():
            yield f"{what} has no text"
        elif len(text) > LONGEST_TEXT:
            yield f"{what} is {len(text)} characters long, {LONGEST_TEXT} are allowed"
        elif not (text[-1].isalnum() or text[-1] in ")]}"):
            yield f"{what} ends with {text[-1]!r}"


def _wheel_problems(
    manifest: dict[str, Any], names: Sequence[str], needed: Collection[str], tags: Sequence[str]
) -> Iterator[str]:
    listed = [path.removeprefix("./") for path in manifest.get("wheels", [])]
    there = {name for name in names if name.endswith(".whl")}
    yield from (f"{name} is listed but not in the zip" for name in sorted(set(listed) - there))
    yield from (f"{name} is in the zip but not listed" for name in sorted(there - set(listed)))
    wheels = [Wheel(name.rpartition("/")[2]) for name in listed]
    yield from (f"{w.file} must stay Blender's own" for w in wheels if w.project in pins.load().package["never"])
    for wheel in wheels:
        if not any(wheel.runs_on(python, tags) for python in pythons()):
            yield f"{wheel.file} runs in no Blender of this platform"
    for python in pythons():
        for project in sorted(needed):
            count = sum(wheel.project == project and wheel.runs_on(python, tags) for wheel in wheels)
            if count != 1:
                yield f"{count} wheels of {project} for Python {python}, not one"
    if {"onnxruntime", "onnxruntime-gpu"} <= {wheel.project for wheel in wheels}:
        yield "onnxruntime and onnxruntime-gpu would overwrite each other"


def _content_problems(names: Sequence[str]) -> Iterator[str]:
    yield from (f"no {name}" for name in (*MUST_HOLD, *NETWORKS) if name not in names)
    for name in names:
        if name.endswith((".pyc", ".pkl", ".pth")) or "__pycache__" in name or "mano_" in name.lower():
            yield f"{name} must not be shipped"
