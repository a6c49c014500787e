"""The series' own clock, simulated: the truth of an answer is sent when the clock has come to its time, not before."""

from collections import deque
from collections.abc import Sequence

from examples.client import Agents, Answer
from examples.spans import Asked


class SeriesClock:
    def __init__(self, agents: Agents) -> None:
        self._agents = agents
        self._due: deque[tuple[int, Answer, Sequence[float]]] = deque()  # (when, whose, what) in order of time

    def ask(self, rows: Asked, index: int, name: str) -> Answer:
        """Time comes to this row: what is due is told, then it is asked. Rows come in order of their time."""
        now_ms = int(rows.time[index])
        while self._due and self._due[0][0] <= now_ms:
            self._tell()
        answer = self._agents.ask(index, f"{name}-{index}", rows.x[index], now_ms)
        self._due.append((now_ms + rows.horizon_ms, answer, rows.y[index].tolist()))
        return answer

    def run_out(self) -> None:
        """The horizon of the last answer passes: every truth is told, and taken."""
        while self._due:
            self._tell()
        self._agents.settle()

    def _tell(self) -> None:
        _, answer, truth = self._due.popleft()
        self._agents.tell(answer, truth)
