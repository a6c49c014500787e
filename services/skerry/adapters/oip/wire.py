"""The little of protobuf's wire format that is written by hand: tags of fields that hold bytes, and their lengths.

(https://protobuf.dev/programming-guides/encoding/)
"""

REQUEST_ID, REQUEST_RAW = b"\x1a", b"\x3a"  # ModelInferRequest: id = 3, raw_input_contents = 7
REPLY_ID, REPLY_RAW = b"\x1a", b"\x32"  # ModelInferResponse: id = 3, raw_output_contents = 6


RAW_CONTENTS, INPUT = 7, 5  # fields of ModelInferRequest
CONTENTS = 5  # of ModelInferRequest.InferInputTensor
_FIXED = {1: 8, 5: 4}


def field(data: bytes, at: int) -> tuple[int, int, int]:
    """(number, where its bytes begin, where they end) of the field at `at`. Raises IndexError when it does not end
    within `data`, or is of no kind that proto3 has."""
    key, at = _varint(data, at)
    kind = key & 7
    if kind == 2:
        size, at = _varint(data, at)
        end = at + size
    elif kind == 0:
        end = _varint(data, at)[1]
    else:
        end = at + _FIXED[kind] if kind in _FIXED else len(data) + 1
    if end > len(data):
        raise IndexError(end)
    return key >> 3, at, end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise IndexError(at)


def head(tag: bytes, size: int) -> bytes:
    """What stands before `size` bytes of a field."""
    if size < 0x80:
        return tag + _SHORT[size]
    out = bytearray(tag)
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def text_parameter(name: str, value: str) -> bytes:
    """An entry of ModelInferResponse.parameters (4): key = 1, value = 2, which holds string_param = 3."""
    key, text = name.encode(), value.encode()
    inner = head(b"\x1a", len(text)) + text
    entry = b"".join((head(b"\x0a", len(key)), key, head(b"\x12", len(inner)), inner))
    return head(b"\x22", len(entry)) + entry


def model_of(beginning: bytes) -> str | None:
    """The model that a ModelInferRequest which begins so is for (model_name = 1); None when they do not say."""
    if beginning[:1] != b"\x0a":
        return None
    size = shift = 0
    for at, byte in enumerate(beginning[1:4], 2):
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            name = beginning[at : at + size]
            return name.decode(errors="replace") if len(name) == size else None
    return None


_SHORT = tuple(bytes((size,)) for size in range(0x80))
