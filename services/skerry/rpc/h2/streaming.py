"""Calls whose requests are streams of messages: read by a handler that runs beside them, or told to a receiver."""

from collections.abc import Callable
from typing import Any

from skerry.rpc.h2.call import Call
from skerry.rpc.h2.incoming import NOTHING
from skerry.rpc.h2.routing import Route
from skerry.rpc.methods import CallError, Kind, Receiver, Status


class ReadCall(Call):
    """The handler begins with the call and reads."""

    _inbox = NOTHING

    def opened(self) -> None:
        super().opened()
        self._start()


class ToldCall(Call):
    """Messages go to the receiver as they come, so nothing of them is held, and the peer may always send on."""

    _inbox = NOTHING
    _receiver: Receiver | None = None

    def opened(self) -> None:
        # All that such a call comes to have: set at once it is kept in an array, set one by one in a dict of 400 bytes.
        self.done = self._head_sent = False
        self._is_plain, self._assembly, self._receiver = True, None, None
        super().opened()
        receiver = self._tell(self.route.method.handler, self)
        if not self.done:
            self._receiver = receiver
        elif receiver is not None:
            self._tell(receiver.closed)

    def _hold(self, message: bytes) -> None:
        if self._receiver is not None:
            self._tell(self._receiver.received, message)

    def finish(self) -> None:
        if not self.done:
            self._send_head()
            self._finish(Status.OK, "")

    def _stream_ended(self) -> None:
        if self._receiver is not None:
            self._tell(self._receiver.finished)

    def _end(self) -> None:
        super()._end()
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            self._tell(receiver.closed)

    def _tell(self, told: Callable[..., Any], *what: object) -> Any:
        try:
            return told(*what)
        except CallError as error:
            self.fail(error.status, error.message)
        except Exception:  # noqa: BLE001  # the last line between a handler and the wire
            self._broke()
        return None


def call_of_stream(route: Route) -> type[Call]:
    return ToldCall if route.method.kind is Kind.RECEIVER else ReadCall
