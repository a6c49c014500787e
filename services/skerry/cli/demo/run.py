"""One run of the demo: the system, the cameras and the story put together, and what came of it shown and written."""

import asyncio
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from skerry.cli.demo import digits, faults, outcome, plot, stage, story
from skerry.cli.demo.set import Set
from skerry.cli.report import html
from skerry.cli.system.layout import Layout
from skerry.cli.system.supervisor import System
from skerry.core import errors


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    network: str
    fault: str | None
    rate: float
    transport: str
    report: Path
    json_file: Path | None
    keep: Path | None


def run(wanted: Wanted) -> bool:
    """Play it and show what came of it; whether it was as it should be. What was seen is written down in any case."""
    console = Console()
    root = wanted.keep.absolute() if wanted.keep else Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    told, broke_off = asyncio.run(_play(console, root, wanted))
    if wanted.json_file:
        wanted.json_file.write_text(json.dumps(told, indent=2))
    good = broke_off is None and bool(told["fault"]["ok"] if wanted.fault else told["closed"])
    if broke_off is not None:
        console.print(f"[bold red]the demo stopped:[/] {broke_off}", soft_wrap=True, highlight=False)
    if wanted.keep or not good:
        console.print(f"state and logs: {root}", soft_wrap=True)
    else:
        shutil.rmtree(root, ignore_errors=True)
    return good


async def _play(console: Console, root: Path, wanted: Wanted) -> tuple[dict[str, Any], errors.SkerryError | None]:
    """The summary, and why the story broke off, if it did."""
    data = await asyncio.to_thread(digits.load)
    about = plot.Plot(wanted.network, faults.FAULTS[wanted.fault]() if wanted.fault else None, data)
    system = System(Layout(root), stage.NODES, transport=wanted.transport)
    stage_set = Set(system, console, story.opening_scene(data), wanted.rate)
    broke_off: errors.SkerryError | None = None
    with system, stage_set.view:
        try:
            await story.play(about, stage_set)
        except errors.SkerryError as exc:
            broke_off = exc
        told = outcome.tell(about, stage_set)
    outcome.show(console, told)
    html.write_report(wanted.report, outcome.timeline(told, about, stage_set))
    console.print(f"report: {wanted.report}", soft_wrap=True)
    return told, broke_off
