"""What a run of the demo is about: what its phases find out, and the places where a fault can act."""

from dataclasses import dataclass, field
from typing import ClassVar

from skerry.cli.demo import digits
from skerry.cli.demo.session import Session


@dataclass
class Fault:
    """Hooks into the phases; a fault overrides those it needs. `seen` says what happened, `ok` whether as expected."""

    name: ClassVar[str]
    expected: ClassVar[str]
    closes_loop: ClassVar[bool] = True
    seen: list[str] = field(default_factory=list)
    ok: bool = False

    async def during_drift(self, scenario: "Scenario", session: Session) -> None: ...

    async def during_training(self, scenario: "Scenario", session: Session) -> None: ...

    async def during_rollout(self, scenario: "Scenario", session: Session) -> bool:
        """True: the fault waits for the rollout itself; the phases do not wait for its success."""
        return False

    async def afterwards(self, scenario: "Scenario", session: Session) -> None: ...

    async def judge(self, scenario: "Scenario", session: Session) -> None: ...


@dataclass(slots=True)
class Scenario:
    """What the phases find out and the summary needs."""

    network: str
    fault: Fault | None
    data: digits.Digits
    dataset: str = ""  # digest of the imported base dataset
    first: str = ""  # digest of the first version
    target: str = ""  # digest of the version that the loop made
    teacher_clean: float = float("nan")
    teacher_drift: float = float("nan")
    phases: list[tuple[str, float, float]] = field(default_factory=list)
