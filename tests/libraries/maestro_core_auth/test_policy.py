"""Who may do what: denied unless granted, and a scope never widens."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_auth import EVERY_SCOPE, InvalidPolicy, Policy, Principal, Role

PERMISSIONS = ["audit:read", "workflow:approve", "workflow:read", "workflow:write"]
DATA = {
    "permissions": PERMISSIONS,
    "roles": {
        "viewer": {"may": ["workflow:read"]},
        "operator": {"includes": ["viewer"], "may": ["workflow:*"]},
        "admin": {"includes": ["operator"], "may": ["*"]},
    },
}
POLICY = Policy.from_data(DATA)
SCOPES = [*PERMISSIONS, "workflow:*", "audit:*", "*", "unknown:*", "unknown:read"]
PRINCIPALS = st.builds(
    Principal,
    subject=st.just("ada"),
    kind=st.just("key"),
    roles=st.frozensets(st.sampled_from(["viewer", "operator", "admin", "ghost"])),
    scopes=st.frozensets(st.sampled_from(SCOPES)),
)


def allowed(principal: Principal, policy: Policy = POLICY) -> set[str]:
    return {one for one in policy.permissions if policy.decide(principal, one).allowed}


@pytest.mark.parametrize(
    ("role", "granted"),
    [
        ("viewer", {"workflow:read"}),
        ("operator", {"workflow:read", "workflow:write", "workflow:approve"}),
        ("admin", set(PERMISSIONS)),
        ("ghost", set()),
    ],
)
def test_the_three_roles_grant_what_is_declared(role: str, granted: set[str]) -> None:
    """Inherited permissions and wildcards written out; an unknown role grants nothing."""
    assert POLICY.granted_to([role]) == granted
    assert allowed(Principal("ada", "key", frozenset({role}), EVERY_SCOPE)) == granted


@given(PRINCIPALS, st.sampled_from(SCOPES))
def test_a_scope_taken_away_never_allows_more(principal: Principal, scope: str) -> None:
    """Scopes narrow: with fewer of them the same or less is allowed, and never more than the roles grant."""
    narrowed = replace(principal, scopes=principal.scopes - {scope})
    assert allowed(narrowed) <= allowed(principal) <= POLICY.granted_to(principal.roles)


@given(PRINCIPALS, st.sampled_from(["viewer", "operator", "admin", "ghost"]))
def test_a_role_taken_away_never_allows_more(principal: Principal, role: str) -> None:
    assert allowed(replace(principal, roles=principal.roles - {role})) <= allowed(principal)


@given(PRINCIPALS)
def test_nothing_is_allowed_without_a_role_or_without_a_scope(principal: Principal) -> None:
    assert allowed(replace(principal, roles=frozenset())) == set()
    assert allowed(replace(principal, scopes=frozenset())) == set()


@given(PRINCIPALS, st.one_of(st.text(max_size=20), st.sampled_from(["*", "workflow:*", "workflow:raed", "audit"])))
def test_what_is_not_declared_is_denied_to_everybody(principal: Principal, permission: str) -> None:
    """Also to an admin, and also when a wildcard would match the text."""
    if permission not in PERMISSIONS:
        decision = POLICY.decide(replace(principal, roles=frozenset({"admin"}), scopes=EVERY_SCOPE), permission)
        assert (decision.allowed, decision.reason) == (False, "no such permission is declared")


def test_a_decision_says_why() -> None:
    """For logs: who, what, and which role or scope made the difference."""
    principal = Principal("ada", "key", frozenset({"operator"}), frozenset({"audit:*"}))
    assert POLICY.decide(principal, "audit:read").reason == "no role of ['operator'] grants it"
    assert POLICY.decide(principal, "workflow:write").reason == (
        "role operator grants it, no scope of ['audit:*'] does"
    )
    decision = POLICY.decide(replace(principal, scopes=EVERY_SCOPE), "workflow:write")
    assert (decision.allowed, decision.subject, decision.reason) == (True, "ada", "role operator grants it")


def test_every_mistake_of_a_policy_is_told_at_once() -> None:
    """A cycle, a role that is none, a pattern that is none, one that holds for nothing, a name that is none."""
    roles = {
        "a": Role(includes=("b",)),
        "b": Role(includes=("a", "nobody")),
        "c": Role(may=("workflow", "audit:write", "*:read")),
        "No": Role(),
    }
    with pytest.raises(InvalidPolicy) as caught:
        Policy([*PERMISSIONS, "broken"], roles)
    text = str(caught.value)
    for part in ("'broken'", "role a: includes itself", "'nobody'", "'workflow'", "'audit:write'", "'*:read'", "'No'"):
        assert part in text
    assert len(caught.value.problems) == 8


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), min_size=1))
def test_inheritance_ends_or_is_refused(includes: dict[str, list[str]]) -> None:
    """Whatever includes what: either a policy without a cycle, in which a role grants all below it, or an error."""
    roles = {name: Role((f"{name}:do",), tuple(others)) for name, others in includes.items()}

    def below(name: str) -> set[str]:
        found: set[str] = set()
        waiting = list(includes.get(name, ()))
        while waiting:
            if (other := waiting.pop()) not in found:
                found.add(other)
                waiting += includes.get(other, ())
        return found

    permissions = [f"{name}:do" for name in roles]
    if any(name in below(name) or not below(name) <= roles.keys() for name in roles):
        with pytest.raises(InvalidPolicy):
            Policy(permissions, roles)
        return
    policy = Policy(permissions, roles)
    for name in includes:
        assert policy.granted_to([name]) == {f"{one}:do" for one in {name, *below(name)}}


@pytest.mark.parametrize(
    "data",
    [
        [],
        {},
        {"permissions": []},
        {"permissions": "workflow:read", "roles": {}},
        {"permissions": [1], "roles": {}},
        {"permissions": [], "roles": []},
        {"permissions": [], "roles": {}, "extra": 1},
        {"permissions": [], "roles": {"a": []}},
        {"permissions": [], "roles": {"a": {"may": "*"}}},
        {"permissions": [], "roles": {"a": {"allow": []}}},
        {"permissions": [], "roles": {1: {}}},
    ],
)
def test_data_of_another_shape_is_refused(data: Any) -> None:
    with pytest.raises(InvalidPolicy):
        Policy.from_data(data)
