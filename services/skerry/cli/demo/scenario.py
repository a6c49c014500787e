"""What a run of the demo is about: what the story learns on its way, and the places where a fault may join in."""

from dataclasses import dataclass, field
from typing import ClassVar

from skerry.cli.demo import digits
from skerry.cli.demo.set import Set


@dataclass
class Fault:
    """Hooks into the story; a fault overrides those it needs. `seen` tells what happened, `ok` whether as expected."""

    name: ClassVar[str]
    expected: ClassVar[str]
    closes_loop: ClassVar[bool] = True
    seen: list[str] = field(default_factory=list)
    ok: bool = False

    async def during_drift(self, plot: "Plot", stage_set: Set) -> None: ...

    async def during_training(self, plot: "Plot", stage_set: Set) -> None: ...

    async def during_rollout(self, plot: "Plot", stage_set: Set) -> bool:
        """True: the rollout is the fault's business, the story does not wait for its success."""
        return False

    async def afterwards(self, plot: "Plot", stage_set: Set) -> None: ...

    async def judge(self, plot: "Plot", stage_set: Set) -> None: ...


@dataclass(slots=True)
class Plot:
    """What the story learns on its way and the summary needs."""

    network: str
    fault: Fault | None
    data: digits.Digits
    dataset: str = ""  # digest of the imported base dataset
    first: str = ""  # digest of the first version
    target: str = ""  # digest of the version that the loop made
    teacher_clean: float = float("nan")
    teacher_drift: float = float("nan")
    phases: list[tuple[str, float, float]] = field(default_factory=list)
