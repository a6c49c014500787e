"""How much a table would take once it is read, as its file says before that: parquet in its metadata, CSV by its lines.

A file of a kilobyte can stand for millions of rows, or for one long text in each of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.core import errors

MAX_ROWS = 10_000_000
MAX_VALUES = 1 << 28  # numbers in all rows or windows together
MAX_BYTES = 4 << 30
_TEXT, _FIXED = "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """What one file stands for."""

    rows: int
    values: int
    size_bytes: int


def check(path: Path, parts: Iterable[Size]) -> None:
    """Raises TooLargeError when the parts together are more than is read."""
    rows = values = size = 0
    for part in parts:
        rows, values, size = rows + part.rows, values + part.values, size + part.size_bytes
        if rows > MAX_ROWS or values > MAX_VALUES or size > MAX_BYTES:
            raise errors.TooLargeError(
                f"{path} stands for {rows:,} rows, {values:,} values and {size:,} bytes: at most {MAX_ROWS:,} rows, "
                f"{MAX_VALUES:,} values and {MAX_BYTES:,} bytes are read; import a share of the rows"
            )


def of_parquet(path: Path) -> Size:
    """As the file's metadata says. Texts count as they are stored, for they are kept so (`text_columns`)."""
    from pyarrow import parquet

    metadata = parquet.read_metadata(path)
    size = 0
    for group in (metadata.row_group(at) for at in range(metadata.num_row_groups)):
        for chunk, column in ((group.column(at), metadata.schema.column(at)) for at in range(metadata.num_columns)):
            width = column.length if column.physical_type == _FIXED else 8
            size += chunk.num_values * width + (chunk.total_uncompressed_size if column.physical_type == _TEXT else 0)
    return Size(metadata.num_rows, metadata.num_rows * metadata.num_columns, size)


def of_csv(path: Path) -> Size:
    """Rows by counting line ends; a quoted cell with several lines counts for as many rows."""
    rows = 0
    with path.open("rb") as source:
        while chunk := source.read(_CHUNK_BYTES):
            rows += chunk.count(b"\n")
    return Size(rows, rows, path.stat().st_size)


def text_columns(path: Path) -> list[str]:
    """The columns of a parquet file whose texts are read as a dictionary: nested ones cannot be."""
    from pyarrow import parquet

    schema: Any = parquet.read_metadata(path).schema
    columns = [schema.column(at) for at in range(len(schema))]
    return [column.path for column in columns if column.physical_type == _TEXT and column.path == column.name]
