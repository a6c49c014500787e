"""Networks by name: `module:function` of the EdgeModel becomes a torch Module, or an error that says what to mend."""

import importlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from skerry.core import errors, specs

# What an own network may raise when it is built or fed wrongly.
_THEIRS = (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, ImportError)


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


def check_fit(network: nn.Module, x: NDArray[Any], classes: int, owner: str) -> None:
    """Feed two rows: the network must answer [2, classes] real numbers. Raises InputError."""
    rows = np.ascontiguousarray(x[np.arange(2) % len(x)])
    try:
        with torch.inference_mode():
            output = network.eval()(torch.from_numpy(rows))
    except _THEIRS as exc:
        raise errors.InputError(
            f"{owner}: the network does not take inputs of {rows.dtype} {list(rows.shape)}, which is what the "
            f"preprocessing makes: {exc}"
        ) from exc
    if not isinstance(output, torch.Tensor) or tuple(output.shape) != (2, classes) or not output.is_floating_point():
        shape = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        raise errors.InputError(f"{owner}: the network answered {shape} for 2 rows, it should be [2, {classes}] logits")
