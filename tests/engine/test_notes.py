# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told about a take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from blender_handmocap.engine.notes import LENS_GUESSED, describe, notes, summary
from blender_handmocap.engine.take import HandTrack, State, Take


def a_take(states: list[int], confidence: float = 0.9, **meta: Any) -> Take:
    count = len(states)
    right = replace(
        HandTrack.absent(count), state=np.array(states, np.uint8), confidence=np.full(count, confidence, np.float64)
    )
    return Take(
        meta={"source": "clip.mp4", "width": 640, "height": 480, "rate": [30000, 1001], "camera": "given", **meta},
        frame=np.arange(count, dtype=np.int32),
        time=np.arange(count) / 30,
        K=np.diag([555.0, 555.0, 1.0]),
        dist=np.zeros(5),
        left=HandTrack.absent(count),
        right=right,
        betas=np.zeros(10),
        size=0.09,
    )


def test_a_summary_counts_what_was_seen_and_what_was_filled() -> None:
    take = a_take([State.SEEN] * 5 + [State.FILLED] * 2 + [State.ABSENT], cancelled=True)
    assert summary(take) == "8 frames, right hand in 5 (+2 filled), stopped early."
    assert summary(a_take([State.ABSENT])) == "1 frames, no hand."


def test_a_sound_take_has_no_notes() -> None:
    assert notes(a_take([State.SEEN] * 20)) == []


def test_damage_mirror_image_lens_doubt_and_proportions_are_told_in_this_order() -> None:
    take = a_take(
        [State.SEEN] * 20,
        confidence=0.3,
        warnings=["clip.mp4 is damaged."],
        hint="It looks mirrored.",
        camera="estimated",
        shape={"kept": False, "reason": "The mean hand stays."},
    )
    told = notes(take)
    assert told[:3] == ["clip.mp4 is damaged.", "It looks mirrored.", LENS_GUESSED]
    assert "right hand is doubtful in 20 of its 20" in told[3] and told[4].endswith("The mean hand stays.")
    assert all(sentence.count("\n") == 0 and sentence.endswith(".") for sentence in told)


def test_a_few_doubtful_frames_are_not_worth_a_note() -> None:
    take = a_take([State.SEEN] * 40)
    confidence = take.right.confidence.copy()
    confidence[:3] = 0.2
    assert notes(take.with_tracks(right=replace(take.right, confidence=confidence))) == []


def test_a_description_names_source_lens_and_parent() -> None:
    text = describe(a_take([State.SEEN], camera="metadata", parent="first.take.npz"))
    for words in ("clip.mp4, 640 x 480, 29.97 a second", "555 pixels, from the file", "90 mm", "first.take.npz"):
        assert words in text
