"""Logs are events with fields: one JSON object a line on standard error, with time, level, service and event name."""

import json
import logging
import sys
from typing import Any


class Logger:
    """`log.info("model_swapped", model="digits", version=3)`. Fields must be JSON values; others are shown by str()."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(f"skerry.{name}")

    def debug(self, event: str, **fields: Any) -> None:
        self._emit(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._emit(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._emit(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._emit(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """As `error`, with the traceback of the exception being handled. For a `main` loop's last line only."""
        self._logger.log(logging.ERROR, event, extra={"fields": fields}, exc_info=True)

    def _emit(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, extra={"fields": fields})


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": round(record.created, 3), "level": record.levelname.lower(), "service": self._service}
        line |= {"event": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def logger(name: str) -> Logger:
    return Logger(name)


def configure(service: str, *, level: str = "INFO") -> None:
    """Send every log line of this process to standard error as JSON. Called once, by `main`."""
    out = logging.StreamHandler(sys.stderr)
    out.setFormatter(_JsonLines(service))
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(logging.WARNING)
    logging.getLogger("skerry").setLevel(level)
