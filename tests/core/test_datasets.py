"""Dataset manifests and parts: exact round trips, bounds, and refusals that name what is wrong."""

import io
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import contract, dataset_parts, datasets, digests, errors, label_map
from skerry.core.tasks import Classification

INPUT = datasets.Input("image", "UINT8", (2, 3))
DIGEST = "sha256:" + "0a" * 32
CLASSES = ("a", "b", "c")
TASK = Classification(CLASSES)


def rows(n: int = 6, classes: int = 3) -> dataset_parts.Rows:
    x = np.arange(n * 6, dtype=np.uint8).reshape(n, 2, 3)
    return dataset_parts.imported(x, np.arange(n, dtype=np.int64) % classes, Classification(CLASSES[:classes]))


def manifest(**changes: object) -> datasets.DatasetManifest:
    part = dataset_parts.describe("train", "imported", b"bytes", rows())
    nodes = {"north": datasets.NodeRows(3, 1)}
    whole = datasets.DatasetManifest("m", TASK, INPUT, (part,), (DIGEST,), 7, {"non-finite": 2}, nodes)
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_a_manifest_survives_its_json_and_the_json_is_canonical() -> None:
    data = manifest().to_json()
    again = datasets.DatasetManifest.from_json(data)
    assert again == manifest() and again.to_json() == data
    assert data == json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode()
    assert contract.dataset_path("m", digests.sha256(data)) == f"datasets/m/{digests.hex_of(digests.sha256(data))}"


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        pytest.param(("schema",), 3, "schema", id="a newer schema is refused"),
        pytest.param(("classNames",), [], "classNames", id="no class names are refused"),
        pytest.param(("classNames",), ["a", "a", "b"], "classNames must be", id="a class name twice is refused"),
        pytest.param(("input", "datatype"), "BYTES", "datatype", id="a datatype without numbers is refused"),
        pytest.param(("input", "shape"), [0, 3], "shape", id="an empty row is refused"),
        pytest.param(("input", "shape"), [1 << 20, 1 << 20], "row", id="a row of a terabyte is refused"),
        pytest.param(("parts", 0, "role"), "test", "role", id="an unknown role is refused"),
        pytest.param(("parts", 0, "digest"), "sha256:00", "digest", id="a short digest is refused"),
        pytest.param(("parts", 0, "samples"), True, "samples", id="a boolean is no count"),
        pytest.param(("parts", 0, "samples"), -1, "samples", id="a negative count is refused"),
        pytest.param(("parts", 0, "perClass"), [1, 1], "perClass", id="counts of too few classes are refused"),
        pytest.param(("parts", 0, "perClass"), [9, 9, 9], "perClass", id="more counted than there are is refused"),
        pytest.param(("dropped",), {"x": "two"}, "dropped", id="a drop count that is text is refused"),
        pytest.param(("labelMap",), DIGEST, "labelMap", id="a label map that is not that of the names is refused"),
        pytest.param(("nodes",), {"No Name": {"train": 1, "holdout": 0}}, "EdgeNode name", id="a node without a name"),
        pytest.param(("nodes", "north"), 4, "north", id="rows of a node that are no counts"),
        pytest.param(("parts",), {}, "parts", id="parts that are no list are refused"),
    ],
)
def test_a_bad_field_is_named(path: tuple[str | int, ...], value: object, word: str) -> None:
    document = json.loads(manifest().to_json())
    at = document
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    with pytest.raises(errors.InputError, match=word):
        datasets.DatasetManifest.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"nan", b"[" * 100_000, b"\xff\xfe"], ids=str)
def test_bytes_that_are_no_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(errors.InputError):
        datasets.DatasetManifest.from_json(data)


def test_an_endless_manifest_is_not_even_parsed() -> None:
    with pytest.raises(errors.TooLargeError):
        datasets.DatasetManifest.from_json(b" " * (datasets.MAX_MANIFEST_BYTES + 1))


def test_equal_rows_have_equal_digests_and_other_rows_others() -> None:
    row = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert datasets.input_digest(row) == datasets.input_digest(np.asfortranarray(row))
    others = [row.reshape(3, 2), row.astype(np.int16), row + 1]
    assert len({datasets.input_digest(one) for one in (row, *others)}) == 4
    big = row.astype(">i4")
    assert datasets.input_digest(big) == datasets.input_digest(row.astype("<i4"))


@given(st.lists(st.binary(min_size=6, max_size=6), min_size=200, max_size=200, unique=True))
def test_about_a_fifth_is_holdout_and_the_rule_is_the_documented_one(raw: list[bytes]) -> None:
    found = [datasets.input_digest(np.frombuffer(one, dtype=np.uint8)) for one in raw]
    assert [datasets.is_holdout(one) for one in found] == [int(one[:8], 16) % 5 == 0 for one in found]
    assert 10 <= sum(map(datasets.is_holdout, found)) <= 85


def test_a_part_survives_its_bytes_and_the_same_rows_are_the_same_bytes() -> None:
    data = dataset_parts.pack(rows())
    again = dataset_parts.unpack(data, manifest())
    assert dataset_parts.pack(again) == data == dataset_parts.pack(rows())
    np.testing.assert_array_equal(again.x, rows().x)
    assert again.id[3] == b"imported:3" and not again.has_soft.any()


@pytest.mark.parametrize("n", [0, 1])
def test_parts_of_no_and_one_row_work(n: int) -> None:
    assert len(dataset_parts.unpack(dataset_parts.pack(rows(n)), manifest())) == n


def test_a_part_cut_at_any_byte_is_refused() -> None:
    data = dataset_parts.pack(rows())
    for cut in range(0, len(data), 7):
        with pytest.raises(errors.SkerryError):
            dataset_parts.unpack(data[:cut], manifest())


def test_a_flipped_byte_never_raises_anything_of_its_own() -> None:
    data = dataset_parts.pack(rows())
    for at in range(0, len(data), 5):
        damaged = bytearray(data)
        damaged[at] ^= 0x41
        try:
            dataset_parts.unpack(bytes(damaged), manifest())
        except errors.SkerryError:
            continue


def test_a_zip_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset_parts.pack(rows(100))
    monkeypatch.setattr(dataset_parts, "MAX_PART_BYTES", 500)
    with pytest.raises(errors.TooLargeError, match="500"):
        dataset_parts.unpack(data, manifest())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        pytest.param({"x": np.zeros((6, 3, 2), np.uint8)}, "x is uint8", id="rows of another shape"),
        pytest.param({"x": np.zeros((6, 2, 3), np.float32)}, "x is float32", id="rows of another type"),
        pytest.param({"y": np.full(6, 3, np.int64)}, r"y\[0\]", id="a class that does not exist"),
        pytest.param({"y": np.full(6, -2, np.int64)}, r"y\[0\]", id="a label below -1"),
        pytest.param({"soft": np.full((6, 3), 0.5, np.float32)}, r"soft\[0\]", id="probabilities that add up to 1.5"),
        pytest.param({"soft": np.float32([[2, -1, 0]] * 6)}, r"soft\[0\]", id="a negative probability"),
        pytest.param({"soft": np.float32([[np.nan, 1, 0]] * 6)}, r"soft\[0\]", id="a half-known soft label"),
        pytest.param({"soft": np.float32([[np.inf, 1, 0]] * 6)}, r"soft\[0\]", id="an infinite soft label"),
        pytest.param({"weight": np.full(6, np.nan, np.float32)}, r"weight\[0\]", id="a weight that is no number"),
        pytest.param({"weight": np.full(6, -1, np.float32)}, r"weight\[0\]", id="a negative weight"),
        pytest.param({"node": np.full(6, b"No Name", "S120")}, "node b'No Name'", id="a node that has no name"),
        pytest.param({"label_map": np.full(6, DIGEST, "S71")}, "not a beginning", id="labels of another label map"),
        pytest.param({"weight": np.ones(5, np.float32)}, "weight is", id="arrays of unequal length"),
    ],
)
def test_bad_arrays_are_refused_by_name(change: dict[str, np.ndarray], word: str) -> None:
    arrays = {name: getattr(rows(), name) for name in dataset_parts.COLUMNS} | change
    with pytest.raises(errors.InputError, match=word):
        dataset_parts.check_part(arrays, manifest())


def test_to_refuse_a_part_allocates_nothing_of_its_length() -> None:
    arrays = {name: getattr(rows(), name) for name in dataset_parts.COLUMNS} | {"y": np.zeros(200_000, np.int64)}
    tracemalloc.start()
    try:
        with pytest.raises(errors.InputError, match="should be"):
            dataset_parts.check_part(arrays, manifest())
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_a_missing_array_is_named() -> None:
    with pytest.raises(errors.InputError, match="'soft' is missing"):
        dataset_parts.check_part({name: getattr(rows(), name) for name in ("x", "y", "weight", "id")}, manifest())


def test_the_truth_wins_over_the_soft_label_and_the_soft_label_over_nothing() -> None:
    soft = np.float32([[0.1, 0.8, 0.1], [0.1, 0.8, 0.1], [np.nan] * 3])
    three = replace(rows(3), y=np.int64([2, -1, -1]), soft=soft)
    assert three.targets.tolist() == [2, 1, -1]
    assert dataset_parts.describe("train", "captured", b"", three).per_class == (0, 1, 1)


def test_rows_with_a_number_that_is_none_are_found() -> None:
    x = np.zeros((3, 4), np.float32)
    x[1, 2] = np.nan
    x[2, 0] = np.inf
    assert dataset_parts.finite_rows(dataset_parts.imported(x, np.zeros(3, np.int64), TASK)).tolist() == [
        True,
        False,
        False,
    ]
    assert dataset_parts.finite_rows(rows(2)).all()


def test_concatenating_nothing_keeps_the_shape() -> None:
    none = dataset_parts.concatenate([], INPUT, TASK)
    assert none.x.shape == (0, 2, 3) and none.soft.shape == (0, 3)
    assert len(dataset_parts.concatenate([rows(2), rows(3)], INPUT, TASK)) == 5


def test_a_manifest_and_a_part_of_schema_1_are_read_with_what_is_known_of_their_rows() -> None:
    document = json.loads(manifest().to_json())
    del document["nodes"], document["labelMap"]
    old = datasets.DatasetManifest.from_json(json.dumps(document | {"schema": 1}).encode())
    assert old == manifest(nodes={})
    out = io.BytesIO()
    np.savez_compressed(out, **{name: getattr(rows(), name) for name in ("x", "y", "soft", "weight", "id")})
    read = dataset_parts.unpack(out.getvalue(), old)
    assert set(read.node.tolist()) == {b""} and set(read.label_map.tolist()) == {old.label_map.encode()}


def test_columns_that_a_later_release_adds_do_not_hinder_the_reader() -> None:
    out = io.BytesIO()
    columns = dataset_parts.columns(rows())
    np.savez_compressed(out, **columns, block=np.arange(6))
    np.testing.assert_array_equal(dataset_parts.unpack(out.getvalue(), manifest()).y, rows().y)


def test_a_part_of_a_label_map_that_has_grown_keeps_its_classes() -> None:
    soft = np.float32([[0.25, 0.75], [np.nan, np.nan]])
    two = replace(rows(2, classes=2), soft=soft)
    read = dataset_parts.unpack(dataset_parts.pack(two), manifest())
    np.testing.assert_array_equal(read.soft, np.float32([[0.25, 0.75, 0.0], [np.nan] * 3]))
    assert read.has_soft.tolist() == [True, False]
    assert label_map.length(read.label_map[0].decode(), CLASSES) == 2


def test_a_dataset_grows_with_the_label_map_and_never_under_another() -> None:
    grown = manifest().grown(Classification(("a", "b", "c", "d")))
    assert grown.parts[0].per_class == (2, 2, 2, 0)
    with pytest.raises(errors.InputError, match="its class 0 is 'a', that of the model 'b'"):
        manifest().grown(Classification(("b", "a", "c")))
