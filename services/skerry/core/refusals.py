"""Does a refused request speak against the version that refused it? What no version takes is the caller's fault alone;
a request of a form that this version or the one before it describes may have been answered before.

A form is names, datatypes and shapes. Numbers that a version does not take (a word outside its vocabulary) count with
every version, so that callers who always send them weigh alike on both sides of a comparison.
"""

from skerry.core import errors, tensors
from skerry.core.inference import InferRequest
from skerry.core.manifest import Manifest


def speaks_against_version(
    request: InferRequest, error: errors.SkerryError, serving: Manifest | None, before: Manifest | None
) -> bool:
    """`serving` refused `request` with `error`; `before` served until then. None: not known."""
    if not isinstance(error, errors.InputError) or isinstance(error, errors.NotFoundError | errors.UnsupportedError):
        return False  # another version was asked for by its number, or something that no version does
    if not all(tensors.is_finite(tensor.data) for tensor in request.inputs):
        return False
    if serving is not None and _describes(serving, request):
        return not serving.state  # a step of a sequence that is not held: every swap ends some
    return before is not None and _describes(before, request)


def _describes(version: Manifest, request: InferRequest) -> bool:
    specs, given = {spec.name: spec for spec in version.inputs}, {tensor.name: tensor for tensor in request.inputs}
    if specs.keys() != given.keys() or not {spec.name for spec in version.outputs}.issuperset(request.outputs):
        return False
    try:
        for name, tensor in given.items():
            tensors.check(tensor, specs[name])
    except errors.InputError:
        return False
    return True
