"""`python -m bench.main [--quick]`: measures, prints the tables and what was reached, writes results/latest.json.

The exit code is 0 when everything was measured, whatever was reached: figures of a busy machine are no test.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bench import (
    build,
    certificates,
    environments,
    gates,
    machine,
    models,
    plan,
    processes,
    results,
    run,
    servers,
    tables,
)
from bench.generator import Generator

RESULTS = Path(__file__).parent / "results" / "latest.json"
CACHE = Path(__file__).parent.parent / ".cache" / "bench"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="ours, the floor and plain grpcio only: under two minutes")
    parser.add_argument("--prepare", action="store_true", help="only build programs and environments")
    given = parser.parse_args()
    chosen = plan.quick() if given.quick else plan.full()
    with tempfile.TemporaryDirectory(prefix="skerry-bench-") as folder:
        world = servers.World(build.Builder(CACHE), environments.Environments(CACHE / "peers"), Path(folder))
        try:
            program = world.builder.generator()
        except build.NotBuiltError as exc:
            _say(f"nothing is judged: the load generator cannot be built: {exc}")
            return 1
        servers.prepare(_servers(chosen), world, _say)
        if given.prepare:
            return 0
        measured = _measure(chosen, world, program)
    results.write(measured, RESULTS)
    print(tables.render(measured, gates.judge(measured)))
    return 0


def _measure(chosen: plan.Plan, world: servers.World, program: Path) -> results.Results:
    cores, served, folder = processes.Cores.choose(), models.load(CACHE / "models"), world.scratch
    pair, bodies = certificates.make(folder), _bodies(served, folder)
    bench = run.Bench(
        world, Generator(program, cores.client), served, folder, CACHE / "models", cores, pair, bodies, _say
    )
    began, about = time.time(), machine.describe(cores)
    rows, missing = bench.run(chosen)
    _say(f"measured in {time.time() - began:.0f} s")
    return results.Results(
        about,
        machine.versions() | servers.versions(_servers(chosen)),
        [row for row in rows if row.server not in plan.SIDE],
        missing,
        [row for row in rows if row.server in plan.SIDE],
        chosen.kind,
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
    )


def _bodies(served: Mapping[str, models.Model], folder: Path) -> dict[tuple[str, str], Sequence[Path]]:
    """Files of requests by (model, form)."""
    bodies = {("echo", "echo"): _files(folder, "echo", models.echo_requests())}
    for name, model in served.items():
        bodies[name, "oip"] = _files(folder, f"{name}-oip", models.oip_requests(model))
        bodies[name, "base64"] = _files(folder, f"{name}-base64", models.json_requests(model))
    return bodies


def _files(folder: Path, name: str, contents: Iterable[bytes]) -> Sequence[Path]:
    files = []
    for at, content in enumerate(contents):
        files.append(folder / f"{name}-{at}")
        files[-1].write_bytes(content)
    return files


def _servers(chosen: plan.Plan) -> Sequence[str]:
    return list(dict.fromkeys(cell.server for cells in chosen.groups.values() for cell in cells))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
