"""HPACK: our decoding loop against the library's decoder, and the refusals of RFC 7541 one by one."""

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry.rpc.h2.hpack import Decoder, HpackError, OversizeError, encode

_LIST_BYTES = 2_000
_names = st.sampled_from(
    [b":path", b"te", b"x-a", b"grpc-timeout", b"cookie", b"content-type", b":method", b"long" * 30]
)
_values = st.one_of(st.sampled_from([b"", b"POST", b"trailers"]), st.binary(max_size=300))
_blocks = st.tuples(
    st.lists(st.tuples(_names, _values, st.booleans()), min_size=1, max_size=8),
    st.booleans(),  # Huffman code
    st.sampled_from([None, None, 0, 64, 256, 4_096]),  # a new size of the table
)
_damage = st.one_of(
    st.none(),
    st.tuples(st.just("set"), st.integers(0, 400), st.binary(min_size=1, max_size=1)),
    st.tuples(
        st.just("insert"), st.integers(0, 400), st.sampled_from([b"\x20", b"\x3f\xe1\x1f", b"\xff", b"\x80", b"\xbe"])
    ),
    st.tuples(st.just("cut"), st.integers(0, 400), st.just(b"")),
)


def _damaged(block: bytes, damage: tuple[str, int, bytes] | None) -> bytes:
    if damage is None or not block:
        return block
    kind, at, content = damage
    at %= len(block)
    if kind == "cut":
        return block[:at]
    return block[:at] + content + block[at + (kind == "set") :]


@settings(max_examples=5 * settings.default.max_examples, deadline=None)
@given(st.lists(st.tuples(_blocks, _damage), min_size=1, max_size=6))
def test_decodes_and_refuses_as_the_library_does(conversation: list) -> None:
    encoder, oracle, ours = hpack.Encoder(), hpack.Decoder(_LIST_BYTES), Decoder(_LIST_BYTES)
    for (fields, huffman, table_bytes), damage in conversation:
        if table_bytes is not None:
            encoder.header_table_size = table_bytes
        block = _damaged(encoder.encode(fields, huffman=huffman), damage)
        before = (list(ours.table.entries), ours.table.max_bytes, ours.version)
        try:
            expected = [tuple(field) for field in oracle.decode(block, raw=True)]
        except (hpack.HPACKError, IndexError):
            with pytest.raises((HpackError, OversizeError)):
                ours.decode(block)
            return
        assert ours.decode(block) == expected
        assert ours.table.entries == list(oracle.header_table.dynamic_entries)
        assert ours.table.max_bytes == oracle.header_table.maxsize
        if ours.version == before[2]:
            assert (ours.table.entries, ours.table.max_bytes) == before[:2], "a change went unnoticed"


def test_tables_hold_equal_fields_once_but_not_what_is_new_each_time() -> None:
    block = hpack.Encoder().encode([(b"user-agent", b"one of many"), (b"grpc-timeout", b"1S")])
    one, other = Decoder(_LIST_BYTES), Decoder(_LIST_BYTES)
    assert one.decode(block) == other.decode(block)
    timeouts, agents = zip(one.table.entries, other.table.entries, strict=True)
    assert agents[0] is agents[1]
    assert timeouts[0] is not timeouts[1]


@given(st.lists(st.tuples(_names, st.binary(max_size=20_000)), max_size=4))
def test_the_library_reads_what_we_encode_and_keeps_its_table(fields: list[tuple[bytes, bytes]]) -> None:
    decoder = hpack.Decoder(1 << 20)
    assert [tuple(field) for field in decoder.decode(encode(fields), raw=True)] == fields
    assert not decoder.header_table.dynamic_entries


@pytest.mark.parametrize(
    ("block", "why"),
    [
        (b"\x80", "index 0"),
        (b"\xc0", "an index beyond the table"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x01", "an integer of more than five bytes"),
        (b"\xff", "an integer cut short"),
        (b"\x00\x05abc", "a name cut short"),
        (b"\x00\x01a", "no value"),
        (b"\x00\x01a\x7f", "a length cut short"),
        (b"\x82\x20", "a change of the table's size after a field"),
        (b"\x3f\xe2\x1f", "a table of 4097 bytes"),
        (b"\x00\x81\xff\x00", "Huffman padding longer than 7 bits"),
        (b"\x00\x01a\x84\xff\xff\xff\xff", "the EOS symbol"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_rfc_7541_forbids_is_refused(block: bytes, why: str) -> None:
    with pytest.raises(HpackError):
        Decoder(_LIST_BYTES).decode(block)


def test_a_list_that_grows_in_decoding_is_stopped() -> None:
    decoder = Decoder(4_000)
    decoder.decode(b"\x40\x01x" + encode([(b"", b"v" * 1_000)])[2:])
    with pytest.raises(OversizeError):
        decoder.decode(b"\xbe" * 5)
