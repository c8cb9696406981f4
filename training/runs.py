# SPDX-License-Identifier: GPL-3.0-or-later
"""What training runs share: their command lines, and what they keep in their folders: config.json, checkpoint.pt to go
on from, best.pt to keep, curve.jsonl to look at."""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

log = logging.getLogger(__name__)

_MEMORY: Final = 0.02
"""share of the newest step in the loss that is told"""


def command_line(
    description: str | None, defaults: Any, names: Sequence[str], *, every: int
) -> argparse.ArgumentParser:
    """A parser for a run: an option for each of `names` of the configuration, and what no configuration decides.

    `defaults`: a frozen dataclass with what holds where nothing is said. `every`: samples from one report to the next.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; one that was stopped goes on")
    for name in names:
        value = getattr(defaults, name)
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"{value} by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=every, help="samples from one report to the next")
    return parser


def configured(options: argparse.Namespace, defaults: Any, names: Sequence[str], **more: Any) -> Any:
    """The configuration that the options ask for, with `more`; sets up logging and threads as well."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    return replace(defaults, **{name: getattr(options, name) for name in names}, **more)


def add_without(parser: argparse.ArgumentParser, weights: Any) -> None:
    """An option that switches off terms of the losses; `weighed` reads it."""
    parser.add_argument("--without", nargs="*", default=[], choices=list(asdict(weights)), help="losses to switch off")


def weighed(options: argparse.Namespace, weights: Any) -> Any:
    """The weights of the losses without those that `--without` names."""
    return replace(weights, **dict.fromkeys(options.without, 0.0))


def weights_of(files: Sequence[Path]) -> dict[str, Tensor]:
    """The weights that runs kept in `files`, or their mean, if there are several; they must be of one kind, though a
    network that grew may have weights that those before it lack: the mean of those that are there."""
    states = [torch.load(file, map_location="cpu", weights_only=True)["network"] for file in files]
    mean: dict[str, Tensor] = {}
    for name in dict.fromkeys(name for state in states for name in state):
        values = [state[name] for state in states if name in state]
        mean[name] = torch.stack(values).mean(0) if values[0].is_floating_point() else values[0]
    return mean


def rated(
    parameters: Iterable[nn.Parameter], rate: float, tuned: Sequence[nn.Parameter], tuned_rate: float
) -> list[dict[str, Any]]:
    """Groups for an optimiser: `tuned` ones at a rate of their own, the rest of the `parameters` at the other."""
    others = {id(parameter) for parameter in tuned}
    groups = [{"params": [one for one in parameters if id(one) not in others], "lr": rate}]
    return [*groups, {"params": list(tuned), "lr": tuned_rate}] if tuned else groups


class Keeper:
    """A network and its optimiser, kept in a folder with the configuration that decides what becomes of them; each
    group's rate is the highest that it is trained at."""

    def __init__(self, folder: Path, config: Any, network: nn.Module, optimiser: Optimizer) -> None:
        self.folder, self.network, self.optimiser = folder, network, optimiser
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(asdict(config), indent=2), encoding="utf-8")
        self.used, self.best = 0, math.inf
        """samples the network has seen; the least error so far"""
        self.loss = math.nan
        """running mean over the last steps"""
        self._rates = [group["lr"] for group in optimiser.param_groups]
        self._began, self._at_start = time.monotonic(), 0

    @property
    def pace(self) -> float:
        """Samples a second since the run began or was taken up."""
        return round((self.used - self._at_start) / max(time.monotonic() - self._began, 1e-9), 1)

    def resume(self) -> bool:
        """Take up the checkpoint, if there is one."""
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return False
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.used, self.best = state["used"], state["best"]
        self._began, self._at_start = time.monotonic(), self.used
        log.info("going on after %d samples", self.used)
        return True

    def step(self, total: Tensor, count: int, *, share: float, clip: float) -> None:
        """One step down the loss of `count` samples, at a share of the highest rates.

        None is made where the loss is not a number, which one bad sample in a million can make it.
        """
        self.used += count
        value = float(total.detach())
        if not math.isfinite(value):
            log.warning("a loss that is not a number was passed over")
            return
        for group, rate in zip(self.optimiser.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        length = nn.utils.clip_grad_norm_(self.network.parameters(), clip)
        if bool(torch.isfinite(length)):
            self.optimiser.step()
        self.loss = value if math.isnan(self.loss) else self.loss + _MEMORY * (value - self.loss)

    def report(self, error: float, record: dict[str, Any]) -> None:
        """Add a line to the curve and save; the network is the best so far if its error is the least."""
        line = {"used": self.used, "loss": self.loss, "pace": self.pace, **record}
        with (self.folder / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
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


def cosine(used: int, samples: int, *, warm_up: int) -> float:
    """A share that rises over the first samples and falls to zero over all of them."""
    return min(1.0, used / warm_up + 0.05) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, used / samples)))


class Rows:
    """Finished rows of a table, a line each in a folder's rows.jsonl, so that a stopped command goes on after them."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / "rows.jsonl"
        lines = self._file.read_text(encoding="utf-8").splitlines() if self._file.exists() else []
        self.rows: dict[str, dict[str, Any]] = {row["name"]: row for row in map(json.loads, lines)}
        """by name"""

    def add(self, name: str, values: Mapping[str, Any]) -> None:
        """Keep one more row."""
        self.rows[name] = {"name": name, **values}
        with self._file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.rows[name]) + "\n")
        log.info("%s: %s", name, self.rows[name])
