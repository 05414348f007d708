"""What a registry holds and tells: instances, their leases, queries and changes; plain data with one way to JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from maestro_service_registry._contract import is_compatible, parse_version
from maestro_service_registry._errors import InvalidRequest

Status = Literal["passing", "failing", "draining"]
STATUSES: Final[tuple[Status, ...]] = ("passing", "failing", "draining")

MIN_TTL_S: Final = 0.5
MAX_TTL_S: Final = 3600.0
MAX_LABELS: Final = 32

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", re.ASCII)
_LABEL_VALUE = re.compile(r"[\x21-\x7e]{0,128}", re.ASCII)
_PATH = re.compile(r"/[\x21-\x7e]{0,255}", re.ASCII)
_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


_NAME_RULE = "1 to 128 ASCII letters, digits, dots, dashes and underscores, beginning and ending with a letter or digit"


def is_name(text: object) -> bool:
    """Whether a text may name a service or an instance."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def label_problems(labels: Mapping[str, str]) -> list[str]:
    """What is wrong with a set of labels."""
    problems = [f"labels: at most {MAX_LABELS}"] if len(labels) > MAX_LABELS else []
    for name, value in list(labels.items())[:MAX_LABELS]:
        if not is_name(name):
            problems.append(f"labels: the name {str(name)[:80]!r} is not {_NAME_RULE}")
        elif not isinstance(value, str) or not _LABEL_VALUE.fullmatch(value):
            problems.append(f"labels.{name}: at most 128 visible ASCII characters without spaces")
    return problems


@dataclass(frozen=True, slots=True)
class Probe:
    """How the registry asks an instance whether it is well: a GET on its own address that answers 2xx.

    Each success renews the lease, so a service that knows nothing of the registry can be in it.
    """

    path: str
    interval_s: float = 10.0
    timeout_s: float = 2.0

    def problems(self) -> list[str]:
        """What is wrong with it."""
        found = []
        if not _PATH.fullmatch(self.path):
            found.append("probe.path: begins with / and is at most 256 visible ASCII characters")
        if not 0.1 <= self.timeout_s <= self.interval_s <= MAX_TTL_S:
            found.append(f"probe: 0.1 <= timeout_s <= interval_s <= {MAX_TTL_S:.0f} has to hold")
        return found

    def as_json(self) -> dict[str, Any]:
        """The probe as plain data."""
        return {"path": self.path, "interval_s": self.interval_s, "timeout_s": self.timeout_s}


@dataclass(frozen=True, slots=True)
class Registration:
    """What a service says of itself when it registers; `instance` is the lease that at most one holder has."""

    service: str
    instance: str
    url: str
    contract: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS)
    ttl_s: float = 15.0
    probe: Probe | None = None

    def __post_init__(self) -> None:
        problems = [f"{name}: {_NAME_RULE}" for name in ("service", "instance") if not is_name(getattr(self, name))]
        problems += [f"url: {problem}" for problem in _url_problems(self.url)]
        if not MIN_TTL_S <= self.ttl_s <= MAX_TTL_S:
            problems.append(f"ttl_s: between {MIN_TTL_S} and {MAX_TTL_S:.0f} seconds")
        problems += label_problems(self.labels)
        if self.contract is not None:
            parse_version(self.contract)
        if self.probe is not None:
            problems += self.probe.problems()
            if self.probe.interval_s * 2 > self.ttl_s:
                problems.append(
                    "probe.interval_s: at most half of ttl_s, so that one lost probe does not end the lease"
                )
        if problems:
            raise InvalidRequest(problems)
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to be one instance for a while: what a holder keeps to itself and shows to renew.

    `token` is greater than that of every lease before it, of any instance: hand it to what you act on (`FencingGuard`,
    `fence`). `key` proves to the registry that the caller is the holder; it is in no listing.
    """

    service: str
    instance: str
    token: int
    key: str = field(repr=False)
    ttl_s: float


@dataclass(frozen=True, slots=True)
class Instance:
    """A registered instance as others see it; times are the registry's own wall clock, for people to read."""

    service: str
    instance: str
    url: str
    contract: str | None
    labels: Mapping[str, str]
    status: Status
    token: int
    ttl_s: float
    probe: Probe | None
    registered_at: datetime
    renewed_at: datetime

    def as_json(self) -> dict[str, Any]:
        """The instance as plain data."""
        return {
            "service": self.service,
            "instance": self.instance,
            "url": self.url,
            "contract": self.contract,
            "labels": dict(self.labels),
            "status": self.status,
            "token": self.token,
            "ttl_s": self.ttl_s,
            "probe": self.probe.as_json() if self.probe else None,
            "registered_at": self.registered_at.isoformat(),
            "renewed_at": self.renewed_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Query:
    """Which instances are asked for; None asks for any. A label fits when its value is the same."""

    service: str | None = None
    contract: str | None = None
    labels: Mapping[str, str] = field(default_factory=lambda: _NO_LABELS)
    status: Status | None = None

    def __post_init__(self) -> None:
        problems = label_problems(self.labels)
        if self.service is not None and not is_name(self.service):
            problems.append(f"service: {_NAME_RULE}")
        if self.status is not None and self.status not in STATUSES:
            problems.append(f"status: one of {', '.join(STATUSES)}")
        if problems:
            raise InvalidRequest(problems)
        if self.contract is not None:
            parse_version(self.contract)
        object.__setattr__(self, "labels", MappingProxyType(dict(self.labels)))

    def fits(self, instance: Instance) -> bool:
        """Whether an instance is one of those asked for; one that names no contract fits no wish for one."""
        if self.service not in (None, instance.service) or self.status not in (None, instance.status):
            return False
        if any(instance.labels.get(name) != value for name, value in self.labels.items()):
            return False
        if self.contract is None:
            return True
        offered = instance.contract
        return offered is not None and is_compatible(parse_version(offered), parse_version(self.contract))


ANY: Final = Query()
"""Asks for everything."""

ChangeKind = Literal["registered", "changed", "deregistered", "expired"]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that happened to an instance; `revision` counts all of them, from a random number on, without a gap."""

    revision: int
    kind: ChangeKind
    instance: Instance

    def as_json(self) -> dict[str, Any]:
        """The change as plain data."""
        return {"revision": self.revision, "kind": self.kind, "instance": self.instance.as_json()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was registered as of `revision`; the changes after it are the rest of the story."""

    revision: int
    instances: tuple[Instance, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened after a revision, in order; `lost` says that some of it is no longer known: take a new snapshot."""

    revision: int
    changes: tuple[Change, ...]
    lost: bool = False


def _url_problems(url: str) -> list[str]:
    rule = "http://HOST:PORT or https://HOST, with a path if need be"
    if not isinstance(url, str) or len(url) > 512 or not url.isascii() or any(ord(sign) <= 0x20 for sign in url):
        return [rule]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return [rule]
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        return [rule]
    if parts.username is not None or parts.query or parts.fragment:
        return ["no password, query or fragment belongs into it: everyone who asks can read it"]
    return []
