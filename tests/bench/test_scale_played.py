"""The simulator plays a small fleet for real: processes, certificates, an enrolment, a rollout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scale import check

ROOT = Path(__file__).parents[2]
SHORT = ("--nodes", "20", "--sqlite", "--beat-seconds", "0.5", "--soak-seconds", "1", "--idle-seconds", "2")


@pytest.mark.long
def test_twenty_nodes_enrol_and_take_a_version(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench.scale.main", *SHORT, "--only", "enrol,first,idle"]
    done = subprocess.run(
        [*command, "--json", str(tmp_path / "played.json")],
        cwd=ROOT, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    played = json.loads((tmp_path / "played.json").read_text())
    first = check.phase(played, "first")
    assert first is not None and first["figures"]["on_it"] == 20 and first["writes"]["all kinds"] > 0
    assert played["ledger"]["swaps"] == 20 and played["ledger"]["most_in_flight"] <= 2
    assert check.idle_share(played, "gateways") > 0
    assert [one["name"] for one in played["phases"] if not one["played"]] == [
        "good", "bad", "gateway-killed", "controller-killed", "aborted", "cut",
    ]  # fmt: skip
