# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmark runs over: labelled pictures and movies, clips with their truth as a Take, plain movies."""
