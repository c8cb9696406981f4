# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the weights of a network that ships back into torch, so that training goes on from the committed files alone.

A file keeps what a network computes with: batch norms may be gone into the convolutions before them, and names are the
exporter's. So a copy of the network with random weights is written just as the file was, and tells by its numbers
which constant of the file is which weight.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from .onnx_file import constants
from .runs import weights_of

Network = TypeVar("Network", bound=nn.Module)
_Norm = nn.modules.batchnorm._BatchNorm
_Array = NDArray[np.float32]
_HALF: Final = 4e-3
"""relative error of a product of two weights that were stored as halves"""


def is_shipped(start: Sequence[Path]) -> bool:
    """Whether training is to go on from a file that ships, of which there can be but one."""
    shipped = [path for path in start if path.suffix == ".onnx"]
    if shipped and len(start) > 1:
        raise ValueError(f"{shipped[0].name} cannot be mixed with other weights; give it alone.")
    return bool(shipped)


def begin(network: nn.Module, start: Sequence[Path], read_file: Callable[[Path], object]) -> bool:
    """Take the weights to go on from, if there are any: those that runs kept, or by `read_file` those of a file that
    ships. Returns whether it was such a file, whose batch norms are still to be settled."""
    if is_shipped(start):
        read_file(start[0])
        return True
    if start:
        network.load_state_dict(weights_of(start), strict=False)
    return False


def read(network: Network, write: Callable[[Network, Path], None], path: Path) -> list[str]:
    """Take what the file holds into `network`; returns the names of the weights that it does not hold.

    `write` writes a network of this kind as that file was written. ValueError: the file is of another kind.
    """
    probe = _random(copy.deepcopy(network))
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / path.name
        write(probe, written)
        places, values = list(_constants(written)), list(_constants(path))
    if [(kind, a.shape) for kind, a in places] != [(kind, a.shape) for kind, a in values]:
        raise ValueError(f"{path.name} is not a file of this network; export it anew or take another one.")
    pairs = [(mine, theirs) for (_, mine), (_, theirs) in zip(places, values, strict=True)]
    state = network.state_dict()
    missing = []
    for name, value in probe.state_dict().items():
        found = _found(value, pairs) if value.is_floating_point() else None
        if found is None:
            missing.append(name)
        else:
            state[name] = found
    network.load_state_dict(state)
    for norm, layer in _merged(probe, pairs):
        _split(network, norm, layer, probe, pairs)
        missing = [name for name in missing if name.rpartition(".")[0] not in (norm, layer)]
    weights = {name for name, _ in network.named_parameters()}
    return [name for name in missing if name in weights]


@torch.no_grad()
def settle(network: nn.Module, passes: Iterable[Callable[[], object]]) -> None:
    """Give every batch norm the mean and deviation of what comes in, and answers as before: training, which scales by
    those of the batch, then begins where the file ended. Each of `passes` takes a batch through the network."""
    norms = [module for module in network.modules() if isinstance(module, _Norm)]
    sums = {id(norm): torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def note(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
        values = given[0].transpose(0, 1).flatten(1).double()
        count = torch.full((len(values),), values.shape[1], dtype=torch.float64)
        sums[id(norm)] += torch.stack([count, values.sum(1), values.square().sum(1)])

    hooks = [norm.register_forward_pre_hook(note) for norm in norms]
    was_training = network.training
    network.eval()
    for run in passes:
        run()
    for hook in hooks:
        hook.remove()
    for norm in norms:
        count, first, second = sums[id(norm)]
        if count.min() > 0:
            mean = first / count
            _restated(norm, mean.float(), (second / count - mean.square()).clamp(min=0.0).float())
    network.train(was_training)


def _restated(norm: _Norm, mean: Tensor, variance: Tensor) -> None:
    """The same answers with other statistics."""
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    norm.bias += (mean - norm.running_mean) * slope
    norm.weight.copy_(slope * torch.sqrt(variance + norm.eps))
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)


@torch.no_grad()
def _random(network: Network) -> Network:
    """Other numbers in every weight, so that none can be taken for another."""
    random = torch.Generator().manual_seed(0)
    for value in (*network.parameters(), *network.buffers()):
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=random) + 0.5)
    return network.eval()


def _constants(path: Path) -> Iterator[tuple[str, _Array]]:
    """What the nodes of a file compute with, in their order: kind and place of the node's input, and the numbers."""
    graph = onnx.load(str(path)).graph
    held = constants(graph)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in held and held[name].dtype == np.float32:
                yield f"{node.op_type} {place}", held[name]


def _found(value: Tensor, pairs: list[tuple[_Array, _Array]]) -> Tensor | None:
    """What the file holds where the probe's file holds `value`."""
    wanted = value.numpy()
    for mine, theirs in pairs:
        if mine.size != wanted.size:
            continue
        for turned in (False, True):
            shown = mine.T if turned and mine.ndim == 2 else mine
            if _same(shown, wanted):
                taken = np.array(theirs.T if turned else theirs, np.float32)
                return torch.from_numpy(taken.reshape(wanted.shape))
    return None


def _same(one: _Array, other: _Array) -> bool:
    """One may be the other with axes of length one more or less, rounded to halves."""
    plain = [[n for n in array.shape if n > 1] for array in (one, other)]
    return plain[0] == plain[1] and bool(np.allclose(one.ravel(), other.ravel(), rtol=_HALF, atol=0.0))


def _folded(layer: nn.Conv2d, norm: _Norm) -> tuple[Tensor, Tensor]:
    """Weights and constants of a convolution that a batch norm went into."""
    slope = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    constant = layer.bias if layer.bias is not None else torch.zeros_like(norm.bias)
    return layer.weight * slope[:, None, None, None], norm.bias + (constant - norm.running_mean) * slope


def _merged(probe: nn.Module, pairs: list[tuple[_Array, _Array]]) -> Iterator[tuple[str, str]]:
    """Batch norms that are gone into a convolution, and those."""
    layers = {name: module for name, module in probe.named_modules() if isinstance(module, nn.Conv2d)}
    for norm_name, norm in probe.named_modules():
        if not isinstance(norm, _Norm) or _found(norm.weight.detach(), pairs) is not None:
            continue
        for name, layer in layers.items():
            if layer.out_channels == norm.num_features and _found(_folded(layer, norm)[0].detach(), pairs) is not None:
                yield norm_name, name


@torch.no_grad()
def _split(
    network: nn.Module, norm_name: str, layer_name: str, probe: nn.Module, pairs: list[tuple[_Array, _Array]]
) -> None:
    """Give a convolution what the file holds of it and its norm, and let the norm add the constants alone."""
    mine, given = (found.get_submodule(layer_name) for found in (network, probe))
    norm, told = (found.get_submodule(norm_name) for found in (network, probe))
    assert isinstance(mine, nn.Conv2d) and isinstance(given, nn.Conv2d)
    assert isinstance(norm, _Norm) and isinstance(told, _Norm)
    weight, constant = (_found(value, pairs) for value in _folded(given, told))
    if weight is None or constant is None:
        raise ValueError(f"{layer_name} and {norm_name} stand in the file in a way that is not known here.")
    mine.weight.copy_(weight)
    if mine.bias is not None:
        mine.bias.zero_()
    norm.weight.fill_(1.0)
    norm.bias.copy_(constant)
    norm.running_mean.zero_()
    norm.running_var.fill_(1.0 - norm.eps)
