"""What is measured: the same four cases for every engine."""

from dataclasses import dataclass

CHAIN_STEPS = 1_000
FAN_OUT_STEPS = 1_000
MANY_WORKFLOWS = 200
MANY_STEPS_EACH = 10


@dataclass(frozen=True)
class Case:
    """One case: `steps` is how many durable steps one run of it takes."""

    name: str
    title: str
    steps: int


CASES = (
    Case("chain", f"one workflow, {CHAIN_STEPS:,} steps one after another", CHAIN_STEPS),
    Case("fan-out", f"{FAN_OUT_STEPS:,} parallel steps, then a join", FAN_OUT_STEPS + 1),
    Case("many", f"{MANY_WORKFLOWS} workflows at once, {MANY_STEPS_EACH} steps each", MANY_WORKFLOWS * MANY_STEPS_EACH),
    Case("start", "a new process to its first finished step", 1),
)
