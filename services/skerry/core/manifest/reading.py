"""A manifest from bytes of outside: bounded, every field read with distrust, nothing but the canonical form taken."""

import json
import re
from collections.abc import Mapping, Sequence

from skerry.core import digests, errors, preprocessing, tensors
from skerry.core.confidence import Calibration, Outputs
from skerry.core.manifest.document import (
    SCHEMA,
    File,
    Golden,
    Layer,
    Manifest,
    Quantization,
    Runtime,
    State,
)
from skerry.core.specs import task
from skerry.core.specs.reader import MAX_TEXT, Reader
from skerry.core.tasks.forecast import WIDTHS

MAX_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 30
MAX_FILES = 16
MAX_TENSORS = 32
MAX_NODES = 10_000
_MAX_NUMBER = 1e300
FILE_NAME = "manifest.json"
FORMATS = ("onnx",)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_RELEASE = re.compile(r"[0-9]{1,5}(\.[0-9]{1,5}){0,3}|")


def from_json(data: bytes) -> Manifest:
    """Parse and check. Raises TooLargeError; InputError that names the field and what it should be; IntegrityError when
    the bytes are not the canonical ones of their content."""
    if len(data) > MAX_BYTES:
        raise errors.TooLargeError(f"a manifest of {len(data)} bytes: at most {MAX_BYTES} are read")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise errors.InputError(f"the manifest is not JSON: {exc}") from exc
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise errors.InputError(
            f"the manifest's schema must be {SCHEMA}: it is of another kind, or newer than this skerry"
        )
    manifest = Reader("manifest", "manifest", document).parsed(_manifest)
    _check(manifest)
    if manifest.to_json() != data:
        raise errors.IntegrityError(f"the manifest of {manifest.model} is not in canonical form: it was edited by hand")
    return manifest


def check(manifest: Manifest) -> Manifest:
    """A manifest that was put together by hand, through every check of `from_json`. Raises InputError."""
    return from_json(manifest.to_json())


def _manifest(reader: Reader) -> Manifest:
    reader.integer("schema", None)
    try:
        steps = preprocessing.parse(reader.items("preprocessing", None, preprocessing.MAX_STEPS))
    except errors.InputError as exc:
        raise errors.InputError(f"manifest: {exc}") from exc
    return Manifest(
        model=_segment(reader, "model"),
        task=task.task(reader, fewest_classes=0, longest_name=MAX_TEXT),
        network=reader.mapping("network", None),
        runtime=reader.inner("runtime", _runtime),
        files=_files(reader),
        inputs=reader.each("inputs", _spec, MAX_TENSORS),
        network_inputs=reader.each("networkInputs", _spec, MAX_TENSORS),
        outputs=reader.each("outputs", _spec, MAX_TENSORS),
        preprocessing=steps,
        state=reader.each("state", _state, MAX_TENSORS),
        confidence=reader.inner("confidence", _confidence),
        quantization=reader.inner("quantization", _quantization),
        golden=reader.inner("golden", _golden),
        dataset=reader.digest("dataset", ""),
        parents=tuple(digests.check(parent, "manifest.parents") for parent in reader.texts("parents", None)),
        metrics=reader.mapping("metrics", None),
    )


def _runtime(reader: Reader) -> Runtime:
    opsets = reader.mapping("opsets", None)
    for domain, version in opsets.items():
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= 10_000:
            raise reader.fault("opsets", f"of domain {domain[:80]!r} must be a whole number in 1..10000")
    release = reader.text("minOnnxruntime", None, limit=40)
    if not _RELEASE.fullmatch(release):
        raise reader.fault("minOnnxruntime", f'must be a release like "1.20", not {release!r}')
    kind = reader.text("format", None, among=FORMATS)
    return Runtime(reader.integer("irVersion", None, 1, 10_000), opsets, release, kind)


def _files(reader: Reader) -> Mapping[str, File]:
    given = reader.mapping("files", None)
    if len(given) > MAX_FILES or "model" not in given:
        raise reader.fault("files", f'must name "model" and at most {MAX_FILES} files in all')
    files = {role: Reader("manifest", f"manifest.files.{role[:40]}", at).parsed(_file) for role, at in given.items()}
    names = [file.name for file in files.values()]
    if len(set(names)) != len(names) or FILE_NAME in names:
        raise reader.fault("files", f"must have distinct names, none of them {FILE_NAME}")
    return files


def _file(reader: Reader) -> File:
    return File(_segment(reader, "name"), reader.digest("digest"), reader.integer("sizeBytes", None, 1, MAX_FILE_BYTES))


def _segment(reader: Reader, name: str) -> str:
    """One path segment: no separator, no leading dot, so it can leave no folder."""
    value = reader.text(name, None, limit=128)
    if not _NAME.fullmatch(value):
        raise reader.fault(name, f"must be letters, digits, '.', '_', '-' and not begin with '.', not {value!r}")
    return value


def _spec(reader: Reader) -> tensors.Spec:
    datatype = reader.text("datatype", None, among=tuple(tensors.DTYPES))
    return tensors.Spec(_tensor_name(reader, "name"), datatype, _shape(reader, low=-1))


def _state(reader: Reader) -> State:
    datatype = reader.text("datatype", None, among=("FP32", "FP64", "FP16"))
    return State(_tensor_name(reader, "input"), _tensor_name(reader, "output"), _shape(reader, low=1), datatype)


def _tensor_name(reader: Reader, name: str) -> str:
    value = reader.text(name, None, limit=256)
    if not value:
        raise reader.fault(name, "must not be empty")
    return value


def _shape(reader: Reader, low: int) -> tuple[int, ...]:
    sizes = reader.integers("shape", None, low=low)
    if len(sizes) >= tensors.MAX_RANK or 0 in sizes or any(size > tensors.MAX_ELEMENTS for size in sizes):
        raise reader.fault(
            "shape", f"must be at most {tensors.MAX_RANK - 1} sizes, each positive (or -1 where it varies)"
        )
    return sizes


def _confidence(reader: Reader) -> Calibration:
    reference = reader.integers("reference", None)
    if len(reference) not in (0, 20):
        raise reader.fault("reference", f"must be 20 counts or none, not {len(reference)}")
    # A threshold just above 1 sends every answer to the cloud.
    threshold = reader.number("threshold", None, 0.0, 2.0)
    outputs = Outputs(reader.text("outputs", Outputs.LOGITS, among=tuple(Outputs)))
    temperature, bound = reader.number("temperature", None, 1e-3, 1e3), reader.number("bound", 0.0, 0.0, _MAX_NUMBER)
    return Calibration(temperature, threshold, reference, outputs, _widths(reader), bound)


def _widths(reader: Reader) -> tuple[float, ...]:
    """None, or quantiles of the widths of intervals: they do not fall."""
    given = reader.items("widths", (), WIDTHS)
    good = all(
        isinstance(wide, int | float) and not isinstance(wide, bool) and 0 <= wide <= _MAX_NUMBER for wide in given
    )
    if len(given) not in (0, WIDTHS) or not good or list(given) != sorted(given):
        raise reader.fault("widths", f"must be none or {WIDTHS} numbers of at least 0 that do not fall")
    return tuple(float(wide) for wide in given)


def _quantization(reader: Reader) -> Quantization:
    int8, floats = reader.each("int8Nodes", _layer, MAX_NODES), reader.each("floatNodes", _layer, MAX_NODES)
    return Quantization(reader.text("scheme", None, limit=80), int8, floats)


def _layer(reader: Reader) -> Layer:
    name, op = reader.text("name", None, limit=512), reader.text("op", None, limit=128)
    return Layer(name, op, reader.integer("bytes", None))


def _golden(reader: Reader) -> Golden:
    return Golden(reader.number("toleranceAbs", None, 0.0, 1e6), reader.number("latencyCapMs", None, 0.0, 1e6))


def _check(manifest: Manifest) -> None:
    """What holds between fields."""
    if not manifest.inputs or not manifest.outputs or len(manifest.network_inputs) != len(manifest.inputs):
        raise errors.InputError("manifest: inputs and outputs must not be empty, and networkInputs as many as inputs")
    _distinct("inputs", [spec.name for spec in manifest.inputs])
    _distinct(
        "networkInputs and state", [spec.name for spec in manifest.network_inputs] + [s.input for s in manifest.state]
    )
    _distinct("outputs and state", [spec.name for spec in manifest.outputs] + [s.output for s in manifest.state])
    _check_window(manifest)
    texts = isinstance(next(iter(manifest.preprocessing), None), preprocessing.Vocabulary)
    if texts and manifest.inputs[0].datatype != "BYTES":
        raise errors.InputError("manifest: preprocessing begins with a vocabulary, so the first input must be BYTES")
    if manifest.preprocessing and manifest.inputs[0].datatype == "BYTES" and not texts:
        raise errors.InputError("manifest: the first input is BYTES, so preprocessing must begin with a vocabulary")


def _check_window(manifest: Manifest) -> None:
    steps = manifest.network.get("window")
    if steps is None:
        return
    if not isinstance(steps, int) or isinstance(steps, bool) or not 1 <= steps <= preprocessing.MAX_LENGTH:
        raise errors.InputError(
            f"manifest.network.window must be a whole number of steps in 1..{preprocessing.MAX_LENGTH}"
        )
    if not manifest.state or manifest.inputs[0].shape[:1] != (tensors.FREE,):
        raise errors.InputError(
            "manifest.network.window is for a network with state whose first input has a free first axis, its steps"
        )


def _distinct(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        raise errors.InputError(f"manifest: the names of {what} must be distinct")
