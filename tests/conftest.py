"""Hooks of the whole suite: what a machine lacks is skipped or failed by `require`, and told at the very end."""

from collections import Counter
from typing import Any

import pytest
import require


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requires(name, available, why): what the test needs, see tests/require.py")


def pytest_runtest_setup(item: pytest.Item) -> None:
    require.check(list(item.iter_markers("requires")))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Every skipped test is told, with its reason: a test that nobody misses is no test."""
    skipped = terminalreporter.stats.get("skipped", [])
    if not skipped:
        terminalreporter.write_line("nothing was left out")
        return
    reasons = Counter(_reason(report) for report in skipped)
    terminalreporter.write_sep("-", f"left out: {len(skipped)} tests")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"  {count:>4}  {reason}")


def _reason(report: Any) -> str:
    _, _, text = report.longrepr if isinstance(report.longrepr, tuple) else ("", 0, str(report.longrepr))
    return str(text).removeprefix("Skipped: ")
