"""May this node's runtime load a version? Answered from the manifest alone, before the model is downloaded."""

from dataclasses import dataclass

from skerry.core import manifest


@dataclass(frozen=True, slots=True)
class Limits:
    """What the node's runtime can do, as its probe found it. `onnxruntime` is a release like "1.20.1"."""

    onnxruntime: str
    max_ir_version: int
    max_opset: int


def fault(wanted: manifest.Runtime, here: Limits) -> str:
    """Why not, for people; empty: nothing speaks against it. Operator domains other than ONNX's own cannot be judged
    from their number: loading will tell."""
    if wanted.ir_version > here.max_ir_version:
        return _text("IR version", wanted.ir_version, here.max_ir_version, here)
    opset = wanted.opsets.get("", 0)
    if opset > here.max_opset:
        return _text("opset", opset, here.max_opset, here)
    if _numbers(wanted.min_onnxruntime) > _numbers(here.onnxruntime):
        return f"it needs onnxruntime {wanted.min_onnxruntime}, this node has {here.onnxruntime}: update the agent"
    return ""


def _text(what: str, wanted: int, most: int, here: Limits) -> str:
    return (
        f"its {what} is {wanted}, onnxruntime {here.onnxruntime} on this node takes {most} at most: "
        "export it for an older one or update the agent"
    )


def _numbers(release: str) -> tuple[int, ...]:
    """(1, 20, 1) of "1.20.1" and of "1.20.1+cpu"; a part that is no number counts as 0. Trailing zeros do not count."""
    numbers = [int(part) if part.isdecimal() else 0 for part in release.partition("+")[0].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
