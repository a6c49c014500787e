"""Whose certificate it is, whether it opens anything now, and what a failed handshake is told as."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry.core import errors, identity

KEY, OTHER = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32
ME = identity.Peer(identity.NodeId("skerry.local", "default", "edge-1"), KEY, 1)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,20}[a-z0-9])?", fullmatch=True)


@given(NAMES, NAMES, NAMES)
def test_an_id_survives_being_text(domain: str, tenant: str, node: str) -> None:
    made = identity.NodeId(domain, tenant, node)
    assert identity.parse(str(made)) == made


@given(st.text(max_size=80))
def test_what_is_parsed_is_written_the_same_or_refused(text: str) -> None:
    with contextlib.suppress(errors.InputError):
        assert str(identity.parse("spiffe://" + text)) == "spiffe://" + text


Reason = identity.Reason
ROWS = [
    pytest.param("skerry.local", "default", KEY, False, None, id="the approved key speaks for its node"),
    pytest.param("skerry.local", "default", OTHER, False, Reason.OTHER_KEY, id="another key does not"),
    pytest.param("skerry.local", "default", "", False, Reason.OTHER_KEY, id="a node whose key waits does not"),
    pytest.param("skerry.local", "default", KEY, True, Reason.REVOKED, id="a revoked node does not"),
    pytest.param("skerry.local", "default", None, False, Reason.UNKNOWN_NODE, id="a node that nobody knows does not"),
    pytest.param("skerry.local", "b", KEY, False, Reason.OTHER_TENANT, id="a node of another tenant does not"),
    pytest.param("other.local", "default", KEY, False, Reason.OTHER_TENANT, id="a node of another domain does not"),
]


@pytest.mark.parametrize(("domain", "tenant", "approved", "revoked", "reason"), ROWS)
def test_who_may_speak_for_a_node(
    domain: str, tenant: str, approved: str | None, revoked: bool, reason: Reason | None
) -> None:
    fault = identity.fault(ME, domain, tenant, approved, revoked=revoked)
    assert (fault and fault.reason) == reason
    assert fault is None or ME.id.node in fault.message


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        pytest.param("CERTIFICATE_VERIFY_FAILED: certificate is not yet valid: OK", "clock", id="a clock at 1970"),
        pytest.param("CERTIFICATE_VERIFY_FAILED: certificate has expired", "clock", id="a clock ahead, or an old one"),
        pytest.param("UNAUTHENTICATED: Hostname Verification Check failed.", "other names", id="gRPC: a wrong name"),
        pytest.param("verify failed: IP address mismatch, certificate", "other names", id="Python: a wrong address"),
        pytest.param("CERTIFICATE_VERIFY_FAILED: self signed", "another authority", id="a stranger's CA"),
        pytest.param("connection refused", "", id="what is no matter of certificates"),
    ],
)
def test_a_failed_handshake_is_told_so_that_a_person_knows_where_to_look(said: str, hint: str) -> None:
    found = identity.hint(said)
    assert (hint in found, bool(found)) == (True, bool(hint))
