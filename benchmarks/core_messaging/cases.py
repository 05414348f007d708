"""What is measured: the same three cases for every system."""

from dataclasses import dataclass

AT_ONCE = 64


@dataclass(frozen=True)
class Case:
    """One case: `messages` is how many one run of it handles."""

    name: str
    title: str
    messages: int


CASES = (
    Case("one", "messages published one after another", 1_000),
    Case("many", f"messages published by {AT_ONCE} at once, each its own call", 4_000),
    Case("handle", "messages handled and acknowledged that had been published", 4_000),
)
