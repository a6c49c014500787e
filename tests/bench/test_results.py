"""Rounds are summed up by their medians, and what is written can be read by its documented names."""

import json
from pathlib import Path

from bench import results
from bench.results import Cell, Footprint, Results, Sample

CELL = Cell("skerry", "cnn", True, 16)


def _samples(*cpu: float, errors: int = 0) -> list[Sample]:
    return [Sample(one, one * 10, one * 20, 1e6 / one, errors) for one in cpu]


def test_a_row_is_the_median_of_its_rounds_with_their_spread_and_all_errors() -> None:
    row = results.summed_up(CELL, _samples(70.0, 200.0, 72.0, errors=2), Footprint(80.04, 0.2504))
    assert (row.cpu_us_per_request, row.p50_us, row.p99_us) == (72.0, 720.0, 1440.0)
    assert (row.cpu_us_least, row.cpu_us_most, row.rounds, row.errors) == (70.0, 200.0, 3, 6)
    assert (row.rss_mb, row.ready_s, row.cell) == (80.0, 0.25, CELL)


def test_what_is_written_has_the_documented_fields_and_is_read_back(tmp_path: Path) -> None:
    row = results.summed_up(CELL, _samples(70.0), Footprint(80.0, 0.25))
    made = Results({"cpu": "x", "flags": ["avx2"], "cores": 2}, {"skerry": "0.1"}, [row], {"kserve": "away"}, [row])
    results.write(made, tmp_path / "new" / "latest.json")
    found = json.loads((tmp_path / "new" / "latest.json").read_text())
    assert {"machine", "versions", "rows"} <= found.keys()
    documented = {"server", "model", "tls", "connections", "cpu_us_per_request", "p50_us", "p99_us"}
    assert documented | {"rps", "rss_mb", "ready_s", "errors"} <= found["rows"][0].keys()
    assert results.read(tmp_path / "new" / "latest.json") == made
