"""RedisBroker: topics as Redis Streams."""

import re
from datetime import UTC, datetime
from typing import Final

from maestro_core_messaging._broker import DeadLetter, GroupStats, Start, Stored, Subscription, TopicStats
from maestro_core_messaging._checks import check_count, check_name, check_seconds
from maestro_core_messaging._errors import InvalidSetting, TopicFull, UnknownGroup
from maestro_core_messaging._message import Message
from maestro_core_messaging._read import readable
from maestro_core_messaging._redis import _scripts
from maestro_core_messaging._redis._keys import Keys, digest
from maestro_core_messaging._redis._link import Link
from maestro_core_messaging._redis._subscription import RedisSubscription

_ID: Final = re.compile(r"\d{1,20}-\d{1,20}")
_FLAT: Final = ("tenant", "traceparent")
"""Extensions that are fields of the entry too, for those who filter; `type` and `partitionkey` always are."""
_COUNTED: Final = 100_000
"""Where a server does not tell what a group has not read, that much is counted."""


class RedisBroker:
    """Topics in one Redis server, 6.2 or newer, or a Valkey; the stream of a topic is named `prefix` + topic.

    Entries hold the CloudEvent in the field `ce`; others may add such entries with XADD. For `remember_s` a source and
    id is published once (0: as often as asked). Nothing waits for an answer longer than `timeout_s`. More than
    `max_backlog` unfinished messages of a group refuse what would add to them. For one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        prefix: str = "maestro:streams:",
        remember_s: float = 600.0,
        max_backlog: int | None = None,
        timeout_s: float = 5.0,
        max_connections: int = 16,
    ) -> None:
        self._prefix = check_name("prefix", prefix)
        self._remember_ms = int(check_seconds("remember_s", remember_s, zero=True) * 1000)
        self._max_backlog = 0 if max_backlog is None else check_count("max_backlog", max_backlog)
        self._link = Link(
            url,
            username=username,
            password=password,
            timeout_s=check_seconds("timeout_s", timeout_s),
            max_connections=check_count("max_connections", max_connections),
        )

    async def publish(self, topic: str, *messages: Message) -> None:
        keys = self._keys(topic)
        arguments: list[str] = []
        for message in messages:
            fields = ["ce", message.to_json(), "type", message.type, "partitionkey", message.key or ""]
            for name in _FLAT:
                if name in message.extensions:
                    fields += [name, message.extensions[name]]
            arguments += [str(len(fields)), *fields]
        seen = [keys.seen(digest(message)) for message in messages]
        full = await self._link.script(
            _scripts.PUBLISH,
            [keys.stream, keys.topics, *seen],
            topic,
            self._max_backlog,
            self._remember_ms,
            *arguments,
        )
        if full:
            raise TopicFull(f"the group {full.decode()} of topic {topic} has too much before it; publish again later")

    async def subscribe(
        self, topic: str, group: str, *, start: Start = "beginning", lease_s: float = 30.0
    ) -> Subscription:
        check_name("group", group)
        check_seconds("lease_s", lease_s)
        if start not in ("beginning", "now"):
            raise InvalidSetting(f"start must be beginning or now, not {start!r:.80}")
        subscription = RedisSubscription(self._link, self._keys(topic), topic, group, lease_s)
        await subscription.join("0" if start == "beginning" else "$")
        return subscription

    async def read(self, topic: str, *, after: str = "", limit: int = 100) -> list[Stored]:
        found = []
        for position, fields in await self._range(self._keys(topic).stream, after, limit):
            body = _body(fields)
            found.append(Stored(position, readable(body), body, _at(position)))
        return found

    async def dead_letters(self, topic: str, group: str, *, after: str = "", limit: int = 100) -> list[DeadLetter]:
        await self._check_group(topic, group)
        letters = []
        for letter_id, fields in await self._range(self._keys(topic).dead(group), after, limit):
            text = {name.decode(): value.decode(errors="replace") for name, value in fields.items()}
            letters.append(
                DeadLetter(
                    id=letter_id,
                    topic=topic,
                    group=group,
                    message=readable(fields[b"ce"]),
                    body=text["ce"],
                    reason=text["reason"],
                    error=text["error"],
                    position=text["position"],
                    attempts=int(text["attempts"]),
                    dead_at=_at(letter_id),
                )
            )
        return letters

    async def replay(self, topic: str, group: str, letter_id: str) -> bool:
        return await self._letter(topic, group, letter_id, "replay")

    async def purge(self, topic: str, group: str, letter_id: str) -> bool:
        return await self._letter(topic, group, letter_id, "purge")

    async def trim(self, topic: str, *, older_than_s: float) -> int:
        check_seconds("older_than_s", older_than_s, zero=True)
        return int(await self._link.script(_scripts.TRIM, [self._keys(topic).stream], int(older_than_s * 1000)))

    async def remove_group(self, topic: str, group: str) -> None:
        await self._check_group(topic, group)
        keys = self._keys(topic)
        await self._link.command("XGROUP DESTROY", keys.stream, group)
        await self._link.command("DEL", *keys.of_group(group)[1:])

    async def topics(self) -> list[str]:
        return sorted(name.decode() for name in await self._link.command("SMEMBERS", f"{self._prefix}topics"))

    async def stats(self, topic: str) -> TopicStats:
        keys = self._keys(topic)
        messages, rows = await self._link.script(_scripts.STATS, [keys.stream], keys.group_prefix, _COUNTED)
        groups = [
            GroupStats(name.decode(), waiting, leased, dead, _at(oldest.decode()) if oldest else None)
            for name, waiting, leased, dead, oldest in rows
        ]
        return TopicStats(topic, messages, tuple(sorted(groups, key=lambda group: group.group)))

    async def close(self) -> None:
        await self._link.close()

    def _keys(self, topic: str) -> Keys:
        return Keys(self._prefix, check_name("topic", topic))

    async def _range(self, key: str, after: str, limit: int) -> list[tuple[str, dict[bytes, bytes]]]:
        first = f"({_checked_id('after', after)}" if after else "-"
        entries = await self._link.command("XRANGE", key, first, "+", "COUNT", limit)
        return [(position.decode(), fields) for position, fields in entries]

    async def _letter(self, topic: str, group: str, letter_id: str, what: str) -> bool:
        await self._check_group(topic, group)
        keys = self._keys(topic)
        letter = _checked_id("letter_id", letter_id)
        return bool(await self._link.script(_scripts.LETTER, [keys.dead(group), keys.stream], group, letter, what))

    async def _check_group(self, topic: str, group: str) -> None:
        _, rows = await self._link.script(_scripts.STATS, [self._keys(topic).stream], self._keys(topic).group_prefix, 1)
        if group not in {row[0].decode() for row in rows}:
            raise UnknownGroup(f"the topic {topic} has no group {group}")


def _body(fields: dict[bytes, bytes]) -> str:
    body = fields.get(b"ce")
    return body.decode(errors="replace") if body is not None else repr(fields)


def _checked_id(what: str, value: str) -> str:
    if not _ID.fullmatch(value):
        raise InvalidSetting(f"{what} must be an id that this broker gave out, not {value!r:.80}")
    return value


def _at(entry_id: str) -> datetime:
    return datetime.fromtimestamp(int(entry_id.split("-")[0]) / 1000, UTC)
