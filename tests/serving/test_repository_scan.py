"""Which models a repository's folder holds."""

from pathlib import Path

import pytest

from skerry.core import errors
from skerry.serving import repository


def test_a_folder_that_nobody_made_yet_holds_no_model(tmp_path: Path) -> None:
    assert repository.scan(tmp_path / "teacher") == []


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "teacher").write_text("a file")
    with pytest.raises(errors.UnavailableError, match="cannot list"):
        repository.scan(tmp_path / "teacher")
