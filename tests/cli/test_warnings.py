"""`skerry warnings`: an agent that is away hides no warning of another."""

from pathlib import Path
from typing import Any

import pytest
from cli_system import StillSystem

from skerry.cli import agent_client
from skerry.core import errors


def told(address: str, timeout_s: float) -> dict[str, Any]:
    if address.startswith("away"):
        raise errors.UnavailableError(f"the agent at {address} does not say what it warns of: refused")
    warning = {"model": "load", "series": "press-7", "sinceUnixMs": 1, "message": "3 forecasts in a row are off"}
    return {"agent": address, "startedUnixMs": 1, "raised": 1, "notKept": 0, "warnings": [warning]}


def test_an_agent_that_is_away_hides_no_warning_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_client, "warnings_of", told)
    done = StillSystem(tmp_path).run("warnings", "--agent", "away:1", "--agent", "here:2")
    assert done.exit_code == 4
    assert "press-7" in done.stdout and "here:2: 1 raised and not over" in done.stdout
    assert "the agent at away:1 does not say what it warns of" in done.stderr
