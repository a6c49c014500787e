"""What clients of a model rely on, whichever version answers: its input, and what it answers (classes in their order, a
forecast's target and unit). A version that differs would be served without a word: requests fail on the nodes, or a
class index means another class. So it is refused; another interface is another model name. Classes may be added at the
end: an index means the same class in every version, and the EdgeModel has the names of them all.

Names of outputs are left out: versions have always been free to rename them.
"""

from skerry.core import specs, tensors
from skerry.core.manifest import Manifest


def difference(model: specs.EdgeModel, version: Manifest) -> str:
    """How the version departs from what the EdgeModel says, for people; empty: it does not. The EdgeModel describes the
    first input; a version may leave an axis free that it names (a network that takes sequences piece by piece)."""
    if version.model != model.name:
        return f"it is a version of {version.model!r}, not of {model.name!r}"
    if version.task.name != model.task.name:
        return f"its task is {version.task.name}, the model's is {model.task.name}"
    described = tensors.Spec(model.input.name, model.input.datatype, model.input.shape)
    if fault := _input(described, version.inputs[0], "the model") or _width(version):
        return fault
    return model.task.difference(version.task)


def change(old: Manifest, new: Manifest) -> str:
    """How `new` would not serve every client that `old` serves, for people; empty: it would."""
    if len(old.inputs) != len(new.inputs):
        return f"it takes the inputs {_names(new)}, the version before it {_names(old)}"
    faults = (_input(was, now, "the version before it") for was, now in zip(old.inputs, new.inputs, strict=True))
    if fault := next(filter(None, faults), "") or _width(new):
        return fault
    return old.task.change(new.task)


def _input(was: tensors.Spec, now: tensors.Spec, owner: str) -> str:
    if now.name != was.name:
        return f"its input is named {now.name!r}, that of {owner} {was.name!r}"
    if now.datatype != was.datatype:
        return f"its input {now.name!r} is {now.datatype}, that of {owner} {was.datatype}"
    fits = len(now.shape) == len(was.shape) and all(
        size in (tensors.FREE, before) for size, before in zip(now.shape, was.shape, strict=True)
    )
    return "" if fits else f"a row of its input {now.name!r} has shape {_shape(now)}, that of {owner} {_shape(was)}"


def _width(version: Manifest) -> str:
    wanted, width = version.task.width, version.outputs[0].shape[-1:]
    if width and width[0] not in (tensors.FREE, wanted):
        return f"it answers {width[0]} numbers a row, and {version.task} takes {wanted}"
    return ""


def _names(version: Manifest) -> str:
    return ", ".join(one.name for one in version.inputs)


def _shape(spec: tensors.Spec) -> str:
    return "[" + ", ".join("any" if size == tensors.FREE else str(size) for size in spec.shape) + "]"
