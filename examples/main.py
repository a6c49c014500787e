"""`python -m examples.main [--only traffic,energy] [--seeds 0,1,2]`: plays each example through the whole loop on this
machine, prints the table, writes results.json and a picture of each.

Data sets lie in SKERRY_DATA, gzipped. One that is missing gives a row that says so, and the command fails unless
--allow-missing is given.
"""

import argparse
import gzip
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import grpc

from examples import client, energy, loop, plot, results, rows, scenario, spans, traffic, worse
from examples.results import Row
from examples.scenario import Scenario
from examples.stack import Stack, Tell
from skerry.cli import model_file
from skerry.core import errors, specs
from skerry.core.tasks import Forecast

RESULTS = Path(__file__).parent / "results.json"
SCENARIOS = {one.name: one for one in (traffic.SCENARIO, energy.SCENARIO)}
NODES = 2


def main() -> int:
    given = _arguments()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # the system's processes have sessions of their own
        signal.signal(number, _interrupted)
    began, made, known, wrong = time.monotonic(), list[Row](), results.read(RESULTS), list[str]()
    for name in given.only.split(","):
        for seed in map(int, given.seeds.split(",")):
            with_worse = not any(row.scenario == name for row in made)  # once is enough
            new, unlike = _play(SCENARIOS[name], seed, Path(given.keep) if given.keep else None, began, with_worse)
            made, wrong = [*made, *new], [*wrong, *unlike]
            results.write(results.merged(known, made), RESULTS)
    print(results.table(results.merged(known, made)))
    wrong += results.failures(made, allow_missing=given.allow_missing)
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


def _interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples", description=__doc__)
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, separated by commas")
    parser.add_argument("--seeds", default="0,1,2", help="seeds of the training, separated by commas")
    parser.add_argument("--allow-missing", action="store_true", help="a data set that is not there is no failure")
    parser.add_argument("--keep", help="keep state and logs in this folder")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - set(SCENARIOS):
        parser.error(f"there is no example {min(unknown)!r}: choose of {', '.join(SCENARIOS)}")
    return given


def _play(
    example: Scenario, seed: int, keep: Path | None, began: float, with_worse: bool
) -> tuple[Sequence[Row], Sequence[str]]:
    """The rows, and where the agents' own counts are not ours."""

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {example.name}/{seed}  {text}", file=sys.stderr, flush=True)

    packed = Path(os.environ.get("SKERRY_DATA", "")) / f"{example.data}.gz"
    if not packed.is_file():
        tell(f"{packed.name} is not there")
        return rows.of_missing(example, seed), ()
    folder = keep / f"{example.name}-{seed}" if keep else Path(tempfile.mkdtemp(prefix="skerry-example-"))
    stage = folder / "stage"
    stage.mkdir(parents=True)
    table = stage / example.data
    with gzip.open(packed) as source, table.open("wb") as out:
        shutil.copyfileobj(source, out)
    name, spec = model_file.read(example.model_file)
    model = specs.parse_edge_model(name, spec)
    cut = spans.cut(example, table, model, stage)
    tell(f"replay {len(cut.replay)}, final {len(cut.final)} of {cut.moments}, left out {dict(cut.left_out)}")
    try:
        played = _turn(example, seed, folder / "state", cut, model, tell, with_worse)
    except (errors.SkerryError, grpc.RpcError) as exc:  # an agent that does not answer closes no loop either
        tell(f"broke off; state and logs: {folder}: {exc}")
        return rows.of_broken(example, seed, str(exc)), ()
    made = rows.of_played(example, seed, played, cut, model, hashlib.sha256(packed.read_bytes()).hexdigest())
    assert isinstance(model.task, Forecast)  # `spans` has said so
    drawn = example.folder / f"final-{seed}.svg"
    plot.write(drawn, f"{example.name}: the last week of the final", played.final, cut.final, model.task)
    tell(f"drawn: {drawn}")
    if not keep:
        shutil.rmtree(folder)
    return made, rows.disagreements(played)


def _turn(
    example: Scenario,
    seed: int,
    state: Path,
    cut: spans.Spans,
    model: specs.EdgeModel,
    tell: Tell,
    with_worse: bool,
) -> loop.Played:
    """Raises SkerryError where the loop does not close."""
    with Stack(state, NODES, tell) as stack, client.Agents(model.name, model.name, stack.nodes) as agents:
        turn = loop.Loop(stack, agents, model.name, example.model_file, scenario.options(example.choices), tell)
        played = turn.play(cut, seed)
        if with_worse and played.rollout_phase == "Succeeded":
            try:
                played.worse = worse.play(stack, turn.clock, example, model, cut)
            except errors.SkerryError as exc:  # what was measured until here counts all the same
                played.notes.append(f"the worse version was not played to its end: {exc}")
        turn.count()
    return played


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except errors.SkerryError as exc:
        print(exc, file=sys.stderr)
        raise SystemExit(4) from None
