"""The envelope: strict, whole, and the same to the official SDK of CloudEvents."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_messaging import DATA_LIMIT_BYTES, InvalidMessage, Message

_CHARACTERS = st.characters(exclude_categories=["Cc", "Cs", "Cn", "Co"])
texts = st.text(_CHARACTERS, min_size=1, max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(_CHARACTERS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(_CHARACTERS), inner, max_size=4),
    max_leaves=12,
)
times = st.datetimes(timezones=st.just(UTC))
_OWN = {"id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "specversion", "data"}
extension_names = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True).filter(lambda name: name not in _OWN)
messages = st.builds(
    Message,
    type=texts,
    source=st.from_regex(r"/[a-z0-9/_.-]{0,20}", fullmatch=True),
    id=texts,
    subject=st.none() | texts,
    time=st.none() | times,
    data=json_values | st.binary(max_size=50),
    datacontenttype=st.sampled_from([None, "application/json", "application/problem+json; charset=utf-8"]),
    dataschema=st.none() | st.just("https://example.org/schema.json#v1"),
    extensions=st.dictionaries(extension_names, st.text(_CHARACTERS, max_size=20), max_size=5),
)


@given(messages)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert Message.from_json(message.to_json()) == message
    assert Message.from_json(message.to_json().encode()) == message


@given(messages)
def test_the_official_sdk_reads_what_we_write(message: Message) -> None:
    event = JSONFormat().read(CloudEvent, message.to_json())
    assert (event.get_id(), event.get_source(), event.get_type()) == (message.id, message.source, message.type)
    assert event.get_specversion() == "1.0"
    assert (event.get_subject(), event.get_dataschema()) == (message.subject, message.dataschema)
    assert event.get_datacontenttype() == message.datacontenttype
    assert event.get_data() == message.data
    assert message.time is None or event.get_time() == message.time
    for name, value in message.extensions.items():
        assert event.get_extension(name) == value


@given(messages)
def test_we_read_what_the_official_sdk_writes(message: Message) -> None:
    attributes: dict[str, Any] = {"id": message.id, "source": message.source, "type": message.type}
    for name in ("subject", "dataschema", "datacontenttype", "time"):
        if getattr(message, name) is not None:
            attributes[name] = getattr(message, name)
    written = JSONFormat().write(CloudEvent({**attributes, **message.extensions}, message.data))
    ours = Message.from_json(written)
    # The SDK gives an event without a time the time of its making.
    if message.time is None:
        ours = Message(**{name: getattr(ours, name) for name in ours.__slots__ if name != "time"}, time=None)
    assert ours == message


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_is_read_is_a_message_or_refused(body: bytes | str) -> None:
    with pytest.raises(InvalidMessage):
        Message.from_json(body)


@given(
    st.fixed_dictionaries(
        {"specversion": st.just("1.0")},
        optional=dict.fromkeys([*(_OWN - {"specversion"}), "data_base64", "ext", "Bad", "x" * 21], json_values),
    )
)
def test_objects_of_any_kind_are_read_or_refused(event: dict[str, Any]) -> None:
    """Nothing but InvalidMessage, and what is read can be written."""
    try:
        message = Message.from_json(json.dumps(event))
    except InvalidMessage:
        return
    assert Message.from_json(message.to_json()) == message


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"type": ""}, "type: must not be empty"),
        ({"type": None}, "type: is missing"),
        ({"id": 7}, "id: must be text, not int"),
        ({"id": "a\nb"}, "id: holds the character '\\n', which CloudEvents do not allow"),
        ({"id": "\ud800"}, "id: holds the character '\\ud800', which CloudEvents do not allow"),
        ({"subject": "x" * 1025}, "subject: is longer than 1024 bytes"),
        ({"source": "two words"}, "source: must be a URI reference, not 'two words'"),
        ({"dataschema": "relative/path"}, "dataschema: must be an absolute URI, not 'relative/path'"),
        ({"data": {1, 2}}, "data: set is no JSON type"),
        ({"data": {"a": [float("nan")]}}, "data/a/0: nan is no JSON number"),
        ({"data": {1: 2}}, "data: the name 1 is no text"),
        ({"data": (1,)}, "data: tuple is no JSON type"),
        (
            {"data": 7, "datacontenttype": "text/plain"},
            "data: must be text or bytes where datacontenttype is 'text/plain'",
        ),
        (
            {"extensions": {"Tenant": "a"}},
            "'Tenant': an extension's name is 1 to 20 small letters and digits, and none",
        ),
        ({"extensions": {"data": "a"}}, "'data': an extension's name is 1 to 20 small letters and digits, and none"),
        ({"extensions": {"tenant": 7}}, "tenant: must be text, not int"),
        ({"extensions": {f"e{n}": "" for n in range(33)}}, "extensions: 33 of them, and 32 are allowed"),
        ({"extensions": [("a", "b")]}, "extensions: must be a mapping, not list"),
    ],
)
def test_what_is_wrong_is_told(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        Message(**{"type": "t", "source": "/s", **wrong})
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(problem)


def test_all_that_is_wrong_is_told_at_once() -> None:
    naive = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(InvalidMessage) as caught:
        Message(type="", source="a b", id="", time=naive, extensions={"-": "x"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["id", "type", "source", "time", "'-'"]


@pytest.mark.parametrize(
    "data", ["x" * (DATA_LIMIT_BYTES - 2), b"x" * DATA_LIMIT_BYTES, "ü" * (DATA_LIMIT_BYTES // 2 - 1)]
)
def test_data_may_be_64_kib_and_not_a_byte_more(data: Any) -> None:
    """As bytes, or as UTF-8 JSON with its quotes."""
    assert Message.from_json(Message(type="t", source="/s", data=data).to_json()).data == data
    with pytest.raises(InvalidMessage, match=r"is 6553[78] bytes"):
        Message(type="t", source="/s", data=data + data[:1])


def test_deep_data_is_refused_and_no_recursion_error() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InvalidMessage, match="nested more than 64 deep"):
        Message(type="t", source="/s", data=deep)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "not JSON"),
        (b"\xff", "not JSON"),
        ("[" * 200_000, "nested too deep"),
        ("[]", "a CloudEvent is a JSON object, not list"),
        ('{"specversion":"0.3"}', "specversion: must be '1.0', not '0.3'"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","data":NaN}', "NaN is no JSON number"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","data":1,"data_base64":"AA=="}', "only one may"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","data_base64":"*"}', "is not base64"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","data_base64":7}', "is not base64"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","time":"yesterday"}', "must be an RFC 3339 time"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","time":"2026-13-01T00:00:00Z"}', "RFC 3339"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","time":7}', "must be an RFC 3339 time, not 7"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","ext":[1]}', "ext: must be text, not list"),
        ('{"specversion":"1.0","type":"t","source":"/s","id":"1","ext":2147483648}', "ext: must be text, not int"),
        (" " * 600_000, "the envelope is longer than 524288 bytes"),
        (f'{{"specversion":"1.0","type":"t","source":"/s","id":"1","data":{"9" * 5000}}}', "not JSON"),
    ],
)
def test_envelopes_that_are_none_are_refused_with_a_reason(body: str | bytes, problem: str) -> None:
    with pytest.raises(InvalidMessage, match=problem.replace("[", r"\[")):
        Message.from_json(body)


def test_attributes_of_other_types_and_nulls_are_read_as_cloudevents_say() -> None:
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "subject": None, "flag": True, "count": -5}
    message = Message.from_json(json.dumps(event))
    assert (message.subject, message.time, message.data) == (None, None, None)
    assert message.extensions == {"flag": "true", "count": "-5"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-17T01:02:03Z", datetime(2026, 5, 17, 1, 2, 3, tzinfo=UTC)),
        ("2026-05-17t01:02:03.5z", datetime(2026, 5, 17, 1, 2, 3, 500000, tzinfo=UTC)),
        ("2026-05-17T01:02:03.123456789+02:00", datetime(2026, 5, 16, 23, 2, 3, 123456, tzinfo=UTC)),
    ],
)
def test_times_of_rfc_3339_are_read(text: str, expected: datetime) -> None:
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "time": text}
    assert Message.from_json(json.dumps(event)).time == expected


def test_a_time_of_any_zone_is_written_in_utc() -> None:
    time = datetime(2026, 5, 17, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert json.loads(Message(type="t", source="/s", time=time).to_json())["time"] == "2026-05-16T23:00:00Z"


def test_a_message_has_an_id_a_time_and_perhaps_a_key() -> None:
    one, two = Message(type="t", source="/s"), Message(type="t", source="/s", extensions={"partitionkey": "k"})
    assert one.id != two.id
    assert one.time is not None
    assert (one.key, two.key) == (None, "k")
    assert Message(type="t", source="/s", extensions={"partitionkey": ""}).key is None


def test_a_message_does_not_change_with_the_mapping_it_was_made_of() -> None:
    extensions = {"tenant": "a"}
    message = Message(type="t", source="/s", extensions=extensions)
    extensions["tenant"] = "b"
    assert message.extensions == {"tenant": "a"}
