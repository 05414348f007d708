"""The command `maestro-messages`."""

import argparse
import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from maestro_core_messaging._broker import Broker, DeadLetter, Stored
from maestro_core_messaging._errors import InvalidSetting, MessagingError
from maestro_core_messaging._message import Message
from maestro_core_messaging._report import letter_json, print_json, print_table, printable, stored_json, when

BROKER = "MAESTRO_MESSAGES_BROKER"
PASSWORD = "MAESTRO_MESSAGES_PASSWORD"
_PAGE = 500
_FOLLOW_S = 0.5


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 0 done, 1 not found, 2 wrong words, 3 the broker cannot."""
    asked = _parser().parse_args(arguments)
    try:
        if asked.command is _publish:
            asked.message = _message(asked)  # before there is a loop: Ctrl-C ends a read of standard input at once
        code = asyncio.run(_run(asked))
        sys.stdout.flush()
        return code
    except MessagingError as error:
        print(f"maestro-messages: {printable(str(error))}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1 if isinstance(error, LookupError) else 3
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


async def _run(asked: argparse.Namespace) -> int:
    async with _broker(asked.broker) as broker:
        code: int = await asked.command(broker, asked)
    return code


@asynccontextmanager
async def _broker(where: str | None) -> AsyncIterator[Broker]:
    where = where or os.environ.get(BROKER)
    if not where:
        raise InvalidSetting(f"say which broker: --broker sqlite:PATH or redis://HOST:PORT/DB, or set {BROKER}")
    broker = _sqlite(where.removeprefix("sqlite:")) if where.startswith("sqlite:") else _redis(where)
    try:
        yield broker
    finally:
        await broker.close()


def _sqlite(path: str) -> Broker:
    from maestro_core_messaging._sqlite._broker import SqliteBroker

    if not Path(path).is_file():
        raise InvalidSetting(f"there is no file {path}")
    return SqliteBroker(path)


def _redis(url: str) -> Broker:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise InvalidSetting("--broker must be sqlite:PATH, redis://HOST:PORT/DB, rediss://… or unix://PATH")
    if ":" in url.partition("://")[2].rpartition("@")[0] or "password=" in url:
        raise InvalidSetting(f"a password in a URL is seen by others on this machine: put it into {PASSWORD}")
    try:
        from maestro_core_messaging.redis import RedisBroker
    except ImportError as error:
        raise InvalidSetting(str(error)) from error
    return RedisBroker(url, password=os.environ.get(PASSWORD))


async def _topics(broker: Broker, asked: argparse.Namespace) -> int:
    stats = [await broker.stats(topic) for topic in await broker.topics()]
    if asked.json:
        for topic in stats:
            groups = {
                group.group: {
                    "waiting": group.waiting,
                    "in_flight": group.in_flight,
                    "dead": group.dead,
                    "oldest_unfinished_at": when(group.oldest_unfinished_at),
                }
                for group in topic.groups
            }
            print_json({"topic": topic.topic, "messages": topic.messages, "groups": groups})
        return 0
    rows = []
    for topic in stats:
        if not topic.groups:
            rows.append([topic.topic, str(topic.messages), "-", "-", "-", "-", "-"])
        for group in topic.groups:
            figures = [str(group.waiting), str(group.in_flight), str(group.dead)]
            oldest = when(group.oldest_unfinished_at) or "-"
            rows.append([topic.topic, str(topic.messages), group.group, *figures, oldest])
    print_table(["TOPIC", "MESSAGES", "GROUP", "WAITING", "IN FLIGHT", "DEAD", "OLDEST UNFINISHED"], rows)
    return 0


def _message(asked: argparse.Namespace) -> Message:
    if asked.event:
        return Message.from_json(sys.stdin.buffer.read())
    text = sys.stdin.read() if asked.data == "-" else asked.data
    try:
        data = None if text is None else json.loads(text)
    except ValueError as error:
        raise InvalidSetting(f"--data is not JSON: {error}") from error
    return Message(
        type=asked.type,
        source=asked.source,
        subject=asked.subject,
        data=data,
        extensions={} if asked.key is None else {"partitionkey": asked.key},
    )


async def _publish(broker: Broker, asked: argparse.Namespace) -> int:
    message: Message = asked.message
    await broker.publish(asked.topic, message)
    print_json({"id": message.id, "source": message.source}) if asked.json else print(f"published {message.id}")
    return 0


async def _tail(broker: Broker, asked: argparse.Namespace) -> int:
    last: deque[Stored] = deque(maxlen=asked.count)
    place = ""
    async for stored in _all(broker, asked.topic, place):
        place = stored.position
        last.append(stored)
    for stored in last:
        _show(stored, as_json=asked.json)
    while asked.follow:
        async for stored in _all(broker, asked.topic, place):
            place = stored.position
            _show(stored, as_json=asked.json)
        sys.stdout.flush()
        await asyncio.sleep(_FOLLOW_S)
    return 0


async def _all(broker: Broker, topic: str, place: str) -> AsyncIterator[Stored]:
    while page := await broker.read(topic, after=place, limit=_PAGE):
        for stored in page:
            yield stored
        place = page[-1].position


def _show(stored: Stored, *, as_json: bool) -> None:
    if as_json:
        print_json(stored_json(stored))
    else:
        print(f"{stored.position}  {when(stored.published_at)}  {printable(stored.body)}")


async def _letters(broker: Broker, topic: str, group: str) -> AsyncIterator[DeadLetter]:
    place = ""
    while page := await broker.dead_letters(topic, group, after=place, limit=_PAGE):
        for letter in page:
            yield letter
        place = page[-1].id


async def _dead_list(broker: Broker, asked: argparse.Namespace) -> int:
    rows = []
    async for letter in _letters(broker, asked.topic, asked.group):
        if asked.json:
            print_json(letter_json(letter))
        kind = letter.message.type if letter.message else "-"
        error = printable(letter.error, 60)
        rows.append([letter.id, when(letter.dead_at) or "-", letter.reason, str(letter.attempts), kind, error])
    if not asked.json:
        print_table(["ID", "DEAD SINCE", "REASON", "ATTEMPTS", "TYPE", "LAST ERROR"], rows)
    return 0


async def _dead_show(broker: Broker, asked: argparse.Namespace) -> int:
    async for letter in _letters(broker, asked.topic, asked.group):
        if letter.id == asked.id:
            print_json(letter_json(letter), indent=None if asked.json else 2)
            return 0
    return _none(asked, asked.id)


async def _dead_replay(broker: Broker, asked: argparse.Namespace) -> int:
    return await _each(broker, asked, "replay", "replayed")


async def _dead_purge(broker: Broker, asked: argparse.Namespace) -> int:
    return await _each(broker, asked, "purge", "purged")


async def _each(broker: Broker, asked: argparse.Namespace, what: str, done: str) -> int:
    """Do it to the letters named, or to all there were when it began; letters are done one by one, each whole."""
    ids = [letter.id async for letter in _letters(broker, asked.topic, asked.group)] if asked.all else asked.id
    act = broker.replay if what == "replay" else broker.purge
    found = {letter_id: await act(asked.topic, asked.group, letter_id) for letter_id in ids}
    count = sum(found.values())
    print_json({done: count}) if asked.json else print(f"{done} {count}")
    missing = [letter_id for letter_id, there in found.items() if not there]
    return _none(asked, *missing) if missing else 0


def _none(asked: argparse.Namespace, *ids: str) -> int:
    named = ", ".join(printable(letter_id, 40) for letter_id in ids)
    print(f"maestro-messages: {asked.group} of {asked.topic} has no dead letter {named}", file=sys.stderr)
    return 1


async def _trim(broker: Broker, asked: argparse.Namespace) -> int:
    count = await broker.trim(asked.topic, older_than_s=asked.older_than_s)
    print_json({"trimmed": count}) if asked.json else print(f"trimmed {count}")
    return 0


async def _remove_group(broker: Broker, asked: argparse.Namespace) -> int:
    await broker.remove_group(asked.topic, asked.group)
    print_json({"removed": asked.group}) if asked.json else print(f"removed {asked.group}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-messages",
        description="Look at topics and their dead letters.",
        epilog="exit codes: 0 done, 1 not found, 2 wrong words, 3 the broker cannot",
    )
    parser.set_defaults(broker=None, json=False)
    words = parser.add_subparsers(required=True, metavar="COMMAND")

    _word(words, "topics", "topics, their groups, and what waits", _topics)

    publish = _word(words, "publish", "publish one message", _publish, "topic")
    publish.add_argument("--event", action="store_true", help="a whole CloudEvent in JSON from standard input")
    publish.add_argument("--type", default="dev.maestro.message.v1")
    publish.add_argument("--source", default="maestro-messages")
    publish.add_argument("--subject")
    publish.add_argument("--key", help="its order is kept among messages of this key")
    publish.add_argument("--data", help="JSON; - reads it from standard input")

    tail = _word(words, "tail", "the last messages of a topic, without taking them from anyone", _tail, "topic")
    tail.add_argument("-n", "--count", type=_count, default=10, help="how many (default 10)")
    tail.add_argument("-f", "--follow", action="store_true", help="and those that come")

    trim = _word(words, "trim", "drop old messages that every group has finished with", _trim, "topic")
    trim.add_argument("--older-than-s", type=float, required=True, help="their age in seconds")

    about = "forget a group, what waits for it, and its dead letters"
    _word(words, "remove-group", about, _remove_group, "topic", "group")

    dead = words.add_parser("dead", help="dead letters of a group").add_subparsers(required=True, metavar="WHAT")
    _word(dead, "list", "all of them", _dead_list, "topic", "group")
    _word(dead, "show", "one of them, whole", _dead_show, "topic", "group", "id")
    for name, about, command in (
        ("replay", "deliver them anew, from the first attempt", _dead_replay),
        ("purge", "forget them", _dead_purge),
    ):
        which = _word(dead, name, about, command, "topic", "group").add_mutually_exclusive_group(required=True)
        which.add_argument("id", nargs="*", default=[], help="as `dead list` shows it")
        which.add_argument("--all", action="store_true", help="all that there are")
    return parser


def _word(
    words: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    about: str,
    command: Callable[[Broker, argparse.Namespace], Awaitable[int]],
    *places: str,
) -> argparse.ArgumentParser:
    word = words.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    for place in places:
        word.add_argument(place)
    word.add_argument(
        "--broker",
        default=argparse.SUPPRESS,
        help=f"sqlite:PATH or redis://HOST:PORT/DB (default: ${BROKER}); its password is in ${PASSWORD}",
    )
    word.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="one JSON object a line")
    word.set_defaults(command=command)
    return word


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) > 100_000:
        raise argparse.ArgumentTypeError(f"must be from 0 to 100000, not {text!r:.40}")
    return int(text)
