# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors a user may meet: one sentence each, saying what happened, why, and what to do next."""

from __future__ import annotations


class HandMocapError(Exception):
    """A failure the user can understand and act on; `str(error)` is the whole sentence.

    `hint` names the next step for an interface that shows it apart from the sentence;
    `exit_code` is what the command line ends with.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class BadInputError(HandMocapError):
    """What the user gave (a file, a value, a camera) cannot be used."""


class MovingCameraError(BadInputError):
    """The camera moves, and nobody said how."""


class ModelFileError(HandMocapError):
    """A model file is missing, damaged or not what it claims to be."""


class NothingFoundError(HandMocapError):
    """The footage was read, but no hand was found in it."""

    exit_code = 1


class CancelledError(HandMocapError):
    """The user stopped the work; what was finished is kept."""

    exit_code = 130
