"""How far each model's labels are, from what curators tell: the condition LabelsCurrent of EdgeModels."""

import json
from collections.abc import Mapping

from skerry.adapters.fleetstate.protocol import FleetState
from skerry.adapters.telemetry import logs
from skerry.core import contract, errors, label_backlog

log = logs.logger("controller")

_EVERY_MS = 5_000

Standings = Mapping[str, label_backlog.Standing]


class LabelStandings:
    """Reads again every few seconds."""

    def __init__(self, fleetstate: FleetState) -> None:
        self._fleetstate = fleetstate
        self._read_ms: int | None = None
        self._standings: Standings | None = None

    def look(self, *, now_ms: int, mono_ms: int) -> Standings | None:
        """By model, of those whose curator tells; None while readings are not to be had."""
        if self._read_ms is not None and 0 <= mono_ms - self._read_ms < _EVERY_MS:
            return self._standings
        self._read_ms = mono_ms
        try:
            texts = self._fleetstate.get(contract.CURATOR_READINGS)
        except errors.UnavailableError as exc:
            log.debug("readings_unavailable", error=str(exc))
            self._standings = None
        else:
            self._standings = dict(_judged(texts, now_ms))
        return self._standings


def _judged(texts: Mapping[str, str], now_ms: int) -> list[tuple[str, label_backlog.Standing]]:
    judged = []
    for key, text in texts.items():
        model = key.removeprefix(contract.CURATOR_READINGS)
        if backlog := _backlog(text):
            judged.append((model, label_backlog.judge(model, backlog, now_ms=now_ms)))
    return judged


def _backlog(text: str) -> label_backlog.Backlog | None:
    """None for a reading that says nothing of it."""
    try:
        reading = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return label_backlog.from_json(reading) if isinstance(reading, dict) else None
