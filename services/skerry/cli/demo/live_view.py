"""What a person sees while the demo runs: one line per event, and below it a small table that is kept fresh."""

import time
from collections.abc import Callable, Mapping

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from skerry.cli import output
from skerry.cli.demo.event_log import Event

_STYLES = {
    "training": "cyan",
    "version": "bold cyan",
    "rollout": "blue",
    "verdict": "bold blue",
    "node": "green",
    "refused": "red",
    "fault": "bold red",
    "phase": "bold magenta",
}

Gauges = Mapping[str, str]


class View:
    """Prints events; on a terminal also keeps a table of gauges and the step under way at the bottom."""

    def __init__(self, console: Console, gauges: Callable[[], Gauges]) -> None:
        self._console, self._gauges = console, gauges
        self._step, self._step_since = "starting", time.monotonic()
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._render)

    def __enter__(self) -> "View":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def step(self, text: str) -> None:
        """What is being waited for now."""
        self._step, self._step_since = text, time.monotonic()

    def tell(self, event: Event) -> None:
        line = Text(f"{event.at_s:6.1f} s  ", style="dim")
        line.append(output.printable(event.text), style=_STYLES.get(event.kind, ""))
        self._console.print(line, soft_wrap=True)

    def _render(self) -> Group:
        spinner = Spinner("dots", text=f" {self._step} ({time.monotonic() - self._step_since:.0f} s)")
        gauges = self._gauges()
        if not gauges:
            return Group(spinner)
        table = Table(box=None, show_header=True, header_style="dim", padding=(0, 2))
        for name in gauges:
            table.add_column(name)
        table.add_row(*gauges.values())
        return Group(table, spinner)
