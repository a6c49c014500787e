"""A curator knows for certain only of its own machine's processes that they have ended."""

import os
import socket
import subprocess
import sys

import pytest

from skerry.curator import identity

HOST = socket.gethostname()


def ended_pid() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_no_two_names_are_equal() -> None:
    assert identity.new() != identity.new()


def test_a_process_of_this_machine_that_is_gone_has_ended() -> None:
    assert identity.has_ended(f"{HOST}-{ended_pid()}-0123abcd")


def test_a_container_that_was_started_again_knows_that_its_predecessor_has_ended() -> None:
    assert identity.has_ended(f"{HOST}-{os.getpid()}-0123abcd")


@pytest.mark.parametrize(
    "name",
    [f"{HOST}-{os.getppid()}-0123abcd", f"else-{os.getpid()}-0123abcd", HOST, "", f"{HOST}-x-0123abcd"],
    ids=["alive", "of another machine", "no process", "nothing", "no number"],
)
def test_of_others_it_is_not_certain(name: str) -> None:
    assert not identity.has_ended(name)
