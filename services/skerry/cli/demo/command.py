"""`skerry demo`: the closed loop on this machine, from one command, and what can go wrong with it."""

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from skerry.cli.demo import digits, faults, outcome, stage, story
from skerry.cli.demo.set import Set
from skerry.cli.report import html
from skerry.cli.system.layout import Layout
from skerry.cli.system.supervisor import System
from skerry.core import errors

RATE = 150.0


@click.command()
@click.option("--network", type=click.Choice(["cnn", "rnn"]), default="cnn", show_default=True, help="Network family.")
@click.option("--fault", type=click.Choice(sorted(faults.FAULTS)), help="Do this harm, and look what comes of it.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the summary as JSON.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    default="report.html",
    show_default=True,
    help="Where the drawn report goes.",
)
@click.option("--rate", default=RATE, show_default=True, type=click.FloatRange(20, 1000), help="Requests per second.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the state folder and logs here.")
@click.option(
    "--transport", type=click.Choice(["h2", "grpcio"]), default="h2", show_default=True, help="gRPC transport."
)
def demo(
    network: str,
    fault: str | None,
    json_file: Path | None,
    report: Path,
    rate: float,
    keep: Path | None,
    transport: str,
) -> None:
    """Run the whole loop on real digits: edge agents answer, what is hard becomes a better version for them all.

    Exit code 0 means that the loop closed (with --fault: that the stated outcome was seen).
    """
    console = Console()
    root = keep.absolute() if keep else Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    failed = True
    try:
        told = asyncio.run(_play(console, root, network, fault, rate, transport, report))
        failed = not (told["fault"]["ok"] if fault else told["closed"])
        if json_file:
            json_file.write_text(json.dumps(told, indent=2))
    except errors.SkerryError as exc:
        console.print(f"[bold red]the demo stopped:[/] {exc}", soft_wrap=True, highlight=False)
    finally:
        if failed or keep:
            console.print(f"state and logs: {root}", soft_wrap=True)
        else:
            shutil.rmtree(root, ignore_errors=True)
    raise SystemExit(1 if failed else 0)


async def _play(
    console: Console, root: Path, network: str, fault: str | None, rate: float, transport: str, report: Path
) -> dict[str, Any]:
    """Play the story and tell what came of it; what was seen is shown also when the story breaks off."""
    data = await asyncio.to_thread(digits.load)
    plot = story.Plot(network, faults.FAULTS[fault]() if fault else None, data)
    system = System(Layout(root), stage.NODES, transport=transport)
    stage_set = Set(system, console, story.opening_scene(data), rate)
    broke_off: errors.SkerryError | None = None
    with system, stage_set.view:
        try:
            await story.play(plot, stage_set)
        except errors.SkerryError as exc:
            broke_off = exc
        told = outcome.tell(plot, stage_set)
    outcome.show(console, told)
    html.write_report(report, outcome.timeline(told, plot, stage_set))
    console.print(f"report: {report}", soft_wrap=True)
    if broke_off is not None:
        raise broke_off
    return told
