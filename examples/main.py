"""`python -m examples.main [--only traffic,energy] [--seeds 0,1,2]`: plays each example through the whole loop on this
machine, prints the table, writes results.json and a picture of each.

Data sets lie in SKERRY_DATA, gzipped. One that is missing gives a row that says so, and the command fails unless
--allow-missing is given.
"""

import argparse
import contextlib
import gzip
import hashlib
import os
import shutil
import signal
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples import (
    change,
    client,
    energy,
    float_network,
    loop,
    machine_temperature,
    own,
    plot,
    results,
    rows,
    scenario,
    spans,
    steel_plates,
    traffic,
    worse,
)
from examples.results import Row
from examples.scenario import Scenario
from examples.stack import Stack, Tell
from skerry.cli import model_file
from skerry.core import errors, specs
from skerry.core.tasks import Forecast

RESULTS = Path(__file__).parent / "results.json"
SCENARIOS = {one.name: one for one in (traffic.SCENARIO, energy.SCENARIO)}
OWN = {one.name: one for one in (machine_temperature.OWN, steel_plates.OWN)}
NODES = 2
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def main() -> int:
    given = _arguments()
    for number in _SIGNALS:  # the system's processes have sessions of their own
        signal.signal(number, _interrupted)
    began, made, known, wrong = time.monotonic(), list[Row](), results.read(RESULTS), list[str]()
    for name in given.only:
        for seed in given.seeds:
            with_worse = not any(row.scenario == name for row in made)  # once is enough
            with _place(given.keep, f"{name}-{seed}") as place:
                if name in OWN:
                    new, unlike = _play_own(OWN[name], seed, place, began)
                else:
                    new, unlike = _play(SCENARIOS[name], seed, place, began, with_worse)
                made, wrong = [*made, *new], [*wrong, *unlike]
                results.write(results.merged(known, made), RESULTS)
    print(results.table(results.merged(known, made)))
    wrong += results.failures(made, allow_missing=given.allow_missing)
    for text in wrong:
        print(text, file=sys.stderr)
    return 1 if wrong else 0


def _interrupted(number: int, frame: object) -> None:
    for each in _SIGNALS:  # a second one would leave processes behind
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="examples", description=__doc__)
    every = ",".join([*SCENARIOS, *OWN])
    parser.add_argument("--only", type=_names, default=every, help="scenarios, separated by commas")
    parser.add_argument("--seeds", type=_numbers, default="0,1,2", help="seeds of the training, separated by commas")
    parser.add_argument("--allow-missing", action="store_true", help="a data set that is not there is no failure")
    parser.add_argument("--keep", type=Path, help="keep state and logs in this folder")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    every = [*SCENARIOS, *OWN]
    if unknown := set(names := text.split(",")) - set(every):
        raise argparse.ArgumentTypeError(f"there is no example {min(unknown)!r}: choose of {', '.join(every)}")
    return names


def _numbers(text: str) -> list[int]:
    if not all(part.isdecimal() and len(part) <= 9 for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of whole numbers such as 0,1,2")
    return [int(part) for part in text.split(",")]


@dataclass(slots=True)
class _Place:
    """Where one example is played; `stays`: somebody will want to look at it."""

    folder: Path
    stays: bool = False


@contextlib.contextmanager
def _place(keep: Path | None, name: str) -> Iterator[_Place]:
    """In `keep`, or in a folder that goes with it. What broke off stays, and is named."""
    if keep is not None:
        folder = keep.absolute() / name
        if folder.exists():
            raise errors.InputError(f"{folder} is there already: name another folder with --keep")
        folder.mkdir(parents=True)
        yield _Place(folder, stays=True)
        return
    place = _Place(Path(tempfile.mkdtemp(prefix="skerry-example-")))
    try:
        yield place
    except Exception:
        place.stays = True
        raise
    finally:
        if place.stays:
            print(f"state and logs: {place.folder}", file=sys.stderr)
        else:
            shutil.rmtree(place.folder, ignore_errors=True)


def _play(
    example: Scenario, seed: int, place: _Place, began: float, with_worse: bool
) -> tuple[Sequence[Row], Sequence[str]]:
    """The rows, and where the agents' own counts are not ours. Raises InputError for a table that cannot be read."""

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {example.name}/{seed}  {text}", file=sys.stderr, flush=True)

    data = os.environ.get("SKERRY_DATA")
    packed = Path(data or "SKERRY_DATA") / f"{example.data}.gz"
    if not data or not packed.is_file():
        tell(f"{packed} is not there")
        return rows.of_missing(example, seed), ()
    stage = place.folder / "stage"
    stage.mkdir()
    table = stage / example.data
    sha256 = _unpack(packed, table)
    name, spec = model_file.read(example.model_file)
    model = specs.parse_edge_model(name, spec)
    cut = spans.cut(example, table, model, stage)
    tell(f"replay {len(cut.replay)}, final {len(cut.final)} of {cut.moments}, left out {dict(cut.left_out)}")
    try:
        played = _turn(example, seed, place.folder / "state", cut, model, tell, with_worse)
        if not played.final:
            raise errors.UnavailableError("no moment of the final was answered")
    except errors.SkerryError as exc:
        tell(f"broke off: {exc}")
        place.stays = True
        return rows.of_broken(example, seed, str(exc)), ()
    _draw(example, seed, played, cut, model, tell)
    return rows.of_played(example, seed, played, cut, model, sha256), rows.disagreements(played)


def _play_own(example: own.Own, seed: int, place: _Place, began: float) -> own.Played:
    """As `_play`. Raises InputError for a table that cannot be read."""

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {example.name}/{seed}  {text}", file=sys.stderr, flush=True)

    data = os.environ.get("SKERRY_DATA")
    packed = {name: Path(data or "SKERRY_DATA") / f"{name}.gz" for name in example.files}
    if not data or not all(path.is_file() for path in packed.values()):
        tell(f"{', '.join(map(str, packed.values()))}: not all are there")
        return rows.of_missing(example, seed), ()
    stage = place.folder / "stage"
    stage.mkdir()
    tables = {name: stage / name for name in packed}
    digests = {name: _unpack(path, tables[name]) for name, path in packed.items()}
    try:
        return example.play(own.Place(tables, digests, stage, place.folder / "state", seed, tell))
    except errors.SkerryError as exc:
        tell(f"broke off: {exc}")
        place.stays = True
        return rows.of_broken(example, seed, str(exc)), ()


def _unpack(packed: Path, table: Path) -> str:
    """SHA-256 of the table."""
    digest = hashlib.sha256()
    try:
        with gzip.open(packed) as source, table.open("wb") as out:
            while piece := source.read(1 << 20):
                digest.update(piece)
                out.write(piece)
    except (OSError, EOFError, zlib.error) as exc:
        raise errors.InputError(f"{packed} cannot be unpacked: {exc}") from exc
    return digest.hexdigest()


def _draw(
    example: Scenario, seed: int, played: loop.Played, cut: spans.Spans, model: specs.EdgeModel, tell: Tell
) -> None:
    """A picture that cannot be drawn costs no figure."""
    assert isinstance(model.task, Forecast)  # `spans` has said so
    drawn = example.folder / f"final-{seed}.svg"
    try:
        plot.write(drawn, f"{example.name}: the last week of the final", played.final, cut.final, model.task)
        tell(f"drawn: {drawn}")
    except OSError as exc:
        tell(f"{drawn} cannot be written: {exc}")


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
            played.worse = worse.Worse()
            with _counting_all_the_same("the worse version", played):
                worse.play(stack, turn.clock, example, model, cut, played.worse)
        in_worse = len(played.worse.answers) if played.worse else 0
        played.changed = change.begin(example, cut, in_worse, tell)
        if played.changed is not None:
            untaught = len(played.replay) - played.asked_before_run + in_worse
            with _counting_all_the_same("the change", played):
                change.play(stack, agents, example, model, cut, untaught, played.changed)
        turn.end(cut.final)
        with _counting_all_the_same("the float network", played):
            played.float_mae = float_network.mean_error(stack, played.final, cut.final, model)
        turn.count()
    return played


@contextlib.contextmanager
def _counting_all_the_same(what: str, played: loop.Played) -> Iterator[None]:
    """What was measured until it broke off counts."""
    try:
        yield
    except errors.SkerryError as exc:
        played.notes.append(f"{what}: not played to its end: {exc}")


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except errors.SkerryError as exc:
        print(exc, file=sys.stderr)
        raise SystemExit(4) from None
    except KeyboardInterrupt:
        print("ended; nothing is left running", file=sys.stderr)
        raise SystemExit(130) from None
