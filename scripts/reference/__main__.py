"""Writes the generated pages of docs/reference from the code: `python scripts/reference`. With --check it writes
nothing and says which pages are stale.

What stands above the mark in a page is written by hand and kept. `make reference` runs it, `make check` checks.
"""

import sys
from pathlib import Path

import commands
import licences
import metrics
import resources
import settings

PAGES = {
    "settings.md": settings.page,
    "commands.md": commands.page,
    "resources.md": resources.page,
    "metrics.md": metrics.page,
    "licences.md": licences.page,
}
FOLDER = Path(__file__).parents[2] / "docs" / "reference"
MARK = "<!-- From here on made by `make reference` from the code: change it there. -->\n"


def main() -> int:
    checks, stale = "--check" in sys.argv[1:], []
    for name, page in PAGES.items():
        path = FOLDER / name
        before = path.read_text()
        head, mark, _ = before.partition(MARK)
        if not mark:
            sys.exit(f"{path} has lost the line that says where its generated part begins: {MARK}")
        after = head + MARK + "\n" + page()
        if after != before:
            stale.append(name)
            if not checks:
                path.write_text(after)
    if checks and stale:
        sys.exit(f"docs/reference is stale ({', '.join(stale)}): run make reference")
    print(f"reference pages: {'up to date' if not stale else 'written: ' + ', '.join(stale)}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
