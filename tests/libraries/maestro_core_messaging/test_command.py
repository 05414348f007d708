"""The command `maestro-messages`, as a person and a program see it."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from kit.processes import import_path, run_unread
from kit.redis_server import RedisServer
from maestro_core_messaging import Message, SqliteBroker
from maestro_core_messaging._command import main
from maestro_core_messaging.redis import RedisBroker

PROGRAM = "import sys; from maestro_core_messaging._command import main; sys.exit(main())"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command on a store with one topic, whose group `receipts` buried two messages and has one to do."""
    asyncio.run(_prepare(tmp_path / "m.sqlite"))
    monkeypatch.setenv("MAESTRO_MESSAGES_BROKER", f"sqlite:{tmp_path / 'm.sqlite'}")

    def run(*words: str) -> Ran:
        try:
            code = main(words)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        return Ran(code, *capsys.readouterr())

    return run


async def _prepare(path: Path) -> None:
    broker = SqliteBroker(path)
    group = await broker.subscribe("orders", "receipts")
    for number in range(3):
        message = Message(id=f"m{number}", type="order.paid.v1", source="/shop", data={"order": number})
        await broker.publish("orders", message)
    for delivery in await group.take(2):
        await group.bury(delivery, reason="not-retryable", error="ValueError: no\x1b[31m such\ncustomer")
    await broker.close()


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_topics_are_a_table_or_json(run: Run) -> None:
    table = run("topics").out.splitlines()
    assert table[0].split("  ")[0] == "TOPIC"
    assert table[1].split()[:6] == ["orders", "3", "receipts", "1", "0", "2"]
    (topic,) = lines(run("topics", "--json").out)
    assert (topic["topic"], topic["messages"]) == ("orders", 3)
    figures = topic["groups"]["receipts"]
    assert (figures["waiting"], figures["in_flight"], figures["dead"]) == (1, 0, 2)


def test_dead_letters_are_listed_and_shown_and_cannot_steer_the_terminal(run: Run) -> None:
    table = run("dead", "list", "orders", "receipts").out
    assert table.splitlines()[1].split()[2:5] == ["not-retryable", "1", "order.paid.v1"]
    assert "no\\u001b[31m such\\ncustomer" in table
    assert table.replace("\n", "").isprintable()
    assert [letter["id"] for letter in lines(run("dead", "list", "orders", "receipts", "--json").out)] == ["1", "2"]
    shown = json.loads(run("dead", "show", "orders", "receipts", "2").out)
    assert (shown["reason"], shown["attempts"], shown["event"]["id"]) == ("not-retryable", 1, "m1")
    assert "\x1b" in shown["error"]


def test_dead_letters_are_replayed_by_id_and_all_at_once(run: Run) -> None:
    assert run("dead", "replay", "orders", "receipts", "1") == Ran(0, "replayed 1\n", "")
    assert lines(run("topics", "--json").out)[0]["groups"]["receipts"]["dead"] == 1
    assert run("dead", "replay", "orders", "receipts", "--all", "--json") == Ran(0, '{"replayed": 1}\n', "")
    assert lines(run("topics", "--json").out)[0]["groups"]["receipts"] == {
        **lines(run("topics", "--json").out)[0]["groups"]["receipts"],
        "waiting": 3,
        "dead": 0,
    }


def test_dead_letters_are_purged(run: Run) -> None:
    assert run("dead", "purge", "orders", "receipts", "2") == Ran(0, "purged 1\n", "")
    assert run("dead", "purge", "orders", "receipts", "--all") == Ran(0, "purged 1\n", "")
    assert run("dead", "list", "orders", "receipts").out.count("\n") == 1


def test_what_is_not_there_is_told(run: Run) -> None:
    assert run("dead", "replay", "orders", "receipts", "1", "77") == Ran(
        1, "replayed 1\n", "maestro-messages: receipts of orders has no dead letter 77\n"
    )
    assert run("dead", "show", "orders", "receipts", "77").code == 1
    assert run("dead", "list", "orders", "nobody") == Ran(
        1, "", "maestro-messages: the topic orders has no group nobody\n"
    )


def test_a_message_is_published_from_words_or_from_an_event(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = run("publish", "orders", "--type", "t.v1", "--data", '{"a": [1]}', "--key", "k", "--subject", "s", "--json")
    event = lines(run("tail", "orders", "-n", "1", "--json").out)[0]["event"]
    assert (event["id"], event["data"], event["partitionkey"]) == (lines(ran.out)[0]["id"], {"a": [1]}, "k")
    whole = Message(id="whole", type="t", source="/else", data="x")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(whole.to_json().encode())))
    assert run("publish", "orders", "--event").out == "published whole\n"
    assert "/else" in run("tail", "orders", "-n", "1").out
    monkeypatch.setattr(sys, "stdin", io.StringIO("[1, 2]"))
    assert run("publish", "orders", "--data", "-").code == 0
    assert lines(run("tail", "orders", "-n", "1", "--json").out)[0]["event"]["data"] == [1, 2]


def test_the_tail_is_the_end_of_the_topic(run: Run) -> None:
    assert [line["event"]["id"] for line in lines(run("tail", "orders", "-n", "2", "--json").out)] == ["m1", "m2"]
    assert len(run("tail", "orders").out.splitlines()) == 3
    assert run("tail", "nothing") == Ran(0, "", "")


def test_trimming_and_removing_say_what_they_did(run: Run) -> None:
    assert run("trim", "orders", "--older-than-s", "0").out == "trimmed 2\n"
    assert run("remove-group", "orders", "receipts").out == "removed receipts\n"
    assert run("trim", "orders", "--older-than-s", "0", "--json").out == '{"trimmed": 1}\n'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["topics", "--broker", "redis://user:hunter2@localhost/0"], "put it into MAESTRO_MESSAGES_PASSWORD"),
        (["topics", "--broker", "redis://localhost/0?password=hunter2"], "put it into MAESTRO_MESSAGES_PASSWORD"),
        (["topics", "--broker", "http://localhost"], "--broker must be sqlite:PATH"),
        (["topics", "--broker", "sqlite:/none/at/all"], "there is no file /none/at/all"),
        (["publish", "orders", "--data", "{bad"], "--data is not JSON"),
        (["publish", "two words"], "topic must be"),
        (["publish", "orders", "--type", ""], "type: must not be empty"),
        (["tail", "orders", "-n", "-1"], "must be from 0 to 100000, not '-1'"),
        (["trim", "orders", "--older-than-s", "nan"], "older_than_s must be"),
        (["dead", "replay", "orders", "receipts"], "one of the arguments id --all is required"),
        (["dead", "purge", "orders", "receipts", "x;y"], "letter_id must be"),
    ],
)
def test_wrong_words_are_told_and_no_password_is_repeated(run: Run, words: list[str], says: str) -> None:
    ran = run(*words)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert "hunter2" not in ran.err


def test_without_a_broker_it_says_how_to_name_one(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MAESTRO_MESSAGES_BROKER")
    assert "say which broker" in run("topics").err


def test_a_broker_that_does_not_answer_is_told(run: Run) -> None:
    ran = run("topics", "--broker", "redis://127.0.0.1:1/0")
    assert (ran.code, ran.out) == (3, "")
    assert "maestro-messages: Redis: " in ran.err


def test_it_works_on_redis_with_a_password_from_the_environment(
    run: Run, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lock() -> None:
        broker = RedisBroker(own_redis.url)
        await broker._link.command("CONFIG SET", "requirepass", "hunter2")
        await broker.close()

    asyncio.run(lock())
    refused = run("topics", "--broker", own_redis.url)
    assert refused.code == 3
    monkeypatch.setenv("MAESTRO_MESSAGES_PASSWORD", "hunter2")
    assert run("publish", "t", "--broker", own_redis.url, "--data", "1").code == 0
    assert lines(run("topics", "--broker", own_redis.url, "--json").out) == [
        {"topic": "t", "messages": 1, "groups": {}}
    ]


async def test_following_shows_what_comes_until_it_is_interrupted(tmp_path: Path) -> None:
    await _prepare(tmp_path / "m.sqlite")
    following = await asyncio.create_subprocess_exec(
        *[sys.executable, "-c", PROGRAM, "tail", "orders", "-f", "-n", "0", "--json"],
        *["--broker", f"sqlite:{tmp_path / 'm.sqlite'}"],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": import_path()},
    )
    assert following.stdout is not None
    broker = SqliteBroker(tmp_path / "m.sqlite")
    # When it begins to look is not known: something is published until it shows something.
    reading = asyncio.create_task(following.stdout.readline())
    while not (await asyncio.wait({reading}, timeout=0.2))[0]:
        await broker.publish("orders", Message(type="t", source="/s", data="new"))
    assert json.loads(await reading)["event"]["data"] == "new"
    following.send_signal(signal.SIGINT)
    async with asyncio.timeout(20):
        await following.communicate()
    assert following.returncode == 130
    await broker.close()


def test_a_reader_who_has_left_is_no_error(run: Run, tmp_path: Path) -> None:
    """As with `| head`, however little there was to print."""
    done = run_unread("maestro_core_messaging._command", "topics", "--broker", f"sqlite:{tmp_path / 'm.sqlite'}")
    assert (done.returncode, done.stderr) == (0, "")


def test_one_ctrl_c_ends_the_wait_for_standard_input(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read before there is an event loop, which would keep the first one to itself."""

    class Keyboard:
        def read(self) -> str:
            with pytest.raises(RuntimeError, match="no running event loop"):
                asyncio.get_running_loop()
            raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin", Keyboard())
    assert run("publish", "orders", "--data", "-") == Ran(130, "", "")
