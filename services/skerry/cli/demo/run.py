"""One run of the demo: the system, the cameras and the phases put together; the result is shown and written."""

import asyncio
import json
import shutil
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import markup
from rich.console import Console

from skerry.cli import output
from skerry.cli.demo import digits, digits_model, faults, phases, scenario, summary
from skerry.cli.demo.session import Session
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
    """Run the demo and show the result; whether it is as it should be. The result is written in any case but one: who
    ends the demo (a signal) gets none, and nothing of it goes on. Raises KeyboardInterrupt then."""
    console = Console()
    root = wanted.keep.absolute() if wanted.keep else Path(tempfile.mkdtemp(prefix="skerry-demo-"))
    try:
        document, broke_off = asyncio.run(_run(console, root, wanted))
    except (asyncio.CancelledError, KeyboardInterrupt):
        if not wanted.keep:
            shutil.rmtree(root, ignore_errors=True)
        raise KeyboardInterrupt from None
    if wanted.json_file:
        wanted.json_file.write_text(json.dumps(document, indent=2))
    good = broke_off is None and bool(document["fault"]["ok"] if wanted.fault else document["closed"])
    if broke_off is not None:
        console.print(
            f"[bold red]the demo stopped:[/] {markup.escape(output.printable(str(broke_off)))}",
            soft_wrap=True,
            highlight=False,
        )
    if wanted.keep or not good:
        console.print(f"state and logs: {root}", soft_wrap=True)
    else:
        shutil.rmtree(root, ignore_errors=True)
    return good


async def _run(console: Console, root: Path, wanted: Wanted) -> tuple[dict[str, Any], errors.SkerryError | None]:
    """The summary, and why the demo broke off, if it did."""
    _end_on_signals()
    data = await asyncio.to_thread(digits.load)
    current = scenario.Scenario(wanted.network, faults.FAULTS[wanted.fault]() if wanted.fault else None, data)
    system = System(Layout(root), digits_model.NODES, transport=wanted.transport)
    session = Session(system, console, phases.opening_scene(data), wanted.rate)
    broke_off: errors.SkerryError | None = None
    with system, session.view:
        try:
            await phases.run(current, session)
        except errors.SkerryError as exc:
            broke_off = exc
        document = summary.document(current, session)
    summary.show(console, document)
    html.write_report(wanted.report, summary.timeline(document, current, session))
    console.print(f"report: {wanted.report}", soft_wrap=True)
    return document, broke_off


def _end_on_signals() -> None:
    """A terminal that closes and whoever ends the demo politely end it as Ctrl-C does: its processes have sessions of
    their own and would stay."""
    loop, demo = asyncio.get_running_loop(), asyncio.current_task()
    assert demo is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, demo.cancel)
