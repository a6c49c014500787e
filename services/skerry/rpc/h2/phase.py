"""The life of a connection as a table: what phase it is in, and which event leads to which phase.

Theory of operation. A client must begin with the preface and a SETTINGS frame (RFC 9113 §3.4); until both have come no
request can. A connection ends politely in two steps (§6.8), since requests may be under way that we have not seen: the
first GOAWAY names no stream and asks for no more of them, a PING follows, and when the PING is back every request that
was under way has arrived. The second GOAWAY names the last of them, later ones are refused, and the connection closes
with the last reply. A broken rule, a time-out or a lost socket closes it from any phase.

An event that the table does not have for a phase changes nothing: a PING that comes back unasked, a second drain. One
thing is remembered beside the phase: a drain that is asked for during the handshake begins when the handshake ends.
"""

import enum
from collections.abc import Mapping


class Phase(enum.Enum):
    PREFACE = "the client's preface is due"
    SETTINGS = "the client's first SETTINGS frame is due"
    OPEN = "requests come and replies go"
    LEAVING = "the client is asked to open no more streams; our PING is under way"
    DRAINING = "the last stream is known; the connection closes with its reply"
    CLOSED = "to be hung up as soon as what is left to write is written"


class Event(enum.Enum):
    PREFACE_RECEIVED = "preface received"
    SETTINGS_RECEIVED = "SETTINGS received"
    DRAIN_BEGUN = "drain begun"
    PING_RETURNED = "PING returned"
    ENDED = "ended"


TRANSITIONS: Mapping[Phase, Mapping[Event, Phase]] = {
    Phase.PREFACE: {Event.PREFACE_RECEIVED: Phase.SETTINGS, Event.ENDED: Phase.CLOSED},
    Phase.SETTINGS: {Event.SETTINGS_RECEIVED: Phase.OPEN, Event.ENDED: Phase.CLOSED},
    Phase.OPEN: {Event.DRAIN_BEGUN: Phase.LEAVING, Event.ENDED: Phase.CLOSED},
    Phase.LEAVING: {Event.PING_RETURNED: Phase.DRAINING, Event.ENDED: Phase.CLOSED},
    Phase.DRAINING: {Event.ENDED: Phase.CLOSED},
    Phase.CLOSED: {},
}

HANDSHAKE = frozenset({Phase.PREFACE, Phase.SETTINGS})
