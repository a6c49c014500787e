"""Plays it: a first version from the readings before the first judged window, the level of the residuals from its own
replies to them, then every reading that comes after, one gRPC call each, to one node, which warns by itself.

The next reading is the truth of each forecast; nobody tells any. Warnings are read from the agent's log, and their
number must be that of the agent's own count.
"""

import csv
from collections.abc import Mapping

import numpy as np

from examples import turn
from examples.client import Agents, Answer
from examples.machine_temperature import readings, report
from examples.machine_temperature.readings import Readings
from examples.own import Place, Played
from examples.stack import Stack, moving
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot
from skerry.cli.system import process

MODEL, NODE, NODES = "machine-temperature", "edge-1", 2
FOR = 6  # readings: half an hour
MARGIN = 1.5  # times the largest level of the readings before
_FOLDER = __file__.rpartition("/")[0]
_HOLDOUT = "0.2"
_TOLD_EVERY = 4000  # readings


def play(place: Place) -> Played:
    """Raises SkerryError where a step that everything else needs does not come."""
    table, windows = (place.tables[name] for name in report.FILES)
    known = readings.read(table, windows)
    with Stack(place.state, NODES, place.tell) as stack:
        run = _first_version(stack, place, known)
        with Agents(MODEL, MODEL, {NODE: stack.nodes[NODE]}) as agents:
            before = _ask(agents, known, range(known.first_judged), place)
            level = MARGIN * readings.level(report.residuals(known, before), FOR)
            place.tell(f"warns from {FOR} residuals above {level:.3f} in a row")
            turn.change(stack, place.stage, MODEL, {"warn": {"residualAbove": round(level, 3), "for": FOR}})
            _until_it_watches(stack)
            after = _ask(agents, known, range(known.first_judged, len(known.time)), place)
        raised = _raised(stack)
        now = stack.skerry_json("warnings")
        counted = sum(agent["raised"] for agent in now)
        unlike = (
            [] if counted == len(raised) else [f"the agents raised {counted} warnings, their log tells {len(raised)}"]
        )
        place.tell(f"raised: {', '.join(map(str, np.array(raised, dtype='datetime64[ms]').astype('datetime64[m]')))}")
        return report.rows(place, known, before, after, raised, level, run=run, cpu_s=stack.cpu_s()), unlike


def _first_version(stack: Stack, place: Place, known: Readings) -> str:
    """The name of its run."""
    base = place.stage / "base.csv"
    with base.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "value"])
        times = known.time[: known.first_judged].astype("datetime64[ms]").astype("datetime64[s]")
        writer.writerows(zip(map(str, times), known.value[: known.first_judged].tolist(), strict=True))
    stack.skerry("models", "apply", f"{_FOLDER}/model.yaml")
    turn.change(stack, place.stage, MODEL, {"retrain": {"seed": place.seed}})
    options = ("--time-column", "timestamp", "--holdout", _HOLDOUT)
    place.tell(stack.skerry("datasets", "import", str(base), "--model", MODEL, *options).strip())
    stack.skerry("retrain", MODEL, "--reason", "the first version", "--wait")
    stack.until("every node serves the first version", _serves, turn.ROLLOUT_S)
    stack.until("its rollout has ended", lambda seen: not moving(seen), turn.ROLLOUT_S)
    return turn.runs(stack.look())[-1].name


def _serves(seen: Snapshot) -> bool:
    return len(event_log.nodes_on(seen, MODEL)) == NODES


def _until_it_watches(stack: Stack) -> None:
    """The node's policy comes with its next desired state."""
    gauge = f'skerry_warnings{{model="{MODEL}"}}'
    stack.until("the node has its policy", lambda _: gauge in stack.metrics(NODE), turn.POLICY_S)


def _ask(agents: Agents, known: Readings, which: range, place: Place) -> list[Answer]:
    """One reading after the other, in the one sequence that the series is."""
    answers = []
    for index in which:
        flags: Mapping[str, bool] = {"sequence_start": True} if index == 0 else {}
        piece = np.array([[known.value[index]]], dtype=np.float32)
        answers.append(agents.ask(index, f"reading-{index}", piece, int(known.time[index]), flags))
        if index % _TOLD_EVERY == 0:
            place.tell(f"{index} of {len(known.time)} readings")
    return answers


def _raised(stack: Stack) -> list[int]:
    """When the node warned, by the series' own time, from its log."""
    log = stack.system.layout.log(NODE)
    events = [one for one in process.read_events(log, 0) if one.get("event") == "warning_raised"]
    return [int(str(one["series_unix_ms"])) for one in events]
