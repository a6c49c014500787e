"""Plays it: a first version from the base, on the final as it stands deployed; then a new furnace, the replay behind it
with the inspector's truths, the run that the policy starts, and the final behind the furnace before and after.

No truth of the final is ever told, so nothing trains on it.
"""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from examples import turn
from examples.own import Place, Played
from examples.stack import Stack, moving
from examples.steel_plates import offline, plates, report
from examples.steel_plates.inspection import Graded, Inspection
from examples.steel_plates.plates import Plates
from skerry.cli import model_file
from skerry.cli.demo import event_log
from skerry.cli.demo.event_log import Snapshot
from skerry.core import errors, specs

MODEL, NODES = "steel-plates", 2
_DISK_S = 20.0
_FILE = Path(__file__).parent / "model.yaml"


def play(place: Place) -> Played:
    """Raises SkerryError where a step that everything else needs does not come."""
    every = plates.read(place.tables[report.TABLE])
    parts = plates.split(every)
    final, replay = parts["final"], plates.behind_furnace(parts["replay"])
    place.tell(f"{len(every)} plates: {', '.join(f'{name} {len(part)}' for name, part in parts.items())}")
    name, spec = model_file.read(_FILE)
    with offline.beside(every, specs.parse_edge_model(name, spec), place.seed) as validating:
        played = _play(place, parts["base"], replay, final)
        for one in validating:
            played.offline.append(validated := one.result())
            place.tell(f"offline, {validated.way}: macro-recall {validated.recalls.mean():.4f}")
    return report.rows(place, played), report.disagreements(played)


def _play(place: Place, base: Plates, replay: Plates, final: Plates) -> report.Played:
    played = report.Played(final=final, furnace=plates.behind_furnace(final))
    with Stack(place.state, NODES, place.tell) as stack, Inspection(MODEL, stack.nodes) as inspection:
        _first_version(stack, place, base)
        played.deployed = _ask_all(inspection, final, "final")
        played.before = _ask_all(inspection, played.furnace, "before")
        index = _until_the_policy_fires(stack, inspection, replay, played)
        run, made = turn.finish_run(stack, place.stage, MODEL, 1, played.notes.append)
        played.run = run.name
        if made:
            _roll_out(stack, inspection, replay, index, played)
        played.after = _ask_all(inspection, played.furnace, "after")
        played.after_old = _ask_all(inspection, final, "after-old")
        played.told = dict(inspection.told)
        played.metrics = _counted(stack, report.kept(played))
        played.cpu_s = stack.cpu_s()
    for note in played.notes:
        place.tell(note)
    return played


def _first_version(stack: Stack, place: Place, base: Plates) -> None:
    table = place.stage / "base.csv"
    plates.write(base, table)
    stack.skerry("models", "apply", str(_FILE))
    turn.change(stack, place.stage, MODEL, {"retrain": {"seed": place.seed}})
    place.tell(stack.skerry("datasets", "import", str(table), "--model", MODEL, "--label-column", "fault").strip())
    stack.skerry("retrain", MODEL, "--reason", "the first version", "--wait")
    stack.until("every node serves the first version", _serves, turn.ROLLOUT_S)
    stack.until("its rollout has ended", lambda seen: not moving(seen), turn.ROLLOUT_S)


def _serves(seen: Snapshot) -> bool:
    return len(event_log.nodes_on(seen, MODEL)) == NODES


def _is_tried(seen: Snapshot) -> bool:
    return not moving(seen) or any(number > 1 for _, number in event_log.nodes_on(seen, MODEL).values())


def _until_the_policy_fires(stack: Stack, inspection: Inspection, replay: Plates, played: report.Played) -> int:
    """The index of the first plate that is still to be asked: half of them are for the canary."""
    for index in range(len(replay)):
        _inspect(inspection, replay, index, played)
        if index % turn.LOOK_EVERY == 0 and len(turn.runs(stack.look())) > 1:
            return index + 1
        if index + 1 == len(replay) // 2:
            break
    turn.wait_for_policy(stack, inspection, MODEL, 1, played.notes.append)
    return index + 1


def _roll_out(stack: Stack, inspection: Inspection, replay: Plates, index: int, played: report.Played) -> None:
    """The replay goes on while the canary is judged: it waits until a node has the new version, for a line makes no
    three hundred plates in the seconds that this takes."""
    stack.until("the rollout begins", lambda seen: len(turn.rollouts(seen)) > 1, turn.ROLLOUT_S)
    stack.until("the canary serves the new version", _is_tried, turn.ROLLOUT_S)
    for at in range(index, len(replay)):
        _inspect(inspection, replay, at, played)
        if at % turn.LOOK_EVERY == 0 and not moving(stack.look()):
            break
    inspection.settle()
    rollout = turn.end_rollout(stack, played.notes.append)
    played.rollout, phase = rollout.name, str(rollout.status.get("phase", ""))
    if phase != "Succeeded":
        played.notes.append(f"{rollout.name} ended {phase}: the first version answered the final again")


def _inspect(inspection: Inspection, replay: Plates, index: int, played: report.Played) -> None:
    graded = inspection.ask(replay, index, "replay")
    inspection.tell(graded, int(replay.y[index]))
    played.replay.append(graded)


def _counted(stack: Stack, kept: Mapping[str, int]) -> Mapping[str, Mapping[str, float]]:
    """The agents' metrics when what they answered last is on their disks, too; as they are where it never is."""

    def on_disk(_: Snapshot) -> bool:
        return all(stack.metrics(node).get(report.CAPTURED) == count for node, count in kept.items())

    with contextlib.suppress(errors.UnavailableError):
        stack.until("every answer is on a disk", on_disk, _DISK_S)
    return {node: stack.metrics(node) for node in stack.nodes}


def _ask_all(inspection: Inspection, asked: Plates, name: str) -> list[Graded]:
    answers = [inspection.ask(asked, index, name) for index in range(len(asked))]
    if not answers:
        raise errors.UnavailableError(f"no plate of {name} was answered")
    return answers
