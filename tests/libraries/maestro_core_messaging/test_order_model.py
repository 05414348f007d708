"""Any sequence of calls, against a model of twenty lines: leases, order of keys, attempts, and nothing lost."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from maestro_core_messaging import Delivery, MemoryBroker, Message
from maestro_core_messaging.testing import ManualClock

LEASE_S = 10.0
keys = st.sampled_from([None, "a", "b"])


@dataclass
class Expected:
    """What the model knows of one unfinished message, in the order of publishing."""

    number: int
    key: str | None
    attempts: int = 0
    free_at_s: float = 0.0
    held: Delivery | None = field(default=None, compare=False)


class OrderMachine(RuleBasedStateMachine):
    """One group on the broker in memory, whose SQL the broker in a file shares."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.clock, self.now_s, self.published = ManualClock(), 0.0, 0
        self.open: list[Expected] = []
        self.broker = MemoryBroker(clock=self.clock)
        self.group = self.runner.run(self.broker.subscribe("t", "g", lease_s=LEASE_S))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.broker.close())
            self.runner.close()

    @rule(key=keys)
    def publish(self, key: str | None) -> None:
        extensions = {"partitionkey": key} if key else {}
        message = Message(type="t", source="/s", data=self.published, extensions=extensions)
        self.runner.run(self.broker.publish("t", message))
        self.open.append(Expected(self.published, key, free_at_s=self.now_s))
        self.published += 1

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        due = [one for one in self._heads() if one.free_at_s <= self.now_s]
        taken = self.runner.run(self.group.take(count))
        assert len(taken) == min(count, len(due))
        expected = sorted(due, key=lambda one: (one.free_at_s, one.number))[:count]
        assert [delivery.message.data for delivery in taken] == [one.number for one in expected]
        for one, delivery in zip(expected, taken, strict=True):
            one.attempts += 1
            assert delivery.attempt == one.attempts
            one.held, one.free_at_s = delivery, self.now_s + LEASE_S

    @precondition(lambda self: any(one.held for one in self.open))
    @rule(data=st.data(), what=st.sampled_from(["ack", "bury", "retry", "give_back", "extend"]))
    def settle(self, data: st.DataObject, what: str) -> None:
        one = data.draw(st.sampled_from([one for one in self.open if one.held]))
        assert one.held is not None
        if what == "ack":
            self.runner.run(self.group.ack(one.held))
            self.open.remove(one)
        elif what == "bury":
            self.runner.run(self.group.bury(one.held, reason="r", error="e"))
            self.open.remove(one)
        elif what == "extend":
            assert self.runner.run(self.group.extend([one.held])) == []
            one.free_at_s = self.now_s + LEASE_S
        elif what == "retry":
            self.runner.run(self.group.retry(one.held, delay_s=3))
            one.held, one.free_at_s = None, self.now_s + 3
        else:
            self.runner.run(self.group.give_back(one.held))
            one.held, one.free_at_s, one.attempts = None, self.now_s, one.attempts - 1

    @rule(seconds=st.sampled_from([1.0, 3.0, LEASE_S]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.now_s += seconds

    @rule()
    def trim(self) -> None:
        self.runner.run(self.broker.trim("t", older_than_s=0))

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "runner"):
            group = self.runner.run(self.broker.stats("t")).groups[0]
            assert group.waiting + group.in_flight == len(self.open)

    def _heads(self) -> list[Expected]:
        """The first of each key, and all without one."""
        seen: set[str] = set()
        heads = []
        for one in self.open:
            if one.key is None or one.key not in seen:
                heads.append(one)
            if one.key is not None:
                seen.add(one.key)
        return heads


OrderMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestOrder = OrderMachine.TestCase
