"""Data sets that stand beside the checkout, not in it: where they are, and the mark of a test that needs one."""

import gzip
import os
import shutil
from pathlib import Path

import pytest
import require

FOLDER = Path(os.environ.get("SKERRY_DATA", Path(__file__).parents[2] / "shared" / "data"))


def needs(name: str) -> pytest.MarkDecorator:
    """The test reads `name`.gz of FOLDER."""
    return require.requires(
        "data", (FOLDER / f"{name}.gz").is_file(), f"no {name}.gz beside the checkout; name its folder with SKERRY_DATA"
    )


def unpacked(name: str, folder: Path) -> Path:
    """`name`.gz of FOLDER as the file `name` in `folder`."""
    with gzip.open(FOLDER / f"{name}.gz") as packed, (folder / name).open("wb") as out:
        shutil.copyfileobj(packed, out)
    return folder / name
