"""Retention: whole old segments go, and the edge of the tree over them stays, so that what is left proves as before."""

from dataclasses import dataclass
from datetime import datetime

from maestro_audit_logger._blocks import leaves_of
from maestro_audit_logger._canonical import JSON
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._entry import parse_entry, time_text
from maestro_audit_logger._errors import LogDamaged
from maestro_audit_logger._layout import Layout, Segment, removed_text
from maestro_audit_logger._merkle import Frontier
from maestro_audit_logger._note import Checkpoint
from maestro_audit_logger._spans import spans_of


@dataclass(frozen=True, slots=True)
class Removal:
    """What retention removed: the entries from `first` up to, but not with, `end`, in so many segments."""

    first: int
    end: int
    segments: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be removed, and the edge of the tree over everything before what stays."""

    first: int
    segments: tuple[Segment, ...]
    edge: Frontier

    def details(self) -> dict[str, JSON]:
        """What the entry about it says; `root` is that of the tree of `end` entries."""
        return {"end": self.edge.size, "first": self.first, "root": self.edge.root().hex()}

    def removal(self) -> Removal:
        """What the caller is told."""
        return Removal(self.first, self.edge.size, len(self.segments))


def plan_removal(layout: Layout, head: Checkpoint, since: datetime) -> Plan | None:
    """The oldest segments without an entry at or after `since`, but never the last; None if there are none."""
    edge, segments = layout.read_kept()
    first, limit = edge.size, time_text(since)
    old = 0
    while old < len(segments) - 1 and (grown := _grown(segments[old], edge, limit)) is not None:
        edge, old = grown, old + 1
    if not old:
        return None
    whole = edge.copy()
    for segment in segments[old:]:
        for span in spans_of(segment, stop=head.size):
            if span.first < head.size:
                span.add_to(whole)
    if whole.root() != head.root:
        raise LogDamaged(
            f"the entries from {first} on are not those that were signed; verify the log. Nothing was removed"
        )
    return Plan(first, tuple(segments[:old]), edge)


def remove(layout: Layout, plan: Plan, disk: Disk) -> None:
    """Remove what was planned; the edge is on the disk before the first file goes."""
    disk.replace(layout.removed, removed_text(plan.edge))
    disk.sync_folder(layout.folder)
    for segment in plan.segments:
        disk.remove(segment.path)
        disk.remove(segment.index)


def _grown(segment: Segment, edge: Frontier, limit: str) -> Frontier | None:
    """The edge with the entries of the segment, hashed anew; None if one of them is not older than the limit."""
    grown = edge.copy()
    for span in spans_of(segment):
        if span.block is not None and span.block.max_at >= limit:
            return None
        lines = span.read().splitlines(keepends=True)
        if any(time_text(parse_entry(line).at) >= limit for line in lines):
            return None
        for leaf in leaves_of(lines):
            grown.add(leaf)
    return grown
