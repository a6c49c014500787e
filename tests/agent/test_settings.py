"""What a node is called and which address it tells are checked where they are set, in the gateway's own words."""

import pytest

from skerry.agent import settings
from skerry.core import errors
from skerry.core.feedback import Proof
from skerry.gateway import reports
from skerry.proto import fleet_pb2
from skerry.rpc.unix_sockets import UnixAddress

FULL = {
    "SKERRY_NODE": "edge-1",
    "SKERRY_STATE": "/s",
    "SKERRY_TRUST_ROOT": "/r",
    "SKERRY_GATEWAY": "h:1",
    "SKERRY_REPOSITORY_URL": "http://h",
}


@pytest.mark.parametrize("name", ["Edge-1", "edge_1", "-edge", "edge.", "a" * 121, "kante-ä", "../x"])
def test_a_name_that_the_gateway_would_refuse_is_refused_at_the_node_in_the_same_words(name: str) -> None:
    with pytest.raises(errors.InputError) as here:
        settings.read(FULL | {"SKERRY_NODE": name})
    with pytest.raises(errors.InputError) as there:
        reports.check(fleet_pb2.NodeReport(node=name, boot_id="b"))
    assert str(here.value) == f"SKERRY_NODE: {there.value}"


@pytest.mark.parametrize("name", ["e", "edge-1", "edge-1.site.example", "7"])
def test_a_name_that_the_gateway_takes_is_taken(name: str) -> None:
    assert settings.read(FULL | {"SKERRY_NODE": name}).node == name


@pytest.mark.parametrize("text", ["0.0.0.0:8001", "[::]:8001", ":::8001", "[::]", "0.0.0.0", ":8001"])
def test_an_address_that_leads_everybody_to_themselves_is_not_told(text: str) -> None:
    with pytest.raises(errors.InputError, match="SKERRY_ADDRESS"):
        settings.read(FULL | {"SKERRY_ADDRESS": text})


@pytest.mark.parametrize("text", ["", "10.0.0.7:8001", "[fd00::7]:8001", "edge-1", "https://edge-1.example:8443"])
def test_any_other_address_is_told_as_it_is_set(text: str) -> None:
    assert settings.read(FULL | {"SKERRY_ADDRESS": text}).address == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"SKERRY_FEEDBACK": "Password"}, "SKERRY_FEEDBACK: 'Password' is none of Token, Secret, Certificate"),
        ({"SKERRY_FEEDBACK": "Token,Secret"}, "SKERRY_FEEDBACK=Secret needs SKERRY_FEEDBACK_SECRET_FILE"),
        ({"SKERRY_FEEDBACK": "Certificate"}, "SKERRY_FEEDBACK=Certificate needs SKERRY_TLS_LISTEN"),
        ({"SKERRY_TLS_LISTEN": "h:1"}, "SKERRY_TLS_LISTEN needs SKERRY_TLS_CERT, SKERRY_TLS_KEY, SKERRY_CLIENT_CA"),
        ({"SKERRY_FEEDBACK_TOKEN_SECONDS": "0"}, "SKERRY_FEEDBACK_TOKEN_SECONDS"),
    ],
)
def test_a_proof_that_nothing_could_check_is_refused_at_the_start(given: dict[str, str], text: str) -> None:
    with pytest.raises(errors.InputError, match=text):
        settings.read(FULL | given)


def test_without_a_word_about_it_feedback_needs_a_token() -> None:
    assert settings.read(FULL).proofs == {Proof.TOKEN}
    assert settings.read(FULL | {"SKERRY_FEEDBACK": "Off"}).proofs == frozenset()


def test_a_unix_socket_has_a_path_a_mode_and_users() -> None:
    given = {"SKERRY_UNIX_LISTEN": "unix:///run/skerry/agent.sock"}
    assert settings.read(FULL | given).unix_listen == UnixAddress("/run/skerry/agent.sock", 0o660, None)
    more = {"SKERRY_UNIX_MODE": "666", "SKERRY_UNIX_USERS": "1000, root"}
    found = settings.read(FULL | given | more).unix_listen
    assert found == UnixAddress("/run/skerry/agent.sock", 0o666, frozenset((1000, 0)))
    assert settings.read(FULL).unix_listen is None


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"SKERRY_UNIX_LISTEN": "unix://relative"}, "SKERRY_UNIX_LISTEN must be unix:///path"),
        ({"SKERRY_UNIX_MODE": "0666"}, "SKERRY_UNIX_MODE needs SKERRY_UNIX_LISTEN beside it"),
        ({"SKERRY_UNIX_LISTEN": "unix:///s", "SKERRY_UNIX_MODE": "rw"}, "SKERRY_UNIX_MODE must be an octal mode"),
        ({"SKERRY_UNIX_LISTEN": "unix:///s", "SKERRY_UNIX_MODE": "1777"}, "SKERRY_UNIX_MODE must be an octal mode"),
        ({"SKERRY_UNIX_LISTEN": "unix:///s", "SKERRY_UNIX_USERS": "1,,2"}, "SKERRY_UNIX_USERS: this machine has no"),
    ],
)
def test_what_is_wrong_with_a_unix_socket_is_told_with_its_variable(given: dict[str, str], text: str) -> None:
    with pytest.raises(errors.InputError, match=text):
        settings.read(FULL | given)
