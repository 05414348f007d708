"""What goes over HTTP: JSON to the package's own shapes, each part checked, on both sides."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, get_args

from maestro_service_registry._errors import (
    InvalidRequest,
    LeaseHeld,
    LeaseLost,
    NotAllowed,
    RegistryError,
    StoreError,
    TooMany,
    UnknownInstance,
    Unreachable,
)
from maestro_service_registry._model import (
    MAX_TTL_S,
    STATUSES,
    Change,
    ChangeKind,
    Changes,
    Instance,
    Lease,
    Probe,
    Registration,
    Snapshot,
    Status,
)

T = TypeVar("T")

MAX_BODY_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 128 * 1024 * 1024
"""More than 10,000 instances or changes have, with all the labels that they may have."""

ERRORS: Final[Mapping[str, type[RegistryError]]] = {
    error.code: error for error in (LeaseHeld, LeaseLost, NotAllowed, StoreError, TooMany, UnknownInstance)
}


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object; raises InvalidRequest for anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest([f"body: is not JSON ({error})"]) from error
    if not isinstance(data, dict):
        raise InvalidRequest(["body: is not a JSON object"])
    return data


class Fields:
    """Takes an object apart by name and type, and collects what is wrong with it."""

    def __init__(self, data: Mapping[str, Any], at: str = "") -> None:
        self._left = dict(data)
        self._at = at
        self.problems: list[str] = []

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """The value under a name; what is missing or of another type is a problem and reads as an empty one."""
        value = self._left.pop(name, default)
        if kind is float and type(value) is int and abs(value) < 2**53:
            value = float(value)
        # bool is an int for Python and not for JSON.
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        self.problems.append(f"{self._at}{name}: {'missing' if value is None else f'is not {_NAMES[kind]}'}")
        return kind()

    def take_optional(self, name: str, kind: type[T]) -> T | None:
        """The value under a name, or None when it is not there or null."""
        return self.take(name, kind) if self.has(name) else None

    def has(self, name: str) -> bool:
        """Whether there is a value under a name; null is none."""
        if self._left.get(name) is None:
            self._left.pop(name, None)
        return name in self._left

    def end(self) -> None:
        """Raise InvalidRequest when anything was wrong, or is left over."""
        problems = self.problems + [f"{self._at}{name[:80]}: unknown" for name in self._left]
        if problems:
            raise InvalidRequest(problems)


_NAMES: Final[Mapping[type, str]] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    dict: "an object",
    list: "a list",
}


def read_registration(data: Mapping[str, Any]) -> tuple[Registration, str]:
    """A registration and its holder's key."""
    fields = Fields(data)
    key = fields.take("key", str)
    if not 16 <= len(key) <= 128:
        fields.problems.append("key: 16 to 128 characters that nobody can guess")
    probe = fields.take_optional("probe", dict)
    given: dict[str, Any] = {name: fields.take(name, str) for name in ("service", "instance", "url")}
    given |= {"contract": fields.take_optional("contract", str), "labels": fields.take("labels", dict, {})}
    given["ttl_s"] = fields.take("ttl_s", float, 15.0)
    fields.end()
    return Registration(**given, probe=_probe(probe) if probe is not None else None), key


def _probe(data: Mapping[str, Any]) -> Probe:
    fields = Fields(data, "probe.")
    probe = Probe(
        fields.take("path", str), fields.take("interval_s", float, 10.0), fields.take("timeout_s", float, 2.0)
    )
    fields.end()
    return probe


def read_renewal(data: Mapping[str, Any], service: str, instance: str) -> tuple[Lease, Status | None]:
    """What a holder shows to renew, and how it is."""
    fields = Fields(data)
    status = _status(fields) if fields.has("status") else None
    lease = Lease(service, instance, fields.take("token", int), fields.take("key", str), 0.0)
    fields.end()
    return lease, status


def read_instance(data: object) -> Instance:
    """An instance as `as_json` writes it, by the rules of a registration: a server is not to be believed everything."""
    if not isinstance(data, dict):
        raise InvalidRequest(["instance: is not an object"])
    fields = Fields(data)
    probe = fields.take_optional("probe", dict)
    instance = Instance(
        service=fields.take("service", str),
        instance=fields.take("instance", str),
        url=fields.take("url", str),
        status=_status(fields),
        registered_at=_time(fields, "registered_at"),
        renewed_at=_time(fields, "renewed_at"),
        contract=fields.take_optional("contract", str),
        labels=fields.take("labels", dict),
        token=fields.take("token", int),
        ttl_s=fields.take("ttl_s", float),
        probe=_probe(probe) if probe is not None else None,
    )
    if fields.problems:
        raise InvalidRequest(fields.problems)
    Registration(
        instance.service,
        instance.instance,
        instance.url,
        instance.contract,
        instance.labels,
        instance.ttl_s,
        instance.probe,
    )
    return instance


def _status(fields: Fields) -> Status:
    text = fields.take("status", str)
    for known in STATUSES:
        if text == known:
            return known
    fields.problems.append(f"status: one of {', '.join(STATUSES)}")
    return "failing"


def _time(fields: Fields, name: str) -> datetime:
    text = fields.take(name, str)
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        fields.problems.append(f"{name}: is not a time")
        return datetime.min.replace(tzinfo=UTC)


def read_snapshot(data: Mapping[str, Any]) -> Snapshot:
    """A snapshot as the server writes it."""
    fields = Fields(data)
    revision, items = fields.take("revision", int), fields.take("items", list)
    fields.end()
    return Snapshot(revision, tuple(read_instance(item) for item in items))


def read_changes(data: Mapping[str, Any]) -> Changes:
    """A page of changes as the server writes it."""
    fields = Fields(data)
    revision, items, lost = fields.take("revision", int), fields.take("items", list), fields.take("lost", bool)
    fields.end()
    return Changes(revision, tuple(_change(item) for item in items), lost)


def _change(data: object) -> Change:
    fields = Fields(data if isinstance(data, dict) else {})
    revision, kind, instance = fields.take("revision", int), fields.take("kind", str), fields.take("instance", dict)
    if kind not in get_args(ChangeKind):
        fields.problems.append("kind: unknown")
    fields.end()
    return Change(revision, kind, read_instance(instance))  # type: ignore[arg-type]  # looked at above


def answered(read: Callable[[dict[str, Any]], T], body: bytes, what: str) -> T:
    """Read a server's answer; raises Unreachable when it is not that of a registry."""
    try:
        return read(read_object(body))
    except InvalidRequest as error:
        raise Unreachable(f"{what} does not answer as a registry does: {error}") from error


def error_document(error: RegistryError) -> dict[str, Any]:
    """An error as plain data."""
    document: dict[str, Any] = {"code": error.code, "message": str(error)}
    if isinstance(error, InvalidRequest):
        document["problems"] = list(error.problems)
    if error.retry_after_s is not None:
        document["retry_after_s"] = error.retry_after_s
    return document


def error_of(data: Mapping[str, Any]) -> RegistryError:
    """The error that a document tells of; Unreachable for one that no registry tells."""
    code, message, after_s = data.get("code"), data.get("message"), data.get("retry_after_s")
    text = _shown(message if isinstance(message, str) else "no reason given")
    problems = data.get("problems")
    if code == InvalidRequest.code and isinstance(problems, list):
        return InvalidRequest([_shown(str(problem)) for problem in problems[:100]])
    known = ERRORS.get(code) if isinstance(code, str) else None
    if known is None:
        return Unreachable(f"the server does not answer as a registry does: {text[:200]}")
    if not isinstance(after_s, int | float) or not 0 <= after_s <= MAX_TTL_S:
        after_s = None
    return known(text, retry_after_s=after_s)


def _shown(text: str) -> str:
    """What a server says, as it may stand in a log and on a terminal."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:1000])
