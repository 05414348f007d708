"""What is written: an event as the caller gives it, and the entry that the log makes of it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from maestro_audit_logger._canonical import JSON, canonical
from maestro_audit_logger._errors import InvalidEvent, LogDamaged

MAX_ENTRY_BYTES = 65_536
MAX_NAME_CHARS = 512
# Control characters, line and paragraph separators, and those that turn the direction of writing: in a name they only
# serve to make one name look like another, or to break a line of an export.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
NOTHING: Mapping[str, Any] = MappingProxyType({})
OWN_ACTIONS = "audit."


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be appended: who did what to what, and how it ended.

    `actor`, `object` and the subjects of `personal` stay in the log forever: use opaque ids, not names or addresses.
    `personal` holds, for each subject, the values that `erase(subject)` can take back later.
    """

    actor: str
    action: str
    object: str
    outcome: str = "success"
    details: Mapping[str, JSON] = field(default_factory=dict)
    context: Mapping[str, JSON] = field(default_factory=dict)
    personal: Mapping[str, Mapping[str, JSON]] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log; `personal` maps subject and field to the sealed value."""

    seq: int
    at: datetime
    actor: str
    action: str
    object: str
    outcome: str
    details: Mapping[str, Any]
    context: Mapping[str, Any]
    personal: Mapping[str, Mapping[str, str]]
    line: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What `append` gives back: the entry's number, its time, and the hash that an inclusion proof starts from."""

    seq: int
    at: datetime
    entry_hash: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event that was checked and encoded, but for what only the log knows: its time, number and sealed values."""

    before_at: str
    after_at: str
    personal: Mapping[str, Mapping[str, str]]

    def line(self, at: str, seq: int, sealed: Mapping[str, Mapping[str, str]]) -> bytes:
        """The entry as a line of the log, without the newline."""
        personal = f',"personal":{canonical(sealed)}' if sealed else ""
        return f'{self.before_at}"{at}"{self.after_at}{personal},"seq":{seq}}}'.encode()


def check_name(name: str, what: str, limit: int = MAX_NAME_CHARS) -> str:
    """The text, or InvalidEvent where it may not name something."""
    if not isinstance(name, str) or not 0 < len(name) <= limit:
        raise InvalidEvent(f"{what}: must be a text of 1 to {limit} characters")
    if match := _UNFIT.search(name):
        raise InvalidEvent(f"{what}: holds U+{ord(match[0]):04X}; a name is on one line and has no invisible marks")
    return name


def prepare(event: Event, *, is_own: bool = False) -> Prepared:
    """Check and encode an event; raises InvalidEvent. Only the log itself writes what a verifier believes of it."""
    members = {}
    if not is_own and isinstance(event.action, str) and event.action.startswith(OWN_ACTIONS):
        raise InvalidEvent(f"action: {OWN_ACTIONS}… is what the log says of itself; call it otherwise")
    for what in ("action", "actor", "object", "outcome"):
        members[what] = canonical(check_name(getattr(event, what), what))
    for what in ("context", "details"):
        value = getattr(event, what)
        if not isinstance(value, Mapping):
            raise InvalidEvent(f"{what}: must be a mapping, not {type(value).__name__}")
        if value:
            members[what] = _encoded(value, what)
    before = f'{{"action":{members.pop("action")},"actor":{members.pop("actor")},"at":'
    after = "".join(f',"{what}":{members[what]}' for what in sorted(members))
    prepared = Prepared(before, after, _personal(event.personal))
    # A sealed value takes up to 4/3 of its text and 32 bytes each of tag and padding.
    sealed = sum(
        len(name) + 100 + 2 * len(value) for values in prepared.personal.values() for name, value in values.items()
    )
    if (size := len(before.encode()) + len(after.encode()) + sealed + 100) > MAX_ENTRY_BYTES:
        raise InvalidEvent(f"the entry has about {size} bytes, and {MAX_ENTRY_BYTES} are the limit; log a reference")
    return prepared


def _personal(personal: Mapping[str, Mapping[str, JSON]]) -> dict[str, dict[str, str]]:
    encoded: dict[str, dict[str, str]] = {}
    if not isinstance(personal, Mapping):
        raise InvalidEvent("personal: must map a subject to its values")
    for subject, values in personal.items():
        check_name(subject, "personal: the subject")
        if not isinstance(values, Mapping) or not values:
            raise InvalidEvent("personal: a subject must map names to values")
        encoded[subject] = {
            check_name(name, "personal: the name of a value"): _encoded(value, "personal", secret=True)
            for name, value in values.items()
        }
    return encoded


def _encoded(value: object, what: str, *, secret: bool = False) -> str:
    try:
        return canonical(value)
    except ValueError as error:
        raise InvalidEvent(f"{what}: a value is not JSON" if secret else f"{what}{error}") from None


def time_text(at: datetime) -> str:
    """A time as the log writes it: RFC 3339, UTC, always with six digits, so that texts sort as times do."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone; use aware datetimes")
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse_time(text: str) -> datetime:
    """Read what `time_text` wrote."""
    return datetime.fromisoformat(text)


def parse_entry(line: bytes) -> Entry:
    """Read a line of the log; raises LogDamaged."""
    try:
        data = json.loads(line)
        return Entry(
            seq=data["seq"],
            at=parse_time(data["at"]),
            actor=data["actor"],
            action=data["action"],
            object=data["object"],
            outcome=data["outcome"],
            details=data.get("details", {}),
            context=data.get("context", {}),
            personal=data.get("personal", {}),
            line=line,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LogDamaged(f"a line of the log is no entry: {line[:80]!r}; verify the log") from error
