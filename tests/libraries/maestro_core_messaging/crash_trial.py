"""A trial by kill -9: workers die at random moments, and the books are checked afterwards."""

import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

from libraries.maestro_core_messaging.crash_worker import GROUP, TOPIC, open_broker

from kit.processes import import_path
from maestro_core_messaging import Message

MESSAGES = int(os.environ.get("MAESTRO_MESSAGING_CRASH_MESSAGES", "10000"))
WORKERS = 3
KILLS = 12
KEYS = 60
_BATCH = 500
_PATIENCE_S = 240.0


class Trial:
    """Publishes, lets workers work and die, and keeps what they did; seeded."""

    def __init__(self, where: str, folder: Path, seed: int) -> None:
        self._where = where
        self._effects, self._log = folder / "effects.sqlite", folder / "handled.log"
        self._chance = random.Random(seed)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._reading, self._writing = os.pipe()
        self.killed = 0

    async def run(self) -> None:
        """The whole trial; raises AssertionError when it does not come to an end."""
        with sqlite3.connect(self._effects) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(
                "CREATE TABLE effects (place INTEGER PRIMARY KEY, number INTEGER, key TEXT, worker INTEGER)"
            )
        connection.close()
        await self._publish()
        try:
            for _ in range(WORKERS):
                self._start()
            self._kill_at_random()
            await self._finish()
        finally:
            for worker in self._workers:
                worker.kill()
                worker.wait()
            os.close(self._reading)
            os.close(self._writing)

    def check(self) -> None:
        """Nothing is lost, nothing was done twice, and each key's order held."""
        with sqlite3.connect(self._effects) as connection:
            rows = connection.execute("SELECT number, key FROM effects ORDER BY place").fetchall()
        connection.close()
        handled = Counter(int(line) for line in self._log.read_text().splitlines())
        assert set(handled) == set(range(MESSAGES)), "messages were lost"
        assert handled.total() > MESSAGES, "no message came twice, so this trial has shown nothing"
        assert Counter(number for number, _ in rows) == Counter(range(MESSAGES)), "effects were lost or doubled"
        by_key = defaultdict(list)
        for number, key in rows:
            by_key[key].append(number)
        assert all(numbers == sorted(numbers) for key, numbers in by_key.items() if key is not None)
        assert len(by_key) == KEYS + 1

    async def _publish(self) -> None:
        """Three of four have a key."""
        broker = open_broker(self._where)
        for begin in range(0, MESSAGES, _BATCH):
            numbers = range(begin, min(begin + _BATCH, MESSAGES))
            await broker.publish(TOPIC, *(_message(number) for number in numbers))
        await broker.close()

    def _start(self) -> None:
        module = "libraries.maestro_core_messaging.crash_worker"
        files = [str(self._effects), str(self._log), str(self._writing)]
        # Inherited: a SIGTERM that comes before the worker listens for it waits until it does.
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        self._workers.append(
            subprocess.Popen(
                [sys.executable, "-m", module, self._where, *files],
                env={**os.environ, "PYTHONPATH": import_path()},
                pass_fds=[self._writing],
                stdin=subprocess.DEVNULL,
            )
        )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])

    def _kill_at_random(self) -> None:
        """A worker dies after so many steps of any, and another takes its place."""
        steps = 0
        for at_step in sorted(self._chance.sample(range(2 * WORKERS, 2 * MESSAGES - 2000), KILLS)):
            while steps < at_step:
                ready, _, _ = select.select([self._reading], [], [], 60.0)
                assert ready, f"no worker has taken a step for a minute, after {steps}"
                steps += len(os.read(self._reading, at_step - steps))
            victim = self._workers.pop(self._chance.randrange(len(self._workers)))
            victim.send_signal(signal.SIGKILL)
            assert victim.wait(timeout=10) == -signal.SIGKILL, "it had died before"
            self.killed += 1
            self._start()

    async def _finish(self) -> None:
        """Read on until the group has nothing left, then stop the workers kindly."""
        broker = open_broker(self._where)
        until_s = time.monotonic() + _PATIENCE_S
        while True:
            group = (await broker.stats(TOPIC)).groups[0]
            if group.waiting + group.in_flight == 0:
                break
            assert time.monotonic() < until_s, f"unfinished: {group}"
            if select.select([self._reading], [], [], 0.5)[0]:
                os.read(self._reading, 65536)
        assert await broker.dead_letters(TOPIC, GROUP) == []
        await broker.close()
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self._workers:
            assert worker.wait(timeout=30) == 0


def _message(number: int) -> Message:
    key = {} if number % 4 == 0 else {"partitionkey": f"k{number // 4 % KEYS}"}
    return Message(id=str(number), type="dev.maestro.crash.v1", source="/crash", data=number, extensions=key)
