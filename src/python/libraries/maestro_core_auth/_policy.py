"""Who may do what: roles as data, decided without looking anywhere else, denied unless granted."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from maestro_core_auth._errors import InvalidPolicy
from maestro_core_auth._principal import Principal

_WORD = r"[a-z][a-z0-9]*(?:[-_.][a-z0-9]+)*"
_PERMISSION = re.compile(rf"{_WORD}:{_WORD}")
_PATTERN = re.compile(rf"\*|{_WORD}:(?:\*|{_WORD})")
_ROLE = re.compile(_WORD)


def is_pattern(text: str) -> bool:
    """Whether it is `noun:verb`, `noun:*` or `*`."""
    return bool(_PATTERN.fullmatch(text))


def is_role(text: str) -> bool:
    """Whether a role may be called so."""
    return bool(_ROLE.fullmatch(text))


def matches(pattern: str, permission: str) -> bool:
    """Whether a pattern holds for one permission."""
    return pattern in ("*", permission, permission.partition(":")[0] + ":*")


def covers(wide: Collection[str], narrow: Iterable[str]) -> bool:
    """Whether each pattern of `narrow` is within one of `wide`."""
    return all(any(matches(outer, inner) for outer in wide) for inner in narrow)


@dataclass(frozen=True, slots=True)
class Role:
    """What a role grants: patterns of permissions, and all that the roles it `includes` grant."""

    may: tuple[str, ...] = ()
    includes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether it is allowed, and why; the reason is for logs."""

    allowed: bool
    permission: str
    subject: str
    reason: str


class Policy:
    """Every permission there is, and the roles that grant them; raises InvalidPolicy with all that is wrong.

    A wildcard stands for the permissions declared here and for nothing else, so a misspelt permission is denied to
    everybody and refused where it is written.
    """

    def __init__(self, permissions: Iterable[str], roles: Mapping[str, Role]) -> None:
        self.permissions = frozenset(permissions)
        self.roles = dict(roles)
        problems = [
            f"permission {one!r}: is not written noun:verb"
            for one in sorted(self.permissions)
            if not _PERMISSION.fullmatch(one)
        ]
        for name, role in self.roles.items():
            problems += self._problems(name, role)
        if problems:
            raise InvalidPolicy(problems=tuple(problems))
        self._granted = {name: self._expand(name) for name in self.roles}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Policy":
        """Read `{"permissions": […], "roles": {name: {"may": […], "includes": […]}}}`."""
        roles: dict[str, Role] = {}
        problems: list[str] = [] if isinstance(data, Mapping) else ["(top): is not an object"]
        if not problems and set(data) != {"permissions", "roles"}:
            problems.append("(top): has to hold `permissions` and `roles`, and nothing else")
        elif not problems and not (_is_words(data["permissions"]) and isinstance(data["roles"], Mapping)):
            problems.append("(top): `permissions` is a list of texts, `roles` an object")
        if problems:
            raise InvalidPolicy(problems=tuple(problems))
        for name, role in data["roles"].items():
            known = isinstance(role, Mapping) and set(role) <= {"may", "includes"}
            if not isinstance(name, str) or not known or not all(_is_words(words) for words in role.values()):
                problems.append(f"role {name!r}: holds lists of texts called `may` and `includes`, and nothing else")
            else:
                roles[name] = Role(tuple(role.get("may", ())), tuple(role.get("includes", ())))
        if problems:
            raise InvalidPolicy(problems=tuple(problems))
        return cls(data["permissions"], roles)

    def decide(self, principal: Principal, permission: str) -> Decision:
        """Whether this principal may do that; denied unless a role grants it and a scope lets it through."""

        def decision(allowed: bool, reason: str) -> Decision:
            return Decision(allowed, permission, principal.subject, reason)

        if permission not in self.permissions:
            return decision(False, "no such permission is declared")
        granting = sorted(role for role in principal.roles if permission in self._granted.get(role, ()))
        if not granting:
            return decision(False, f"no role of {sorted(principal.roles)} grants it")
        if not any(matches(scope, permission) for scope in principal.scopes):
            return decision(False, f"role {granting[0]} grants it, no scope of {sorted(principal.scopes)} does")
        return decision(True, f"role {granting[0]} grants it")

    def granted_to(self, roles: Iterable[str]) -> frozenset[str]:
        """All that these roles grant, wildcards written out."""
        return frozenset().union(*(self._granted.get(role, ()) for role in roles))

    def _problems(self, name: str, role: Role) -> Iterable[str]:
        if not _ROLE.fullmatch(name):
            yield f"role {name!r}: is no lower-case word"
        for pattern in role.may:
            if not is_pattern(pattern):
                yield f"role {name}: {pattern!r} is neither noun:verb nor noun:* nor *"
            elif not any(matches(pattern, permission) for permission in self.permissions):
                yield f"role {name}: {pattern!r} holds for no declared permission"
        for other in role.includes:
            if other not in self.roles:
                yield f"role {name}: includes {other!r}, which is no role here"
        if name in self._below(name):
            yield f"role {name}: includes itself, by way of {sorted(role.includes)}"

    def _below(self, name: str) -> set[str]:
        """Every role that this one includes, directly or not."""
        found: set[str] = set()
        waiting = list(self.roles[name].includes)
        while waiting:
            other = waiting.pop()
            if other in self.roles and other not in found:
                found.add(other)
                waiting += self.roles[other].includes
        return found

    def _expand(self, name: str) -> frozenset[str]:
        patterns = {pattern for role in (name, *self._below(name)) for pattern in self.roles[role].may}
        return frozenset(one for one in self.permissions if any(matches(pattern, one) for pattern in patterns))


def _is_words(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(word, str) for word in value)
