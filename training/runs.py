# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training run keeps in its folder: checkpoint.pt to go on from, best.pt to keep, curve.jsonl to look at."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

log = logging.getLogger(__name__)


class Keeper:
    """A network and its optimiser, kept in a folder."""

    def __init__(self, folder: Path, network: nn.Module, optimiser: Optimizer) -> None:
        self.folder, self.network, self.optimiser = folder, network, optimiser
        folder.mkdir(parents=True, exist_ok=True)
        self.used, self.best = 0, math.inf
        """samples the network has seen; the least error so far"""

    def resume(self) -> bool:
        """Take up the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.used, self.best = state["used"], state["best"]
        log.info("going on after %d samples", self.used)
        return True

    def step(self, total: Tensor, *, rate: float, clip: float) -> None:
        """One step down a loss; none where it is not a number, which one bad sample in a million can make it."""
        if not bool(torch.isfinite(total)):
            log.warning("a loss that is not a number was passed over")
            return
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        length = nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        if bool(torch.isfinite(length)):
            self.optimiser.step()

    def report(self, error: float, record: dict[str, Any]) -> None:
        """Add a line to the curve and save; the network is the best so far if its error is the least."""
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"used": self.used, **record}) + "\n")
        if error < self.best:
            self.best = error
            self._save("best.pt", whole=False)
        self._save("checkpoint.pt", whole=True)

    def _save(self, name: str, *, whole: bool) -> None:
        state: dict[str, Any] = {"network": self.network.state_dict(), "used": self.used, "best": self.best}
        if whole:
            state["optimiser"] = self.optimiser.state_dict()
        temporary = self.folder / f"{name}.tmp"
        torch.save(state, temporary)
        temporary.replace(self.folder / name)


def cosine(used: int, samples: int, *, peak: float, warm_up: int) -> float:
    """A rate that rises over the first samples and falls to zero over all of them."""
    return peak * min(1.0, used / warm_up + 0.05) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, used / samples)))
