# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs keep, and what is made of the weights of several."""

from pathlib import Path

import torch

from training.runs import weights_of


def test_weights_of_several_runs_are_their_mean_and_of_what_some_lack_that_of_the_others(tmp_path: Path) -> None:
    states = [
        {"layer": torch.tensor([0.0, 2.0]), "count": torch.tensor(3)},
        {"layer": torch.tensor([4.0, 2.0]), "count": torch.tensor(3), "grown": torch.tensor([5.0])},
        {"layer": torch.tensor([5.0, 2.0]), "count": torch.tensor(3), "grown": torch.tensor([7.0])},
    ]
    files = [tmp_path / f"{number}.pt" for number in range(len(states))]
    for file, state in zip(files, states, strict=True):
        torch.save({"network": state}, file)
    mean = weights_of(files)
    assert mean["layer"].tolist() == [3.0, 2.0] and mean["grown"].tolist() == [6.0] and int(mean["count"]) == 3
    # A run counts as often as it is named.
    assert weights_of([files[0], files[1], files[1], files[1]])["layer"].tolist() == [3.0, 2.0]
    assert weights_of(files[:1])["layer"].tolist() == [0.0, 2.0]
