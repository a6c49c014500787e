"""Rows of an example: what is kept of earlier runs, what a missing data set does, and where counts disagree."""

import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from examples import energy, main, results, rows, score
from examples.battery import Battery
from examples.client import Answer
from examples.loop import Played
from examples.results import Row
from examples.scenario import Bar
from examples.spans import Asked, Spans
from examples.traffic import SCENARIO
from examples.worse import Worse
from skerry.core import errors, specs
from skerry.core.tasks import Forecast

ROW = Row("traffic", "mae", 131.0, "≤ 150", True, (0,), "metro.csv", baseline=302.0, n=4457)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """`main` takes them for itself."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def answer(index: int, value: float = 10.0, *, node: str = "edge-1", digest: str = "b", sure: float = 0.5) -> Answer:
    return Answer(index, f"final-{index}", node, digest, sure, (value,), (value - 1,), (value + 1,), "token")


def asked(truth: list[float]) -> Asked:
    y = np.array(truth, dtype=np.float32)[:, None]
    naive = np.stack([y + 4, np.where(y > 12, np.nan, y + 2)], axis=1)
    return Asked(np.zeros((len(y), 2, 1), np.float32), y, naive, np.arange(len(y), dtype=np.int64), 1)


def loads(truth: list[float]) -> Asked:
    """Two steps of a quarter of an hour from the same moment on; the last value was 25."""
    y = np.array([truth, truth], dtype=np.float32).T
    naive = np.full((len(y), 1, 2), 25.0, dtype=np.float32)
    return Asked(np.zeros((len(y), 2, 1), np.float32), y, naive, np.arange(len(y), dtype=np.int64), 1)


def plan(index: int, value: float, *, node: str = "edge-1", digest: str = "b") -> Answer:
    made = answer(index, value, node=node, digest=digest)
    return replace(made, value=made.value * 2, low=made.low * 2, high=made.high * 2)


MODEL = specs.parse_edge_model(
    "plant",
    {
        "task": "Forecast",
        **Forecast("load", "kWh", (100, 500, 900), 900, horizon=2, steps=2, naive=(1,)).to_json(),
        "input": {"name": "window", "datatype": "FP32", "shape": [2, 1]},
    },
)
PLANT = replace(energy.SCENARIO, battery=Battery(capacity_kwh=10, power_kw=400, efficiency=1.0))


def test_figures_come_from_the_replies_of_one_version_alone() -> None:
    answers = [answer(0), answer(1), answer(2, 99.0, digest="a"), answer(3, node="edge-2")]
    found = score.of(answers, asked([10.5, 12.0, 10.0, 10.0]), "b", (1, 168))
    assert found is not None
    assert (found.n, found.answered_by) == (3, {"edge-1": 2, "edge-2": 1})
    assert found.mae == pytest.approx((0.5 + 2 + 0) / 3) and found.coverage == pytest.approx(2 / 3)
    assert found.naive == {1: 4.0, 168: 2.0}, "where last week is not known it does not count"
    assert score.of(answers, asked([0.0] * 4), "c", (1, 168)) is None


def test_the_hardest_tenth_is_that_of_the_least_confidence() -> None:
    answers = [answer(index, sure=index / 20) for index in range(20)]
    found = score.of(answers, asked([13.0, 13.0] + [11.0] * 18), "b", (1, 168))
    assert found is not None and found.hardest_tenth_ratio == pytest.approx(3 / 1.2)


def test_rows_of_other_scenarios_and_seeds_stay_and_those_of_the_same_make_room(tmp_path: Path) -> None:
    old = [ROW, replace(ROW, metric="gone"), replace(ROW, seeds=(1,)), replace(ROW, scenario="energy")]
    results.write(results.merged(old, [replace(ROW, value=140.0)]), tmp_path / "results.json")
    read = results.read(tmp_path / "results.json")
    assert [(row.scenario, row.metric, row.seeds, row.value) for row in read] == [
        ("energy", "mae", (0,), 131.0),
        ("traffic", "mae", (0,), 140.0),
        ("traffic", "mae", (1,), 131.0),
    ]


@pytest.mark.parametrize("passed", [None, False], ids=["no data", "broke off"])
def test_what_could_not_be_measured_takes_no_measured_rows_place(passed: bool | None) -> None:
    empty = replace(ROW, value=None, passed=passed)
    assert results.merged([ROW], [empty]) == [ROW]
    assert results.merged([replace(empty, note="before")], [empty]) == [empty]


def test_a_torn_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"rows": [')
    with pytest.raises(errors.InputError, match=r"results\.json holds no rows of results"):
        results.read(tmp_path / "results.json")


def test_a_row_says_whose_answers_it_is_of() -> None:
    """Two answers by the new version, one by the first, one by the worse: naive forecasts are nobody's."""
    played = Played(
        run="run-2",
        rollout="out-2",
        final=[plan(0, 30.0), plan(1, 30.0, node="edge-2")],
        before=[plan(0, 20.0, digest="a")],
        worse=Worse(refusal="no", rollout="out-3", is_found=True, why="worse", answers=[plan(1, 50.0, digest="w")]),
    )
    cut = Spans(Path("base.csv"), Path("between.csv"), loads([]), loads([30.0, 40.0]), 2, {"gap": 1})
    made = {row.metric: row for row in rows.of_played(PLANT, 3, played, cut, MODEL, "sum")}
    whose = {metric: (row.version_digest, row.n, dict(row.answered_by)) for metric, row in made.items()}
    both = {"edge-1": 1, "edge-2": 1}
    assert whose["mae"] == whose["peak_kw_forecast"] == ("b", 2, both)
    assert whose["mae_of_first_version"] == ("a", 1, {"edge-1": 1})
    assert whose["worse_refused_by_gates"] == whose["worse_rolled_back"] == ("w", 1, {"edge-1": 1})
    for name in ("mae_naive_1", "peak_kw_no_battery", "peak_kw_no_forecast", "peak_kw_naive_1"):
        assert whose[name] == ("", 2, {}), name
    assert (made["mae"].value, made["mae_of_first_version"].value) == (5.0, 10.0)
    assert made["worse_rolled_back"].passed is True and made["answered"].note == "left out: gap 1"
    assert made["peak_kw_no_battery"].value == 160.0
    played.worse = Worse(rollout="out-3", why="no verdict; aborted by hand", answers=played.worse.answers)
    again = {row.metric: row.passed for row in rows.of_played(PLANT, 3, played, cut, MODEL, "sum")}
    assert (again["worse_refused_by_gates"], again["worse_rolled_back"]) == (False, False)


def test_the_table_shows_mean_and_worst_and_one_missed_bar_is_a_missed_bar() -> None:
    told = results.table([ROW, replace(ROW, seeds=(1,), value=155.0, passed=False)])
    cells = [cell.strip() for cell in told.splitlines()[2].split("|")[1:-1]]
    assert cells == ["traffic", "mae", "143", "155", "302", "≤ 150", "no", "0, 1", "4,457"]
    low = results.table([replace(ROW, metric="coverage", value=value, bar="0.75–0.85") for value in (0.76, 0.83)])
    assert low.splitlines()[2].split("|")[4].strip() == "0.76"


def test_a_bar_has_two_ends() -> None:
    assert Bar(0.75, 0.85).holds(0.85) and not Bar(0.75, 0.85).holds(0.86) and not Bar(low=1.6).holds(1.59)
    assert [str(bar) for bar in SCENARIO.bars.values()] == [
        "≤ 150",
        "0.75–0.85",
        "≥ 1.6",
        "≥ 4300",
        "≥ 1",
        "≥ 1",
        "≥ 0.5",
    ]


def test_a_missing_data_set_is_named_and_fails_the_command_unless_it_may_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKERRY_DATA", str(tmp_path))
    monkeypatch.setattr(main, "RESULTS", tmp_path / "results.json")
    for more, code in (([], 1), (["--allow-missing"], 0)):
        monkeypatch.setattr("sys.argv", ["examples", "--only", "traffic", "--seeds", "0", *more])
        assert main.main() == code
    said = capsys.readouterr()
    assert said.err.count("metro_interstate_traffic_volume.csv.gz is not there: name its folder with SKERRY_DATA") == 1
    found = results.read(tmp_path / "results.json")
    assert {row.metric for row in found} == set(SCENARIO.bars)
    assert all(row.passed is None and row.value is None and "traffic_volume" in row.data for row in found)


def test_counts_of_the_agents_that_differ_from_ours_are_told() -> None:
    captured = 'skerry_spool_examples_total{outcome="captured"}'
    own = {"edge-1": {captured: 2.0, 'skerry_feedback_total{outcome="recorded"}': 1.0}}
    played = Played(
        run="traffic-auto-1",
        runs=["traffic-auto-1"],
        final=[answer(0), answer(1)],
        told={("edge-1", "RECORDED"): 1, ("edge-1", "NOT_KEPT"): 3},
        metrics=own,
    )
    assert rows.disagreements(played) == []
    played.replay, played.runs = [answer(9)], ["another"]
    wrong = rows.disagreements(played)
    assert len(wrong) == 2 and "2.0, and 3 were counted here" in wrong[0] and "traffic-auto-1" in wrong[1]


def test_a_loop_that_did_not_close_fails_the_command_and_says_why() -> None:
    made = rows.of_broken(SCENARIO, 1, "GatesInconclusive: imported-coverage")
    assert all(row.passed is False and row.value is None for row in made)
    assert results.failures(made, allow_missing=True) == [
        "traffic, seed 1: broke off: GatesInconclusive: imported-coverage"
    ]
    assert "no data" in results.table(made)


def test_counts_that_disagree_fail_the_command_and_rows_of_earlier_runs_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(main, "_play", lambda example, seed, *_: ([replace(ROW, seeds=(seed,))], ["edge-1: 2, not 3"]))
    results.write([replace(ROW, scenario="energy")], tmp_path / "results.json")
    monkeypatch.setattr("sys.argv", ["examples", "--only", "traffic", "--seeds", "4,5"])
    assert main.main() == 1
    assert capsys.readouterr().err.count("edge-1: 2, not 3") == 2
    found = results.read(tmp_path / "results.json")
    assert [(row.scenario, row.seeds) for row in found] == [("energy", (0,)), ("traffic", (4,)), ("traffic", (5,))]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        pytest.param(["--seeds", "a"], "no list of whole numbers", id="seeds that are none"),
        pytest.param(["--seeds", ","], "no list of whole numbers", id="no seeds"),
        pytest.param(["--only", "weather"], "choose of traffic, energy", id="no such example"),
    ],
)
def test_arguments_that_cannot_be_are_told(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["examples", *words])
    with pytest.raises(SystemExit, match="2"):
        main.main()
    assert told in capsys.readouterr().err


def test_what_cannot_be_unpacked_is_named_and_what_broke_off_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKERRY_DATA", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(main.tempfile, "tempdir", None)
    monkeypatch.setattr(main, "RESULTS", tmp_path / "results.json")
    (tmp_path / f"{SCENARIO.data}.gz").write_bytes(b"no gzip")
    monkeypatch.setattr("sys.argv", ["examples", "--only", "traffic", "--seeds", "0"])
    with pytest.raises(errors.InputError, match=r"traffic_volume\.csv\.gz cannot be unpacked"):
        main.main()
    (folder,) = tmp_path.glob("skerry-example-*")
    assert f"state and logs: {folder}" in capsys.readouterr().err
    monkeypatch.setattr(main, "_play", _interrupted)
    with pytest.raises(KeyboardInterrupt):
        main.main()
    assert list(tmp_path.glob("skerry-example-*")) == [folder], "whoever ends it wants nothing kept"


def _interrupted(*_: object) -> None:
    raise KeyboardInterrupt
