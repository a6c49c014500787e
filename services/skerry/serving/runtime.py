"""ONNX Runtime: one session per version, one `run` per batch. Nothing else imports it on the serving path.

Its telemetry is turned off before it loads, because it would connect to its maker. A session runs on the calling thread
unless it is given more; its threads sleep between runs.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from skerry.core import errors, tensors
from skerry.serving import bfloat16

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the import: the library reads it once, as it loads

import onnxruntime as onnxruntime  # also for the trainer, which must find it silenced
from onnxruntime.capi import onnxruntime_pybind11_state as _state

VERSION: str = onnxruntime.__version__
_FAILURES: tuple[type[BaseException], ...] = tuple(
    kind for kind in vars(_state).values() if isinstance(kind, type) and issubclass(kind, Exception)
)
_PROVIDERS: Mapping[str, str] = {
    "cpu": "CPUExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "acl": "ACLExecutionProvider",
    "xnnpack": "XnnpackExecutionProvider",
}
_TYPES: Mapping[str, str] = {
    "tensor(bool)": "BOOL",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(bfloat16)": "BF16",
    "tensor(string)": "BYTES",
    **{f"tensor({sign}int{bits})": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}
_ERROR, _FATAL = 3, 4
_OUT_OF_MEMORY = ("Available memory of", "bad_alloc", "Failed to allocate memory")
# A run of more input than this gives its memory back; smaller ones need what they hold again.
_SHRINK_BYTES = 1 << 20
_is_bounded = False

Run = Callable[[Sequence[str], Mapping[str, NDArray[Any]], Any], list[NDArray[Any]]]


class RunStoppedError(errors.IntegrityError):
    """The run was stopped before it was done."""


class StopSwitch:
    """Ends the runs of a session from another thread: the run that goes on, or the next one, and each after it until
    the switch is reset. The library looks at it between two nodes, also within a loop; one node always ends."""

    def __init__(self) -> None:
        self._plain, self._shrinking = onnxruntime.RunOptions(), onnxruntime.RunOptions()
        self._shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        for options in (self._plain, self._shrinking):
            options.log_severity_level = _FATAL  # what a run fails of is in its error
        self.is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True
        self._plain.terminate = self._shrinking.terminate = True

    def reset(self) -> None:
        if self.is_stopped:
            self.is_stopped = False
            self._plain.terminate = self._shrinking.terminate = False

    def options(self, size_bytes: int) -> Any:
        """For a run of so much input."""
        return self._plain if size_bytes <= _SHRINK_BYTES else self._shrinking


def bound_memory(size_bytes: int) -> None:
    """All sessions that are opened from now on share so much memory, weights included; 0: not bounded. Once in a
    process."""
    global _is_bounded  # the library has one environment for the whole process
    if size_bytes:
        place = onnxruntime.OrtMemoryInfo(
            "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
        )
        # 1: an arena grows by what is asked for, not to the next power of two; -1: the library's defaults.
        onnxruntime.create_and_register_allocator(place, onnxruntime.OrtArenaCfg(size_bytes, 1, -1, -1))
        _is_bounded = True


def check_provider(name: str) -> str:
    """ONNX Runtime's name of an execution provider. Raises InputError when it is unknown or not built in."""
    full, there = _PROVIDERS.get(name), onnxruntime.get_available_providers()
    if full is None or full not in there:
        known = [short for short, long in _PROVIDERS.items() if long in there]
        raise errors.InputError(f"execution provider {name!r} is not available here; there are: {', '.join(known)}")
    return full


def keep_int8_exact(options: onnxruntime.SessionOptions) -> None:
    """Let no CPU add up pairs of 8-bit products in 16 bits, as those with AVX2 or AVX-512 but without VNNI do: the sums
    overflow, and an int8 network answers otherwise than on any other CPU, without a word. It is a bit slower on these
    CPUs, and changes nothing on others."""
    options.add_session_config_entry("session.x64quantprecision", "1")


class Session:
    """A loaded network. `inputs` and `outputs` are as the file says, without the batch axis (None: any datatype);
    `fixed_rows` is how many rows it takes, no more and no less (None: any number).

    Raises IntegrityError when the runtime cannot load `data`; its own words are in the text. OverloadedError: there is
    not the memory.
    """

    def __init__(self, data: bytes, what: str, *, provider: str = "cpu", threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERROR
        options.inter_op_num_threads = 1
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        keep_int8_exact(options)
        if _is_bounded:
            options.add_session_config_entry("session.use_env_allocators", "1")
        providers = list(dict.fromkeys([check_provider(provider), _PROVIDERS["cpu"]]))
        try:
            # Without fallback: the library would print its trouble and try again in silence.
            self._session = onnxruntime.InferenceSession(data, options, providers=providers, enable_fallback=0)
        except _FAILURES as exc:
            if any(words in str(exc) for words in _OUT_OF_MEMORY):
                text = f"{what} needs more memory than networks may use here: it is not loaded, and what serves goes on"
                raise errors.OverloadedError(text) from exc
            raise errors.IntegrityError(f"{what} cannot be loaded by onnxruntime {VERSION}: {str(exc)[:500]}") from exc
        # Not by the public `run`, which checks again in Python what the network's inputs were checked for already.
        self._run: Run = self._session._sess.run
        self._what = what
        self.switch = StopSwitch()
        self.inputs = tuple(_spec(argument) for argument in self._session.get_inputs())
        self.outputs = tuple(_spec(argument) for argument in self._session.get_outputs())
        if any(spec.datatype == bfloat16.NAME for spec in (*self.inputs, *self.outputs)):
            self._run = bfloat16.Bfloat16Run(self._session, onnxruntime.OrtValue, what, self.inputs, self.outputs)
        first_axes = [argument.shape[0] for argument in self._session.get_inputs() if argument.shape]
        self.fixed_rows = next((size for size in first_axes if isinstance(size, int) and size > 0), None)

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """The outputs `names` for one batch. Raises InputError (the network takes no such input), TooLargeError (there
        is not the memory for it), RunStoppedError or IntegrityError."""
        options = self.switch.options(sum([rows.nbytes for rows in feeds.values()]))
        try:
            outputs: list[NDArray[Any]] = self._run(names, feeds, options)
        except _state.InvalidArgument as exc:
            raise errors.InputError(f"{self._what} does not take these inputs: {str(exc)[:300]}") from exc
        except _FAILURES as exc:
            raise self._failure(exc) from exc
        return outputs

    def _failure(self, exc: BaseException) -> errors.SkerryError:
        if self.switch.is_stopped:
            return RunStoppedError(f"{self._what}: the run was stopped")
        if any(words in str(exc) for words in _OUT_OF_MEMORY):
            return errors.TooLargeError(f"{self._what} needs more memory for these inputs than it may use: send less")
        return errors.IntegrityError(f"{self._what} failed on these inputs")


def _spec(argument: Any) -> tensors.Spec:
    sizes = tuple(size if isinstance(size, int) and size > 0 else tensors.FREE for size in argument.shape[1:])
    return tensors.Spec(argument.name, _TYPES.get(argument.type, argument.type), sizes)
