"""A manifest is the same bytes for the same content, and nothing else is believed."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import manifests
import pytest

from skerry.core import confidence, digests, errors, manifest


def test_a_manifest_reads_back_as_itself() -> None:
    made = manifests.digits(state=(manifest.State("h1", "h1_next", (64,)),), metrics={"accuracy": 0.91, "rows": 5})
    data = made.to_json()
    assert manifest.from_json(data) == made
    assert manifest.from_json(data).to_json() == data
    assert manifest.digest_of(data) == made.digest == digests.sha256(data)


def test_a_network_that_answers_probabilities_says_so_and_other_manifests_stay_as_earlier_releases_wrote_them() -> None:
    logits = manifests.digits()
    told = replace(logits, confidence=replace(logits.confidence, outputs=confidence.Outputs.PROBABILITIES))
    assert json.loads(told.to_json())["confidence"]["outputs"] == "probabilities"
    assert manifest.from_json(told.to_json()) == told
    assert set(json.loads(logits.to_json())["confidence"]) == {"temperature", "threshold", "reference"}
    assert manifest.from_json(logits.to_json()).confidence.outputs == confidence.Outputs.LOGITS


def test_the_windows_of_a_streaming_network_stand_where_earlier_releases_read_past_them() -> None:
    state = (manifest.State("h1", "h1_next", (64,)),)
    steps = (replace(manifests.digits().inputs[0], shape=(-1, 4)),)
    made = manifests.digits(state=state, inputs=steps, network={"factory": "a:b", "window": 20})
    read = manifest.from_json(made.to_json())
    assert (read.window, json.loads(made.to_json())["network"]["window"]) == (20, 20)
    assert manifests.digits(state=state).window == 0


def test_canonical_json_is_sorted_and_dense() -> None:
    data = manifests.digits().to_json()
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()


def test_a_manifest_without_state_writes_null() -> None:
    assert json.loads(manifests.digits().to_json())["state"] is None


def _set(*path: str | int, to: object) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        at: Any = document
        for part in path[:-1]:
            at = at[part]
        at[path[-1]] = to

    return edit


BAD: list[tuple[str, Callable[[dict[str, Any]], Any], str]] = [
    ("a newer schema", _set("schema", to=2), "newer"),
    ("no schema", lambda d: d.pop("schema"), "schema"),
    ("a field nobody knows", _set("clasNames", to=[]), "did you mean classNames"),
    ("a missing field", lambda d: d.pop("files"), "files"),
    ("a file that climbs out of its folder", _set("files", "model", "name", to="../../x"), "files.model.name"),
    ("a file with an absolute path", _set("files", "model", "name", to="/etc/passwd"), "files.model.name"),
    ("a hidden file", _set("files", "model", "name", to=".x"), "files.model.name"),
    ("a file named like the manifest", _set("files", "model", "name", to="manifest.json"), "distinct"),
    ("two files of one name", _set("files", "golden", "name", to="model.onnx"), "distinct"),
    ("a model name that climbs", _set("model", to=".."), "manifest.model"),
    ("a model name with a separator", _set("model", to="a/b"), "manifest.model"),
    ("a digest of another form", _set("files", "model", "digest", to="md5:00"), "digest"),
    ("an upper-case digest", _set("files", "model", "digest", to="sha256:" + "A" * 64), "digest"),
    ("a file of no bytes", _set("files", "model", "sizeBytes", to=0), "sizeBytes"),
    ("a file of too many bytes", _set("files", "model", "sizeBytes", to=1 << 40), "sizeBytes"),
    ("no model file", lambda d: d["files"].pop("model"), "model"),
    ("files that are no object", _set("files", to=["model.onnx"]), "files"),
    ("a datatype nobody knows", _set("inputs", 0, "datatype", to="FP8"), "inputs[0].datatype"),
    ("outputs that are neither logits nor probabilities", _set("confidence", "outputs", to="scores"), "outputs"),
    ("a window of no steps", _set("network", to={"window": 0}), "network.window"),
    ("a window that is true", _set("network", to={"window": True}), "network.window"),
    ("a window of a network without state", _set("network", to={"window": 4}), "with state"),
    ("a dimension of 0", _set("inputs", 0, "shape", to=[0]), "shape"),
    ("a dimension below -1", _set("inputs", 0, "shape", to=[-2]), "shape"),
    ("seventeen dimensions", _set("inputs", 0, "shape", to=[1] * 17), "shape"),
    ("an enormous dimension", _set("inputs", 0, "shape", to=[1 << 40]), "shape"),
    ("no inputs", _set("inputs", to=[]), "inputs"),
    ("too many outputs", lambda d: d.update(outputs=d["outputs"] * 40), "outputs"),
    ("two outputs of one name", lambda d: d.update(outputs=d["outputs"] * 2), "distinct"),
    ("a preprocessing step nobody knows", _set("preprocessing", 0, "op", to="exec"), "preprocessing[0]"),
    ("classes of one name", _set("classNames", to=["a", "a"]), "classNames"),
    ("a histogram of 19 bins", _set("confidence", "reference", to=[1] * 19), "reference"),
    ("a negative count", _set("confidence", "reference", to=[-1] * 20), "reference"),
    ("a temperature of 0", _set("confidence", "temperature", to=0.0), "temperature"),
    ("a temperature that is a text", _set("confidence", "temperature", to="1"), "temperature"),
    ("an IR version of 0", _set("runtime", "irVersion", to=0), "irVersion"),
    ("an opset that is a text", _set("runtime", "opsets", to={"": "17"}), "opsets"),
    ("a format nobody knows", _set("runtime", "format", to="pickle"), "format"),
    ("a parent that is no digest", _set("parents", to=["x"]), "parents"),
    ("texts without a vocabulary", _set("inputs", 0, "datatype", to="BYTES"), "vocabulary"),
    ("a lone surrogate", _set("network", to={"a": "\ud800"}), "JSON"),
]


@pytest.mark.parametrize(("edit", "names"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_wrong_field_is_named(edit: Callable[[dict[str, Any]], Any], names: str) -> None:
    document = json.loads(manifests.digits().to_json())
    edit(document)
    data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(errors.InputError) as caught:
        manifest.from_json(data)
    assert names in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"{" * 5000,
        b"[" * 100_000,
        b'{"schema":1}',
        b'{"schema":NaN}',
    ],
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(errors.InputError):
        manifest.from_json(data)


def test_a_manifest_above_the_limit_is_not_parsed() -> None:
    with pytest.raises(errors.TooLargeError, match=str(manifest.MAX_BYTES)):
        manifest.from_json(b" " * (manifest.MAX_BYTES + 1))


@pytest.mark.parametrize(
    "alter",
    [
        lambda data: data + b"\n",
        lambda data: data.replace(b'{"classNames"', b'{ "classNames"'),
        lambda data: data.replace(b'"schema":1', b'"schema":1,"schema":1'),
        lambda data: data.replace(b'"offset":0.0', b'"offset":0'),
    ],
    ids=["a trailing newline", "a space", "a key twice", "another way to write a number"],
)
def test_other_bytes_of_the_same_content_are_refused(alter: Callable[[bytes], bytes]) -> None:
    data = manifests.digits().to_json()
    altered = alter(data)
    assert altered != data
    with pytest.raises(errors.IntegrityError, match="canonical"):
        manifest.from_json(altered)


def test_check_finds_what_a_builder_got_wrong() -> None:
    assert manifest.check(manifests.digits()) == manifests.digits()
    with pytest.raises(errors.InputError, match="temperature"):
        manifest.check(manifests.digits(confidence=confidence.Calibration(temperature=-1.0)))
    with pytest.raises(errors.InputError, match="JSON"):
        manifest.check(manifests.digits(metrics={"loss": float("nan")}))
