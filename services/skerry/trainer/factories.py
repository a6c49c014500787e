"""Networks by name: `module:function` of the EdgeModel becomes a torch Module, or an error that says what to mend."""

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from skerry.core import errors, row_independence, specs
from skerry.trainer import measures

# What an own network may raise when it is built or fed wrongly.
_THEIRS = (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, ImportError)

_COMPARED_ROWS = 64  # of which the different ones are compared


def build(network: specs.Network, owner: str) -> nn.Module:
    """Call the factory with its options. `owner` names the field in errors. Raises InputError."""
    module_name, _, function_name = network.factory.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as exc:
        raise errors.InputError(
            f"{owner}: cannot import {module_name!r} ({exc}); it must be importable by the trainer, "
            "e.g. installed beside skerry or on PYTHONPATH"
        ) from exc
    factory = getattr(module, function_name, None)
    if not callable(factory):
        raise errors.InputError(f"{owner}: module {module_name!r} has no function {function_name!r}")
    try:
        built = factory(**network.options)
    except errors.SkerryError:
        raise
    except _THEIRS as exc:
        raise errors.InputError(
            f"{owner}: {network.factory} with options {dict(network.options)} failed: {exc}"
        ) from exc
    if not isinstance(built, nn.Module):
        raise errors.InputError(f"{owner}: {network.factory} returned {type(built).__name__}, not a torch Module")
    return built


def check_fit(
    network: nn.Module,
    x: NDArray[Any],
    measure: measures.Measures,
    owner: str,
) -> None:
    """Feed a few rows, before anything is trained: the network must answer [rows, width] real numbers, each row by
    itself, and while it is trained what the loss takes. Raises InputError."""
    rows = np.ascontiguousarray(x[np.arange(2) % len(x)])
    output = _answer(network.eval(), rows, owner)
    wanted = (2, measure.task.width)
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != wanted or not output.is_floating_point():
        shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise errors.InputError(
            f"{owner}: the network answered {shape} for 2 rows, it should be [2, {measure.task.width}]: {measure.task}"
        )
    if fault := measure.fault_of(network) or measure.fault_in_training(_answer_in_training(network, rows, owner)):
        raise errors.InputError(f"{owner}: {fault}")
    verdict = row_independence.judge(
        lambda samples: {"logits": _answer(network, samples["rows"], owner).numpy()}, {"rows": x[:_COMPARED_ROWS]}
    )
    if not verdict.passed:
        raise errors.InputError(f"{owner}: {verdict.reason}{_suspects(network)}")


def _answer(network: nn.Module, rows: NDArray[Any], owner: str) -> Any:
    try:
        with torch.inference_mode():
            return network(torch.from_numpy(np.ascontiguousarray(rows)))
    except _THEIRS as exc:
        raise errors.InputError(
            f"{owner}: the network does not take inputs of {rows.dtype} {list(rows.shape)}, which is what the "
            f"preprocessing makes: {exc}"
        ) from exc


def _answer_in_training(network: nn.Module, rows: NDArray[Any], owner: str) -> NDArray[Any]:
    """The answer in training mode; running statistics stay as they were."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    answer: NDArray[Any] = _answer(network.train(), rows, owner).numpy()
    network.load_state_dict(before)
    network.eval()
    return answer


def _suspects(network: nn.Module) -> str:
    """Layers that use statistics of the batch in evaluation mode too, for the message."""
    names = [
        name or type(layer).__name__
        for name, layer in network.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is None
    ]
    return f"; {', '.join(names[:5])} has track_running_stats=False" if names else ""
