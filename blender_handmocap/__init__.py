# SPDX-License-Identifier: GPL-3.0-or-later
"""HandMocap: both hands from a clip or a webcam as clean keyframes. Importable without bpy."""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled."""
    from . import registration

    registration.unregister()
