"""A connection's phases: the table, and what a client sees of it."""

import itertools

import pytest
from rpc_raw import data, headers
from rpc_talk import Recorder, Talk, outcome

from skerry.rpc.h2 import frames
from skerry.rpc.h2.connection import Connection
from skerry.rpc.h2.phase import HANDSHAKE, TRANSITIONS, Event, Phase
from skerry.rpc.h2.routing import Router
from skerry.rpc.limits import Limits

_PATH = {  # how a test comes to each phase
    Phase.PREFACE: [],
    Phase.SETTINGS: [Event.PREFACE_RECEIVED],
    Phase.OPEN: [Event.PREFACE_RECEIVED, Event.SETTINGS_RECEIVED],
    Phase.LEAVING: [Event.PREFACE_RECEIVED, Event.SETTINGS_RECEIVED, Event.DRAIN_BEGUN],
    Phase.DRAINING: [Event.PREFACE_RECEIVED, Event.SETTINGS_RECEIVED, Event.DRAIN_BEGUN, Event.PING_RETURNED],
    Phase.CLOSED: [Event.ENDED],
}
_PING = b"drain..."


def _new() -> Connection:
    return Connection(Limits(), Router({}, 16_384), Recorder, 0.0)


def _cause(connection: Connection, event: Event) -> None:
    """By what the client sends and the server asks, never by the table."""
    if event is Event.PREFACE_RECEIVED:
        connection.receive(frames.PREFACE, 0.0)
    elif event is Event.SETTINGS_RECEIVED:
        connection.receive(frames.settings({}), 0.0)
    elif event is Event.DRAIN_BEGUN:
        connection.drain()
    elif event is Event.PING_RETURNED:
        connection.receive(frames.frame(frames.PING, frames.ACK, 0, _PING), 0.0)
    else:
        connection.lost()


@pytest.mark.parametrize("phase", Phase)
def test_each_phase_is_reached_by_its_events_and_no_other_ends_it(phase: Phase) -> None:
    connection = _new()
    for event in _PATH[phase]:
        _cause(connection, event)
    assert connection.phase is phase
    assert connection.is_handshaking == (phase in HANDSHAKE) and connection.closed == (phase is Phase.CLOSED)


@pytest.mark.parametrize(("phase", "event"), list(itertools.product(Phase, Event)))
def test_an_event_leads_where_the_table_says_and_otherwise_changes_nothing(phase: Phase, event: Event) -> None:
    connection = _new()
    connection.phase = phase
    expected = TRANSITIONS[phase].get(event)
    assert connection._advance(event) == (expected is not None)
    assert connection.phase is (expected or phase)


def test_every_phase_is_in_the_table_and_can_be_left_by_its_end_but_the_last() -> None:
    assert set(TRANSITIONS) == set(Phase)
    assert [phase for phase in Phase if Event.ENDED not in TRANSITIONS[phase]] == [Phase.CLOSED]


@pytest.mark.parametrize(
    "first", [headers(1), data(1, b"x"), frames.window_update(0, 9)], ids=["HEADERS", "DATA", "WINDOW_UPDATE"]
)
def test_before_settings_no_other_frame_is_taken(first: bytes) -> None:
    talk = Talk()
    talk.connection = _new()
    assert outcome(talk.say(frames.PREFACE + first)[2:]) == "GOAWAY PROTOCOL_ERROR"
    assert talk.connection.closed


def test_a_drain_during_the_handshake_begins_when_it_ends() -> None:
    talk = Talk()
    talk.connection = _new()
    talk.heard()
    talk.connection.drain()
    assert talk.say(frames.PREFACE) == []
    kinds = [frame.kind for frame in talk.say(frames.settings({}))]
    assert kinds == [frames.SETTINGS, frames.GOAWAY, frames.PING]
    assert talk.connection.phase is Phase.LEAVING


def test_a_ping_that_comes_back_unasked_and_a_second_drain_change_nothing() -> None:
    talk = Talk()
    returned = frames.frame(frames.PING, frames.ACK, 0, _PING)
    assert talk.say(returned) == [] and talk.connection.phase is Phase.OPEN
    talk.connection.drain()
    assert [frame.kind for frame in talk.heard()] == [frames.GOAWAY, frames.PING]
    talk.connection.drain()
    assert talk.heard() == []
    assert [frame.kind for frame in talk.say(returned)] == [frames.GOAWAY]
    assert talk.say(returned) == [] and talk.connection.is_over
