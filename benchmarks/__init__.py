# SPDX-License-Identifier: GPL-3.0-or-later
"""Accuracy and speed, side by side with MediaPipe Hands, on the same frames in the same run."""
