"""The guard on label cardinality: values are cleaned and bounded, and what exceeds the bound shares one series."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from maestro_monitoring._errors import WrongLabels

OTHER = "__other__"
DEFAULT_MAX_LABEL_SETS = 1_000
MAX_LABEL_VALUE_CHARS = 128

SeriesT = TypeVar("SeriesT")


def clean_value(value: str) -> str:
    """The value as it is exposed: printable, and at most 128 characters; what was cut ends in an ellipsis."""
    if len(value) > MAX_LABEL_VALUE_CHARS:
        value = value[: MAX_LABEL_VALUE_CHARS - 1] + "…"
    if value.isprintable():
        return value
    # Control characters break log viewers, and lone surrogates would break every scrape.
    return "".join(char if char.isprintable() else "_" for char in value)


@dataclass(frozen=True, slots=True)
class Label:
    """A label; with `allowed`, every other value is exposed as `other`."""

    name: str
    allowed: frozenset[str] | None = None
    other: str = OTHER

    def clean(self, value: str) -> str:
        """The value under which an observation is counted."""
        if not isinstance(value, str):
            raise WrongLabels(f"label {self.name!r} takes text, not {type(value).__name__}: write str(…)")
        if self.allowed is not None:
            return value if value in self.allowed else self.other
        return clean_value(value)


class LabelGuard(Generic[SeriesT]):
    """Finds the series of label values and makes at most `max_label_sets`, plus one that all further sets share.

    The way to a known series is one look into a dict, without a lock. Only cleaned values are keys, so that hostile
    ones cannot fill the memory.
    """

    __slots__ = ("_labels", "_lock", "_make", "_max_label_sets", "_on_overflow", "_other", "_series")

    def __init__(
        self,
        labels: tuple[Label, ...],
        max_label_sets: int,
        make: Callable[[tuple[str, ...]], SeriesT],
        on_overflow: Callable[[], None],
    ) -> None:
        self._labels = labels
        self._max_label_sets = max_label_sets
        self._make = make
        self._on_overflow = on_overflow
        self._series: dict[tuple[str, ...], SeriesT] = {}
        self._other: SeriesT | None = None
        self._lock = threading.Lock()

    def series(self, values: tuple[str, ...]) -> SeriesT:
        """The series that counts for these values."""
        try:
            return self._series[values]
        except (KeyError, TypeError):  # new; or a value without a hash, which is no text, as cleaning says by name
            return self._add(values)

    def _add(self, values: tuple[str, ...]) -> SeriesT:
        if len(values) != len(self._labels):
            names = ", ".join(label.name for label in self._labels) or "none"
            raise WrongLabels(f"{len(values)} label values for the labels ({names})")
        clean = tuple(label.clean(value) for label, value in zip(self._labels, values, strict=True))
        shared = (OTHER,) * len(self._labels)
        with self._lock:
            known = self._series.get(clean)
            if known is not None:
                return known
            if clean != shared and len(self._series) < self._max_label_sets:
                self._series[clean] = made = self._make(clean)
                return made
            if self._other is None:
                self._other = self._make(shared)
            other = self._other
        if clean != shared:
            self._on_overflow()
        return other
