"""docs/explanation/faults.md names tests: each of them must exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "explanation" / "faults.md"


def test_every_test_that_the_page_names_exists() -> None:
    defined = set(re.findall(r"def test_(\w+)", "\n".join(path.read_text() for path in TESTS.rglob("test_*.py"))))
    named = re.findall(r"`([a-z0-9_]+)(…?)`", PAGE.read_text())
    assert len(named) > 100
    missing = [
        name
        for name, cut in named
        if name not in defined and not (cut and any(one.startswith(name) for one in defined))
    ]
    assert missing == []
