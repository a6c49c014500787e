"""A trained network as ONNX bytes that a fielded runtime reads, or a refusal: parity with torch is proved first.

The tracing exporter is used on purpose: `dynamo=True` unrolls a recurrence into a thousand nodes, tracing gives one
RNN, LSTM or GRU node with free batch and time axes. Its operator set and IR version are pinned low, because a node
that cannot load a version never downloads it. Left out: quantization (`trainer.compress`).
"""

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from skerry.core import errors, row_independence, tensors
from skerry.nets.forecasting import Forecaster
from skerry.nets.rnn import Recurrent
from skerry.serving import runtime

OPSET = 17
MAX_IR_VERSION = 10
MIN_ONNXRUNTIME = "1.12"  # the first that reads opset 17
BATCHES = (1, 2, 7)
LENGTHS = (1, 5, 50)
TOLERANCE = 1e-4
_ROUNDING = 1e-5  # of the largest number in an answer
INPUT, OUTPUT = "input", "logits"

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class State:
    """A hidden state that travels from one request of a sequence to the next; `size` numbers per sequence."""

    input: str
    output: str
    size: int


@dataclass(frozen=True, slots=True)
class Exported:
    """ONNX, one row of their input (an axis of -1 may vary), the name of what they answer. `states` is empty for a
    network without memory."""

    data: bytes
    input: tensors.Spec
    states: Sequence[State] = ()
    output: str = OUTPUT


def export(network: nn.Module, example: NDArray[Any], *, in_pieces: bool = True, output: str = OUTPUT) -> Exported:
    """ONNX of `network` (evaluation mode) for inputs like `example` [n ≥ 1, …] float32 or int64, answering `output`.

    A recurrent network keeps its time axis free, a streaming one is exported as its step unless it is asked for whole
    sequences only (`in_pieces` False), as a teacher is. Raises InputError when the network cannot be exported, or when
    ONNX Runtime and torch differ by more than TOLERANCE at batch 1, 2, 7 (and lengths 1, 5, 50), or when its rows
    influence one another.
    """
    network = network.eval()
    if in_pieces and isinstance(network, Recurrent | Forecaster) and network.streaming:
        return export_step(network, example, output=output)
    free = (1,) if isinstance(network, Recurrent) else ()
    x = _repeat(example, 2)
    axes = {INPUT: {0: "batch", **{axis: f"axis{axis}" for axis in free}}, output: {0: "batch"}}
    data = _trace(network, (torch.from_numpy(x),), [INPUT], [output], axes)
    for batch in BATCHES:
        for feed in _lengths(_repeat(example, batch), free):
            _compare(data, {INPUT: feed}, [_forward(network, feed)], f"batch {batch}, input {list(feed.shape)}")
    made = Exported(data, _input(example, free), output=output)
    check_rows(data, example, made)
    return made


def export_step(network: Recurrent | Forecaster, example: NDArray[Any], *, output: str = OUTPUT) -> Exported:
    """ONNX of one streaming step of `network`: inputs `input` and a state per layer, `output` and the states after it.
    Proved on a sequence that is fed in two pieces of different length. Raises InputError as `export`."""
    step = network.as_step().eval()
    names = step.state_names
    states = [State(name, f"{name}_next", network.hidden) for name in names]
    outputs = [output, *(state.output for state in states)]
    x = _repeat(example, 2)
    zeros = tuple(torch.zeros(2, network.hidden) for _ in names)
    axes: dict[str, dict[int, str]] = {name: {0: "batch"} for name in (*names, *outputs)}
    axes[INPUT] = {0: "batch", 1: "axis1"}
    data = _trace(step, (torch.from_numpy(x), *zeros), [INPUT, *names], outputs, axes)
    for batch in BATCHES:
        whole = _repeat(example, batch)
        carried = [np.zeros((batch, network.hidden), dtype=np.float32) for _ in names]
        for piece in (whole[:, :1], whole):
            expected = _forward_all(step, piece, carried)
            feeds = {INPUT: piece, **dict(zip(names, carried, strict=True))}
            carried = _compare(data, feeds, expected, f"batch {batch}, piece {list(piece.shape)}")[1:]
    made = Exported(data, _input(example, (1,)), states, output=output)
    check_rows(data, example, made)
    return made


def _trace(
    module: nn.Module,
    args: tuple[torch.Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> bytes:
    out = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter's age, and of free batch axes, which are proved below
            torch.onnx.export(
                module,
                args,
                out,  # type: ignore[arg-type]  # the tracing exporter writes to files too; its stub forgets them
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_axes={name: dict(free) for name, free in axes.items()},
                opset_version=OPSET,
                dynamo=False,
            )
        model = onnx.load_from_string(out.getvalue())
        onnx.checker.check_model(model)
    except (RuntimeError, ValueError, TypeError, torch.onnx.OnnxExporterError, onnx.checker.ValidationError) as exc:
        raise errors.InputError(f"{type(module).__name__} cannot be exported to ONNX opset {OPSET}: {exc}") from exc
    if model.ir_version > MAX_IR_VERSION:
        raise errors.InputError(f"the exporter wrote IR {model.ir_version}; fielded runtimes read {MAX_IR_VERSION}")
    return out.getvalue()


def _compare(data: bytes, feeds: Feeds, expected: Sequence[NDArray[Any]], what: str) -> list[NDArray[Any]]:
    """What ONNX Runtime answers; raises InputError unless that is what torch answered."""
    answers = run(data, feeds)
    for ours, theirs in zip(answers, expected, strict=True):
        # A network that answers in a unit of its own (6,000 vehicles an hour) rounds in that unit, near 0 too.
        near_zero = max(TOLERANCE, _ROUNDING * float(np.abs(theirs).max(initial=0.0)))
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=TOLERANCE, atol=near_zero):
            gap = float(np.abs(ours - theirs).max()) if ours.shape == theirs.shape else float("nan")
            raise errors.InputError(
                f"the exported network differs from torch at {what} (by {gap:.2g}): "
                "a size may be baked in, or a layer behaves differently; it is not published"
            )
    return answers


def check_rows(data: bytes, example: NDArray[Any], described: Exported) -> None:
    """Raises InputError when rows of `data`, a form of the network `described`, influence one another: callers share a
    run, and would get one another's answers."""
    session = runtime.Session(data, "the exported network")
    outputs = [described.output, *(state.output for state in described.states)]
    zeros = {state.input: np.zeros((len(example), state.size), dtype=np.float32) for state in described.states}
    verdict = row_independence.judge(
        lambda rows: dict(zip(outputs, session.run(outputs, rows), strict=True)), {INPUT: example, **zeros}
    )
    if not verdict.passed:
        raise errors.InputError(f"the exported network is not published: {verdict.reason}")


def run(data: bytes, feeds: Feeds) -> list[NDArray[Any]]:
    """All outputs of an ONNX file for one batch, through the serving runtime. Raises as `runtime.Session`."""
    session = runtime.Session(data, "the exported network")
    return session.run([output.name for output in session.outputs], feeds)


def _forward(module: nn.Module, x: NDArray[Any]) -> NDArray[Any]:
    with torch.inference_mode():
        return np.asarray(module(torch.from_numpy(x)).numpy())


def _forward_all(step: nn.Module, x: NDArray[Any], states: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    with torch.inference_mode():
        outputs = step(torch.from_numpy(x), *(torch.from_numpy(state) for state in states))
    return [output.numpy() for output in outputs]


def _input(example: NDArray[Any], free: Sequence[int]) -> tensors.Spec:
    shape = (tensors.FREE if axis in free else size for axis, size in enumerate(example.shape) if axis)
    return tensors.Spec(INPUT, tensors.datatype_of(example.dtype, INPUT), tuple(shape))


def _repeat(example: NDArray[Any], batch: int) -> NDArray[Any]:
    """`batch` rows, the examples over and over."""
    return np.ascontiguousarray(example[np.arange(batch) % len(example)])


def _lengths(x: NDArray[Any], free: Sequence[int]) -> list[NDArray[Any]]:
    """`x`, and with a free time axis also shorter and longer copies of it."""
    if not free:
        return [x]
    steps = x.shape[1]
    return [x, *(np.ascontiguousarray(x[:, np.arange(length) % steps]) for length in LENGTHS)]
