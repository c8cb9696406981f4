# SPDX-License-Identifier: GPL-3.0-or-later
"""What is measured: our engine, MediaPipe Hands and its variants, and the floor no method of ours can go below."""
