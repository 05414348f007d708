"""Message: one CloudEvent 1.0, checked when it is made; to and from structured JSON."""

import base64
import binascii
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from maestro_core_messaging._errors import InvalidMessage

DATA_LIMIT_BYTES: Final = 64 * 1024
"""Largest data, as UTF-8 JSON without spaces, text or bytes. Put what is larger into a store, and send its address."""

ATTRIBUTE_LIMIT_BYTES: Final = 1024
EXTENSION_LIMIT: Final = 32
ENVELOPE_LIMIT_BYTES: Final = 512 * 1024
"""More is refused unread: no valid message is longer, however its producer escapes."""

_JSON_TYPE = re.compile(r"[^/\s;]+/([^/\s;]+\+)?json\s*(;.*)?", re.IGNORECASE)
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")
# Without spaces, quotes and <>\\^`{|}; letters beyond ASCII are let through, as many producers send them.
_URI_REFERENCE = re.compile(r"[!#-;=?-\[\]_a-z~\x80-\U0010ffff]+")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:.+", re.DOTALL)
# What the CloudEvents type String leaves out: control characters, surrogates, noncharacters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.(?P<fraction>\d+))?(?:[Zz]|[+-]\d\d:\d\d)")
_STANDARD: Final = ("id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
_RESERVED: Final = frozenset({*_STANDARD, "specversion", "data"})
_MAX_DEPTH: Final = 64


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid.uuid4())


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One CloudEvent; `source` and `id` together name it for ever, and equal pairs are the same message.

    `data` is plain JSON, bytes, or text where `datacontenttype` is no JSON type; None is no data. `time` is aware.
    The extension `partitionkey` is the key by which order is kept. Raises InvalidMessage with all that is wrong.
    """

    type: str
    source: str
    data: Any = None
    id: str = field(default_factory=_new_id)
    subject: str | None = None
    time: datetime | None = field(default_factory=_now)
    datacontenttype: str | None = None
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = [*_attribute_problems(self), *_extension_problems(self.extensions)]
        if not problems:
            problems += _data_problems(self.data, self.datacontenttype)
        if problems:
            raise InvalidMessage(*problems)
        object.__setattr__(self, "extensions", dict(self.extensions))

    @property
    def key(self) -> str | None:
        """Messages of one key reach a group in their order; those with none, or an empty one, in any order."""
        return self.extensions.get("partitionkey") or None

    def to_json(self) -> str:
        """This message in CloudEvents' structured JSON."""
        event: dict[str, Any] = {"specversion": "1.0", "id": self.id, "source": self.source, "type": self.type}
        event |= {name: getattr(self, name) for name in ("subject", "datacontenttype", "dataschema")}
        event["time"] = None if self.time is None else _time_text(self.time)
        event |= self.extensions
        if isinstance(self.data, bytes):
            event["data_base64"] = base64.b64encode(self.data).decode("ascii")
        else:
            event["data"] = self.data
        return _compact({name: value for name, value in event.items() if value is not None})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Message":
        """Read one CloudEvent in structured JSON; raises InvalidMessage whatever else it is given."""
        event = _object(text)
        version = event.pop("specversion", None)
        if version != "1.0":
            raise InvalidMessage(f"specversion: must be '1.0', not {version!r:.80}")
        event = {name: value for name, value in event.items() if value is not None}
        data = _read_data(event)
        try:
            time = None if "time" not in event else _read_time(event["time"])
        except ValueError:
            raise InvalidMessage(f"time: must be an RFC 3339 time, not {event['time']!r:.80}") from None
        standard = {name: event.get(name) for name in _STANDARD if name != "time"}
        extensions = {name: _canonical(value) for name, value in event.items() if name not in _RESERVED}
        return cls(**standard, time=time, data=data, extensions=extensions)  # type: ignore[arg-type] # they are checked


def _attribute_problems(message: Message) -> Iterator[str]:
    for name in ("id", "source", "type"):
        yield from _text_problems(name, getattr(message, name))
    for name in ("subject", "datacontenttype", "dataschema"):
        if getattr(message, name) is not None:
            yield from _text_problems(name, getattr(message, name))
    if isinstance(message.source, str) and not _URI_REFERENCE.fullmatch(message.source):
        yield f"source: must be a URI reference, not {message.source!r:.80}"
    if isinstance(message.dataschema, str) and not (
        _URI.fullmatch(message.dataschema) and _URI_REFERENCE.fullmatch(message.dataschema)
    ):
        yield f"dataschema: must be an absolute URI, not {message.dataschema!r:.80}"
    time = message.time
    if time is not None and (not isinstance(time, datetime) or time.utcoffset() is None):
        yield f"time: must be a datetime with a time zone, not {time!r:.80}"


def _text_problems(name: str, value: object, *, empty: bool = False) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{name}: must be text, not {type(value).__name__}" if value is not None else f"{name}: is missing"
    elif not value and not empty:
        yield f"{name}: must not be empty"
    elif match := _FORBIDDEN.search(value):
        yield f"{name}: holds the character {match[0]!r}, which CloudEvents do not allow"
    elif len(value.encode()) > ATTRIBUTE_LIMIT_BYTES:
        yield f"{name}: is longer than {ATTRIBUTE_LIMIT_BYTES} bytes"


def _extension_problems(extensions: Mapping[str, str]) -> Iterator[str]:
    if not isinstance(extensions, Mapping):
        yield f"extensions: must be a mapping, not {type(extensions).__name__}"
        return
    if len(extensions) > EXTENSION_LIMIT:
        yield f"extensions: {len(extensions)} of them, and {EXTENSION_LIMIT} are allowed"
    for name, value in extensions.items():
        if not isinstance(name, str) or not _EXTENSION_NAME.fullmatch(name) or name in _RESERVED:
            yield f"{name!r:.40}: an extension's name is 1 to 20 small letters and digits, and none of CloudEvents' own"
        else:
            yield from _text_problems(name, value, empty=True)


def _data_problems(data: object, datacontenttype: str | None) -> Iterator[str]:
    if isinstance(data, bytes):
        size = len(data)
    elif datacontenttype is not None and not _JSON_TYPE.fullmatch(datacontenttype):
        if not (data is None or isinstance(data, str)):
            yield f"data: must be text or bytes where datacontenttype is {datacontenttype!r}"
            return
        size = len((data or "").encode(errors="surrogatepass"))
    else:
        try:
            _check_plain(data, "data", 0)
            size = len(_compact(data).encode())
        except ValueError as error:  # a UnicodeEncodeError for a lone surrogate, an int of too many digits, our own
            yield str(error) if str(error).startswith("data") else f"data: {error}"
            return
    if size > DATA_LIMIT_BYTES:
        yield f"data: is {size} bytes, and {DATA_LIMIT_BYTES} are allowed; store it elsewhere and send its address"


def _check_plain(value: object, path: str, depth: int) -> None:
    """Raise ValueError where JSON would not give the same value back."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"data: is nested more than {_MAX_DEPTH} deep")
    match value:
        case None | bool() | int() | str():
            return
        case float():
            if value != value or value in (float("inf"), float("-inf")):
                raise ValueError(f"{path}: {value} is no JSON number")
        case list():
            for index, item in enumerate(value):
                _check_plain(item, f"{path}/{index}", depth + 1)
        case dict():
            for name, item in value.items():
                if not isinstance(name, str):
                    raise ValueError(f"{path}: the name {name!r:.40} is no text")
                _check_plain(item, f"{path}/{name:.40}", depth + 1)
        case _:
            raise ValueError(f"{path}: {type(value).__name__} is no JSON type")


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _time_text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _read_time(value: object) -> datetime:
    found = _TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError("not RFC 3339")
    text = found[0].upper()
    if found["fraction"]:  # datetime holds microseconds
        text = text.replace("." + found["fraction"], f".{found['fraction'][:6]:0<6}", 1)
    return datetime.fromisoformat(text).astimezone(UTC)


def _object(text: str | bytes) -> dict[str, Any]:
    if len(text) > ENVELOPE_LIMIT_BYTES:
        raise InvalidMessage(f"the envelope is longer than {ENVELOPE_LIMIT_BYTES} bytes")
    try:
        event = json.loads(text.decode() if isinstance(text, bytes) else text, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidMessage("not JSON that can be read: nested too deep") from None
    except ValueError as error:
        raise InvalidMessage(f"not JSON: {error}") from None
    if not isinstance(event, dict):
        raise InvalidMessage(f"a CloudEvent is a JSON object, not {type(event).__name__}")
    return event


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _read_data(event: dict[str, Any]) -> Any:
    encoded = event.pop("data_base64", None)
    if encoded is None:
        return event.pop("data", None)
    if "data" in event:
        raise InvalidMessage("data_base64: stands beside data, and only one may")
    try:
        return base64.b64decode(encoded, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise InvalidMessage("data_base64: is not base64") from None


_CANONICAL: Final[Mapping[type, Callable[[Any], str]]] = {bool: lambda value: "true" if value else "false", int: str}


def _canonical(value: Any) -> Any:
    """An extension as text, as CloudEvents write a Boolean or an Integer; anything else is left for the checks."""
    write = _CANONICAL.get(type(value))
    return value if write is None or abs(value) >= 2**31 else write(value)
