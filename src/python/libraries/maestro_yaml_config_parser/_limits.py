"""What one document may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that is read: a document beyond any of these is refused with TooLarge.

    `max_depth` counts mappings and lists inside each other; `max_nodes` counts every mapping, list and value, those
    that aliases repeat included; `max_alias_nodes` counts only the latter.
    """

    max_bytes: int = 8 * 1024 * 1024
    max_depth: int = 64
    max_nodes: int = 1_000_000
    max_alias_nodes: int = 10_000
