"""npz bytes from outside: bounds before allocation, no pickles, one sentence for what cannot be read."""

import io
import zipfile
from collections.abc import Callable

import numpy as np
import pytest

from skerry.core import errors, npz

LIMITS = npz.Limits(1 << 20, max_arrays=4)
ARRAYS = {
    "x": np.arange(12, dtype=np.float32).reshape(3, 4),
    "columns first": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text": np.array(["one", "three"]),
    "empty": np.empty((0, 5), dtype=np.int8),
}


def packed(**arrays: object) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]  # also what is no array, for the test
    return out.getvalue()


def member(content: bytes, name: str = "x.npy", kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        archive.writestr(name, content)
    return out.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", descr: str = "<f4") -> bytes:
    """An array file whose header says what it likes."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + data


def twice() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        for _ in range(2):
            archive.writestr("x.npy", npy((1,), b"1234"))
    return out.getvalue()


@pytest.mark.parametrize("write", [npz.pack, lambda arrays: packed(**arrays)], ids=["packed here", "by numpy"])
def test_what_was_packed_comes_back_and_can_be_written_to(write: Callable[..., bytes]) -> None:
    found = npz.read(write(ARRAYS), "it", LIMITS)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].flags.writeable


def test_the_same_arrays_are_the_same_bytes() -> None:
    assert npz.pack(ARRAYS) == npz.pack({name: array.copy(order="K") for name, array in ARRAYS.items()})


def test_only_what_is_asked_for_is_unpacked() -> None:
    data = packed(x=np.ones(3), y=np.array([{"a": 1}], dtype=object))
    assert list(npz.read(data, "it", LIMITS, only=("x", "z"))) == ["x"]


def test_a_file_is_read_where_it_lies() -> None:
    assert list(npz.read(io.BytesIO(npz.pack({"x": np.ones(2)})), "it", LIMITS)) == ["x"]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param({"x": 1 << 18}, "at most 4 arrays of 1048576 bytes", id="many bytes in few"),
        pytest.param(dict.fromkeys("abcde", 1), "at most 4", id="many arrays"),
        pytest.param(dict.fromkeys(map(str, range(70_000)), 1), "at most 4", id="a directory beyond all bounds"),
    ],
)
def test_what_is_beyond_bounds_is_refused_before_it_is_unpacked(data: dict[str, int], text: str) -> None:
    """`data`: numbers in the array of each name."""
    archive = packed(**{name: np.zeros(size) for name, size in data.items()})
    with pytest.raises(errors.TooLargeError, match=text):
        npz.read(archive, "it", LIMITS)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"", "it is not a readable npz", id="nothing"),
        pytest.param(b"PK\x03\x04 and more", "no", id="only the first bytes of a zip"),
        pytest.param(npz.pack(ARRAYS)[:-30], "not a readable npz", id="one that is cut off"),
        pytest.param(member(npy((1 << 40,))), "does not fit its bytes", id="a huge shape"),
        pytest.param(member(npy((1 << 62, 1 << 62))), "does not fit its bytes", id="a shape beyond all integers"),
        pytest.param(member(npy((-1,), b"")), "does not fit its bytes", id="a negative shape"),
        pytest.param(member(npy((2,), b"1234")), "does not fit its bytes", id="too few bytes"),
        pytest.param(member(npy((1,), b"12345")), "does not fit its bytes", id="too many bytes"),
        pytest.param(member(npy((1 << 40,), descr="<U0")), "does not fit its bytes", id="many texts of no length"),
        pytest.param(member(b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535), "not a readable", id="a huge header"),
        pytest.param(member(b"\x93NUMPY\x09\x00"), "format 9.0", id="a format to come"),
        pytest.param(member(npy((1,), b"1234"), kind=zipfile.ZIP_LZMA), "packed in a way", id="another compression"),
        pytest.param(member(b"text", name="notes.txt"), "'notes.txt' in it is no array", id="another file"),
        pytest.param(twice(), "two arrays in it have one name", id="one name twice"),
        pytest.param(packed(x=np.array([{}], dtype=object)), "only plain numbers and texts", id="a pickle"),
        pytest.param(packed(x=np.zeros(2, dtype=[("a", "i4")])), "only plain numbers", id="records"),
    ],
)
def test_what_is_no_npz_of_plain_arrays_is_refused_in_words(data: bytes, text: str) -> None:
    with pytest.raises(errors.InputError, match=text):
        npz.read(data, "it", LIMITS)


def test_a_member_that_unpacks_to_more_than_it_says_gains_nothing() -> None:
    """The sizes of the archive's directory and of its members lie alike: what comes out does not pass the checksum."""
    honest = bytearray(member(npy((1,), b"1234" * 4096)))
    size = len(npy((1,), b"1234" * 4096)).to_bytes(4, "little")
    lie = len(npy((1,), b"1234")).to_bytes(4, "little")
    assert honest.count(size) >= 2
    with pytest.raises(errors.InputError, match="not a readable npz"):
        npz.read(bytes(honest).replace(size, lie), "it", LIMITS)


def test_the_caller_says_whose_fault_it_is() -> None:
    with pytest.raises(errors.IntegrityError, match="the golden set of m is not a readable npz"):
        npz.read(b"no", "the golden set of m", LIMITS, error=errors.IntegrityError)


def test_whatever_byte_is_altered_comes_back_or_is_refused() -> None:
    data = packed(x=ARRAYS["x"])
    for at in range(len(data)):
        altered = bytearray(data)
        altered[at] ^= 0xFF
        try:
            npz.read(bytes(altered), "it", LIMITS)
        except errors.InputError:
            continue
