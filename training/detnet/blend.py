# SPDX-License-Identifier: GPL-3.0-or-later
"""Fit how MediaPipe's points and DetNet's go together, and write it into the network's file.

    python -m training.detnet.blend --shards DIR --model blender_handmocap/models/detnet.onnx

Only rows that no run trains on are used: the held-out end of every training shard. Fitted are the errors of the
blend against those DetNet expects, and the confidence; the shares are given, and so is the map from the model's
keypoints to MediaPipe's. Prints what is left.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray

from blender_handmocap.engine.runtime import Runtime
from blender_handmocap.engine.see.confidence import RIGHT_SHARE
from blender_handmocap.engine.see.crops import HAND_INPUT
from blender_handmocap.engine.see.detnet import FUSION_KEY, Blend, DetNet, LearnedHand
from blender_handmocap.engine.see.fusion import confidence_signs, joined, joined_forms, mediapipe_form
from blender_handmocap.engine.see.landmarks import HandNetwork, SeenHand
from training.mediapipe.confidence import calibration_error, logistic, reliability

from .definition import mediapipe_map
from .shards import find, held_out
from .train import similarity_errors

Array = NDArray[np.float64]
Rows = Callable[[int], NDArray[np.int64]]

WHOLE: Final = np.array([HAND_INPUT / 2, HAND_INPUT / 2, HAND_INPUT, HAND_INPUT, 0.0])
"""The crop that is the picture."""
SHARES: Final = {"picture": 0.5, "depth": 0.75, "patience": 2.0}
"""What both judges ask for: the bones of real hands that may be trained on, and the truth of drawn ones."""
LEAST_PRESENCE: Final = 0.5
"""Crops that the tracker would not keep teach nothing."""
_TO_AXIS_2D: Final = float(np.sqrt(2.0 / np.pi))
"""standard deviation along one axis over the mean distance, of a round cloud in the plane"""
_TO_AXIS_3D: Final = float(np.sqrt(np.pi / 8.0))
"""the same in space"""


@dataclass(frozen=True)
class Looked:
    """What the engine saw in crops whose truth is known."""

    seen: list[SeenHand]
    points2d: Array
    """(N, 21, 2) crop pixels"""
    points3d: Array
    """(N, 21, 3) about the middle knuckle, wrist to middle knuckle = 1"""
    own: NDArray[np.bool_]
    """(N,) the crop shows the hand it was cut for"""

    def __len__(self) -> int:
        return len(self.seen)

    def of(self, chosen: NDArray[np.bool_]) -> Looked:
        """Some of them."""
        seen = [self.seen[i] for i in np.flatnonzero(chosen)]
        return Looked(seen, self.points2d[chosen], self.points3d[chosen], self.own[chosen])

    def in_definition(self, definition: Array) -> Looked:
        """With the truth where MediaPipe would see it."""
        return replace(self, points2d=definition @ self.points2d, points3d=definition @ self.points3d)


def look(folders: Sequence[Path], model: Path, rows_of: Rows = held_out) -> tuple[Looked, Blend]:
    """Show the held-out rows of shards (or others, of so many) to the engine's networks, as if hands were followed.

    Returned besides is the blend in the network's file.
    """
    runtime = Runtime.choose("cpu", 1)
    detnet = DetNet(runtime.network_from(model))
    hands = HandNetwork(runtime, detnet)
    seen, points2d, points3d, own = [], [], [], []
    for folder in folders:
        images = np.load(folder / "image.npy", mmap_mode="r")
        rows = rows_of(len(images))
        for row in rows:
            seen += hands.look(np.asarray(images[row]), [WHOLE], [1.0])
        points2d.append(np.load(folder / "points2d.npy")[rows])
        points3d.append(np.load(folder / "points3d.npy")[rows])
        own.append(np.load(folder / "flags.npy")[rows, 0] > 0)
    truth = np.concatenate(points3d).astype(np.float64)
    relative = truth - truth[:, 9:10]
    unit = np.maximum(np.linalg.norm(relative[:, :1], axis=-1, keepdims=True), 1e-9)
    looked = Looked(seen, np.concatenate(points2d).astype(np.float64), relative / unit, np.concatenate(own))
    return looked, detnet.blend


def drawn(root: Path) -> list[Path]:
    """The shards whose truth is known in full; labels of real pictures judge nothing."""
    return [folder for folder in find(root) if (folder / "truth.npz").exists()]


def learned_of(looked: Looked) -> list[LearnedHand]:
    """DetNet's part of each."""
    return [hand.learned for hand in looked.seen if hand.learned is not None]


def blended(looked: Looked, blend: Blend) -> tuple[Array, Array]:
    """(N, 21, 2) pixels and (N, 21, 3) palms about the middle knuckle, as the engine blends them."""
    both = [
        (joined(hand.screen[:, :2], one, blend), joined_forms(mediapipe_form(hand), one, blend))
        for hand, one in zip(looked.seen, learned_of(looked), strict=True)
    ]
    return np.stack([pixels for pixels, _ in both]), np.stack([form for _, form in both])


def errors(looked: Looked, pixels: Array, form: Array) -> dict[str, float]:
    """Mean pixels of the crop, and palms after a similarity alignment and after none but scale."""
    form, truth = _about_knuckle(form), _about_knuckle(looked.points3d)
    scale = (form * truth).sum((1, 2)) / np.maximum((form**2).sum((1, 2)), 1e-12)
    rooted = np.linalg.norm(form * scale[:, None, None] - truth, axis=-1)
    return {
        "pixels": float(np.linalg.norm(pixels - looked.points2d, axis=-1).mean()),
        "aligned": float(similarity_errors(form, truth).mean()),
        "rooted": float(rooted.mean()),
    }


def fit(looked: Looked) -> Blend:
    """Everything of a blend, from crops of every kind."""
    hands = looked.of(kept(looked) & looked.own)
    best = replace(Blend.plain(), definition=mediapipe_map(), **SHARES)
    hands = hands.in_definition(best.definition)
    pixels, form = blended(hands, best)
    learned = learned_of(hands)
    expected_2d = np.stack([one.error_2d for one in learned])
    expected_3d = np.stack([one.error_3d for one in learned])
    off_2d = np.linalg.norm(pixels - hands.points2d, axis=-1)
    off_3d = np.linalg.norm(_about_knuckle(form) - _about_knuckle(hands.points3d), axis=-1)
    best = replace(
        best,
        sigma_2d=_TO_AXIS_2D * _scale(off_2d, expected_2d),
        sigma_3d=_TO_AXIS_3D * _scale(off_3d, expected_3d),
    )
    return replace(best, confidence=confidence(looked, best))


def _scale(off: Array, expected: Array) -> float:
    """By how much expected errors are too small. Of the means: medians would leave the large ones too small."""
    return float(off.mean() / expected.mean())


def _about_knuckle(points: Array) -> Array:
    return points - points[:, 9:10]


def kept(looked: Looked) -> NDArray[np.bool_]:
    """(N,) what the tracker would have kept."""
    return np.array([hand.presence >= LEAST_PRESENCE and hand.learned is not None for hand in looked.seen])


def signs(looked: Looked) -> Array:
    """(N, 4) what the confidence is made from."""
    pairs = zip(looked.seen, learned_of(looked), strict=True)
    return np.stack([confidence_signs(hand, one, (HAND_INPUT, HAND_INPUT)) for hand, one in pairs])


def is_right(looked: Looked, blend: Blend) -> NDArray[np.bool_]:
    """(N,) whether the blend's mean point error is below a tenth of the hand's box, and it is that hand at all."""
    pixels, _ = blended(looked, blend)
    truth = blend.definition @ looked.points2d
    box = np.ptp(truth, axis=1).max(1)
    return np.asarray(looked.own & (np.linalg.norm(pixels - truth, axis=-1).mean(1) < RIGHT_SHARE * box))


def confidence(looked: Looked, blend: Blend) -> Array:
    """(5,) logistic coefficients over `signs`; one that would speak against its sign is left out."""
    hands = looked.of(kept(looked))
    values, right = signs(hands), is_right(hands, blend)
    direction = np.array([1, 1, 1, -1])
    used = [0, 1, 2, 3]
    while True:
        found = logistic(values[:, used], right)
        wrong = [i for i, index in enumerate(used) if found[i + 1] * direction[index] < 0]
        if not wrong:
            break
        del used[wrong[0]]
    out = np.zeros(5)
    out[[0, *(index + 1 for index in used)]] = found
    return out


def write(blend: Blend, path: Path) -> None:
    """Put a blend into a network's file, in the place of the one there."""
    model = onnx.load(str(path))
    others = [entry for entry in model.metadata_props if entry.key != FUSION_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend([*others, onnx.StringStringEntryProto(key=FUSION_KEY, value=blend.to_text())])
    path.write_bytes(model.SerializeToString(deterministic=True))


def report(looked: Looked, blend: Blend) -> str:
    """Table of errors: each alone, and blends."""
    every = looked.of(kept(looked))
    hands = every.of(every.own)
    learned = learned_of(hands)
    moved = hands.in_definition(blend.definition)
    theirs = np.stack([h.screen[:, :2] for h in hands.seen]), np.stack([mediapipe_form(h) for h in hands.seen])
    ours = np.stack([one.points for one in learned]), np.stack([one.form for one in learned])
    lines = [f"{len(hands)} hands of {len(looked)} crops; pixels of 224, palms aligned, palms scaled alone"]
    for name, truth, answer in (
        ("MediaPipe", hands, theirs),
        ("MediaPipe in its definition", moved, theirs),
        ("DetNet", hands, ours),
        ("blend without doubt", moved, blended(hands, replace(blend, patience=1e6))),
        ("blend", moved, blended(hands, blend)),
    ):
        told = errors(truth, *answer)
        lines.append(f"{name:34s} {told['pixels']:6.2f} {told['aligned']:7.4f} {told['rooted']:7.4f}")
    lines.append(
        f"patience {blend.patience:.1f}, errors x {blend.sigma_2d:.2f} {blend.sigma_3d:.2f}, "
        f"confidence {np.round(blend.confidence, 2).tolist()}"
    )
    score = blend.confidence[0] + signs(every) @ blend.confidence[1:]
    said, right = 1.0 / (1.0 + np.exp(-score)), is_right(every, blend)
    lines += [f"  said {a:.2f} true {b:.2f} ({n})" for a, b, n in reliability(said, right)]
    lines.append(f"calibration error {calibration_error(said, right):.3f}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    options = parser.parse_args(arguments)
    looked, _ = look(drawn(options.shards), options.model)
    blend = fit(looked)
    write(blend, options.model)
    sys.stdout.write(report(looked, blend))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
