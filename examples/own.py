"""An example that goes another way than a forecast does in `loop`: its data, its bars, and who plays it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.results import Row
from examples.scenario import Bar
from examples.stack import Tell


@dataclass(frozen=True, slots=True)
class Place:
    """Where one seed of an example is played: its unpacked `tables` by name with their SHA-256 in `digests`, a folder
    for what it writes, and one for the system's state."""

    tables: Mapping[str, Path]
    digests: Mapping[str, str]
    stage: Path
    state: Path
    seed: int
    tell: Tell


Played = tuple[Sequence[Row], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Own:
    """`data` is the table that its rows are of, `beside` further files it needs, gzipped all. `play` gives
    the rows, and where the agents' own counts are not ours; it raises SkerryError where the loop does not close."""

    name: str
    data: str
    bars: Mapping[str, Bar]
    play: Callable[[Place], Played]
    beside: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        return self.data, *self.beside
