"""The table of roles: each act and each sight is in it, and a grant's limits hold."""

import inspect

import pytest

from skerry.core import errors, intents, roles
from skerry.core.roles import Grant, Role, Scope, Sight

ANY = Scope("digits", ("all",))


def acts() -> set[str]:
    """Every function of core.intents that comes to something written."""
    made = (intents.Patch, intents.Creation, intents.Deletion)
    found = {name: getattr(intents, name) for name in intents.__all__}
    functions = {name: one for name, one in found.items() if inspect.isfunction(one)}
    return {name for name, one in functions.items() if inspect.signature(one).return_annotation in made}


def test_every_act_is_in_the_table_and_the_table_has_no_other() -> None:
    assert len(acts()) > 15
    assert set().union(*roles.INTENTS.values()) == acts()
    assert set(roles.INTENTS) == set(roles.SIGHTS) == set(Role)


def test_an_approver_may_do_all_that_anybody_may() -> None:
    assert roles.INTENTS[Role.APPROVER] == acts()


@pytest.mark.parametrize("role", list(Role))
def test_each_role_does_what_the_table_says_and_nothing_else(role: Role) -> None:
    grant = Grant("ada", role)
    for intent in acts():
        if intent in roles.INTENTS[role]:
            roles.check(grant, intent, ANY)
            continue
        with pytest.raises(errors.ForbiddenError, match=f"ada is {role}, and {intent} is for .*approver"):
            roles.check(grant, intent, ANY)


def test_who_watches_or_runs_the_fleet_sees_no_captured_inputs() -> None:
    seeing = {role for role in Role if roles.sees(Grant("ada", role), Sight.INPUTS)}
    assert seeing == {Role.LABELER, Role.PUBLISHER, Role.APPROVER}
    assert all(roles.sees(Grant("ada", role), Sight.FLEET) for role in Role)


@pytest.mark.parametrize(
    ("models", "fleets", "scope", "permitted"),
    [
        pytest.param({"digits"}, set(), Scope("digits", ("all",)), True, id="its model"),
        pytest.param({"digits"}, set(), Scope("plates", ("all",)), False, id="another model"),
        pytest.param({"digits"}, set(), Scope(None, ("all",)), False, id="a node, which serves every model"),
        pytest.param(set(), {"north"}, Scope("digits", ("north",)), True, id="its fleet"),
        pytest.param(set(), {"north"}, Scope("digits", ("all",)), False, id="a fleet that holds its own and others"),
        pytest.param(set(), {"north"}, Scope(None, ("all", "north")), True, id="a node of its fleet"),
        pytest.param(set(), {"north"}, Scope(None, ("all",)), False, id="a node of another fleet"),
        pytest.param(set(), {"north"}, Scope(None, ()), False, id="a node of no fleet"),
        pytest.param({"digits"}, {"north"}, Scope("digits", ("all",)), False, id="its model on another fleet"),
    ],
)
def test_limits(models: set[str], fleets: set[str], scope: Scope, permitted: bool) -> None:
    grant = Grant("ada", Role.OPERATOR, frozenset(models), frozenset(fleets))
    try:
        roles.check(grant, "pause", scope)
    except errors.ForbiddenError:
        assert not permitted
    else:
        assert permitted
