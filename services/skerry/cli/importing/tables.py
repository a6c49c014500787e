"""CSV and parquet files, or folders of their parts, as labeled rows or windows. Their cells are read by `columns`."""

import codecs
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry.cli.importing import columns, table_bounds, windows
from skerry.cli.importing.labeled import LabeledRows
from skerry.core import errors
from skerry.core.datasets import Input

MAX_FILE_BYTES = 2 << 30
MAX_PARTS = 10_000
SUFFIXES = (".csv", ".parquet")
# Columns in which pandas and pyarrow keep row numbers; nobody means them as a feature.
_INDEX = re.compile(r"|Unnamed: \d+(_level_\d+)?|__index_level_\d+__")


@dataclass(frozen=True, slots=True)
class Shape:
    """How rows become samples. `window` 0: each row is one; else `window` rows, labeled by the last. `group`: the
    column that tells machines (cameras, patients) apart; no window holds rows of two."""

    label: str
    features: Sequence[str] = ()
    window: int = 0
    stride: int = 1
    group: str = ""


def read(path: Path, shape: Shape, row: Input) -> LabeledRows:
    """`x` [n, features] or [n, window, features] in the row's datatype where every number fits, `y` [n] labels as they
    stand in the file. Raises InputError, TooLargeError."""
    table = load(path, [name for name in (shape.label, shape.group) if name], shape.features, row)
    names = table.column_names
    check_columns(path, names, {"--label-column": [shape.label], "--group-column": [shape.group]})
    features = _features(path, names, shape)
    values = columns.numbers(path, table, features, row)
    labels = columns.labels(path, table, shape.label)
    if not shape.window:
        return LabeledRows(str(path), values, labels)
    groups = columns.texts(path, table, shape.group) if shape.group else None
    return windows.cut(str(path), values, labels, groups, shape.window, shape.stride, features)


def parts(path: Path) -> list[Path]:
    """The files of a table: itself, or in a folder as Spark and others write it all files of one kind, by name; empty
    for a folder without any. Raises InputError for a folder that holds both kinds, or partitions by a column."""
    if not path.is_dir():
        return [path]
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "_")))
    if partitioned := [entry for entry in inside if entry.is_dir() and "=" in entry.name]:
        raise errors.InputError(
            f"{path} is split by a column into folders like {partitioned[0].name!r}: write it without partitions"
        )
    files = [entry for entry in inside if entry.is_file() and entry.suffix.lower() in SUFFIXES]
    if len({entry.suffix.lower() for entry in files}) > 1:
        raise errors.InputError(f"{path} holds CSV and parquet files: name one of them")
    return [entry for entry in files if entry.stat().st_size][:MAX_PARTS]


def load(path: Path, texts: Sequence[str], features: Sequence[str], row: Input) -> Any:
    """A pyarrow Table of at least one row, each column with a name of its own. `texts`: columns that stay the texts
    that they are; `features`: columns of numbers that are needed (empty: all others). Raises InputError,
    TooLargeError."""
    import pyarrow as pa

    files = parts(path)
    size = sum(file.stat().st_size for file in files)
    if not files:
        raise errors.InputError(f"{path} holds no CSV or parquet file")
    if size > MAX_FILE_BYTES:
        raise errors.TooLargeError(f"{path} has {size} bytes: at most {MAX_FILE_BYTES} are read")
    is_parquet = files[0].suffix.lower() == ".parquet"
    try:
        table_bounds.check(path, map(table_bounds.of_parquet if is_parquet else table_bounds.of_csv, files))
        tables = [
            _read_parquet(file, texts, features) if is_parquet else _read_csv(file, texts, features, row)
            for file in files
        ]
        table = tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")
    except UnicodeDecodeError as exc:
        raise errors.InputError(f"{path} is not UTF-8 text: save it as UTF-8 (CSV UTF-8)") from exc
    except (pa.ArrowException, OSError, KeyError) as exc:
        text = str(exc).splitlines()[0] if str(exc) else type(exc).__name__
        hint = ": save it as UTF-8 (CSV UTF-8)" if "UTF8" in text or "UTF-8" in text else ""
        raise errors.InputError(f"{path} cannot be read as {files[0].suffix[1:] or 'a table'}: {text}{hint}") from exc
    _check_names(path, table)
    if not table.num_rows:
        raise errors.InputError(f"{path} has no rows")
    return table


def check_columns(path: Path, names: Sequence[str], wanted: Mapping[str, Sequence[str]]) -> None:
    """Raises InputError for a column that is not among `names`; `wanted` holds those that each option names."""
    for option, columns_of_it in wanted.items():
        if missing := [name for name in columns_of_it if name and name not in names]:
            raise errors.InputError(
                f"{path} has no column {missing[0]!r} ({option}): it has {_list(names)}{_hint(names)}"
            )


def _read_parquet(path: Path, texts: Sequence[str], features: Sequence[str]) -> Any:
    """All columns but those of lists and structures, which nobody takes. Raises InputError for one that is needed."""
    import pyarrow as pa
    from pyarrow import parquet

    # A text that a dictionary page holds once stays one text, however many rows name it.
    file = parquet.ParquetFile(path, read_dictionary=table_bounds.text_columns(path))
    nested = [field for field in file.schema_arrow if pa.types.is_nested(field.type)]
    if needed := [field for field in nested if not features or field.name in (*features, *texts)]:
        raise errors.InputError(
            f"{path}: column {needed[0].name!r} holds {needed[0].type}, not numbers; name the features with --feature"
        )
    return file.read(
        [name for name in file.schema_arrow.names if name not in {field.name for field in nested}] if nested else None
    )


def _read_csv(path: Path, texts: Sequence[str], features: Sequence[str], row: Input) -> Any:
    """Labels, groups and times stay the texts that they are ('01' is no number). Of unsigned 64-bit features every
    digit counts, which type inference would lose."""
    import pyarrow as pa
    from pyarrow import csv

    with path.open("rb") as source:
        if source.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise errors.InputError(f"{path} is UTF-16 text: save it as UTF-8 (CSV UTF-8)")
    kinds = {name: pa.string() for name in texts}
    if row.datatype == "UINT64":
        with path.open("rb") as source:
            head = csv.open_csv(source).schema.names
        kinds = {name: pa.uint64() for name in features or head} | kinds
    return csv.read_csv(path, convert_options=csv.ConvertOptions(column_types=kinds, strings_can_be_null=False))


def _check_names(path: Path, table: Any) -> None:
    try:
        names = list(table.column_names)
    except UnicodeDecodeError as exc:
        raise errors.InputError(f"{path}: its column names are not UTF-8: save it as UTF-8 (CSV UTF-8)") from exc
    if twice := [name for name in names if names.count(name) > 1]:
        raise errors.InputError(f"{path} has two columns {twice[0]!r}: give each its own name")


def _features(path: Path, names: Sequence[str], shape: Shape) -> list[str]:
    if shape.features:
        check_columns(path, names, {"--feature": shape.features})
        if taken := [name for name in shape.features if name in (shape.label, shape.group)]:
            raise errors.InputError(f"{path}: column {taken[0]!r} cannot be a feature too (--feature)")
        return list(shape.features)
    features = [name for name in names if name != shape.label and not (shape.group and name == shape.group)]
    if index := [name for name in features if _INDEX.fullmatch(name)]:
        raise errors.InputError(
            f"{path}: column {index[0]!r} holds row numbers as pandas writes them, not a feature: save the table "
            "without its index, or name the features with --feature"
        )
    if not features:
        raise errors.InputError(f"{path} has no column beside {shape.label!r}: no feature is left")
    return features


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(name[:60] for name in names[:40])
    return shown if len(names) <= 40 else f"{shown} and {len(names) - 40} more"


def _hint(names: Sequence[str]) -> str:
    separator = next((sign for sign in (";", "\t", "|") if len(names) == 1 and sign in names[0]), "")
    return f": it is separated by {separator!r}, and CSV by commas is read" if separator else ""
