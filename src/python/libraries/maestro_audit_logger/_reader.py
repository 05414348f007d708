"""Reading a log: by number, by time and name, with proofs; also while a writer is at work."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from maestro_audit_logger._blocks import NAMES
from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._entry import Entry, parse_entry, time_text
from maestro_audit_logger._errors import InvalidSetup, KeyDamaged, NotInLog
from maestro_audit_logger._layout import Layout
from maestro_audit_logger._merkle import consistency_path, inclusion_path
from maestro_audit_logger._note import Checkpoint
from maestro_audit_logger._opening import read_head
from maestro_audit_logger._personal import SubjectKeys, field_key, unseal
from maestro_audit_logger._proof import ConsistencyProof, InclusionProof
from maestro_audit_logger._spans import Span, spans_of
from maestro_audit_logger._tree import StoredTree

ERASED, PROTECTED, DAMAGED = "[erased]", "[protected]", "[damaged]"


@dataclass(frozen=True, slots=True)
class _Filter:
    """What a query asks for; None asks for nothing."""

    since: str | None
    until: str | None
    names: dict[str, str]
    needles: tuple[bytes, ...]

    def may_be_in(self, span: Span) -> bool:
        """Whether the summary of the span allows for a match; a span without one always does."""
        block = span.block
        return block is None or (
            (self.since is None or block.max_at >= self.since)
            and (self.until is None or block.min_at < self.until)
            and all(block.may_hold(what, name) for what, name in self.names.items() if what in NAMES)
        )

    def lines_in(self, span: Span) -> list[bytes]:
        """The lines that have all the names somewhere in them."""
        data = span.read()
        if not all(needle in data for needle in self.needles):
            return []
        return [line for line in data.splitlines() if all(needle in line for needle in self.needles)]

    def matches(self, entry: Entry) -> bool:
        """Whether the entry is asked for."""
        at = time_text(entry.at)
        return (
            (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
            and all(getattr(entry, what) == name for what, name in self.names.items())
        )


class AuditReader:
    """Reads a log, without a lock, as far as its writer has written. Reading does not verify: check_log does."""

    def __init__(self, folder: Path | str) -> None:
        self._layout = Layout(Path(folder))
        self.origin = self._layout.read_origin()
        self._keys = SubjectKeys(self._layout.keys, Disk())

    @property
    def folder(self) -> Path:
        """Where the log lies."""
        return self._layout.folder

    def last_checkpoint(self) -> Checkpoint:
        """The newest checkpoint on the disk, whose signature is not checked here."""
        return read_head(self._layout, ())

    def query(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        actor: str | None = None,
        action: str | None = None,
        object: str | None = None,
        outcome: str | None = None,
        after: int | None = None,
        newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[Entry]:
        """Give the entries that match all that is asked, with since <= at < until, oldest first unless told otherwise.

        Reads as it is iterated, one block at a time. `after` is the cursor: the `seq` of the last entry of the page
        before, in the same order. Raises LogDamaged at a line that is no entry.
        """
        if limit is not None and limit < 0:
            raise InvalidSetup(f"limit: {limit} is negative")
        names = {"actor": actor, "action": action, "object": object, "outcome": outcome}
        given = {what: name for what, name in names.items() if name is not None}
        try:
            needles = tuple(f'"{what}":{canonical(name)}'.encode() for what, name in given.items())
            since_text, until_text = (None if at is None else time_text(at) for at in (since, until))
        except ValueError as error:
            raise InvalidSetup(f"the query cannot be asked: {error}") from error
        asked = _Filter(since_text, until_text, given, needles)
        return islice(self._matching(asked, after, newest_first), limit)

    def _matching(self, asked: _Filter, after: int | None, newest_first: bool) -> Iterator[Entry]:
        for span in self._spans(newest_first):
            if after is not None and (span.first >= after if newest_first else span.end - 1 <= after):
                continue
            if not asked.may_be_in(span):
                continue
            lines = asked.lines_in(span)
            for line in reversed(lines) if newest_first else lines:
                entry = parse_entry(line)
                passed = after is not None and (entry.seq >= after if newest_first else entry.seq <= after)
                if not passed and asked.matches(entry):
                    yield entry

    def _spans(self, newest_first: bool) -> Iterator[Span]:
        _, segments = self._layout.read_kept()
        for segment in reversed(segments) if newest_first else segments:
            try:
                spans = list(spans_of(segment))
            except FileNotFoundError:
                continue  # retention removed it since the folder was listed
            yield from reversed(spans) if newest_first else spans

    def entry(self, seq: int) -> Entry:
        """The entry of that number; raises NotInLog."""
        span = self._tree().span_at(seq)
        return parse_entry(span.read().splitlines()[seq - span.first])

    def _tree(self) -> StoredTree:
        try:
            return StoredTree(self._layout)
        except FileNotFoundError:
            return StoredTree(self._layout)  # retention removed a segment since the folder was listed

    def prove_inclusion(self, seq: int) -> InclusionProof:
        """Prove that the entry is in the log of the newest checkpoint; raises NotInLog where it is newer than that."""
        checkpoint, tree = self.last_checkpoint(), self._tree()
        if seq >= checkpoint.size:
            raise NotInLog(f"entry {seq} is not below the checkpoint of {checkpoint.size}: there is no proof yet")
        span = tree.span_at(seq)
        line = span.read().splitlines()[seq - span.first]
        proof = InclusionProof(seq, line, tuple(inclusion_path(seq, checkpoint.size, tree.subtree)), checkpoint)
        proof.verify_hashes()
        return proof

    def prove_consistency(self, old: Checkpoint) -> ConsistencyProof:
        """Prove that the log of the newest checkpoint begins with that of `old`; raises InvalidProof where it does not.

        Raises NotInLog where retention has removed what the proof needs.
        """
        checkpoint, tree = self.last_checkpoint(), self._tree()
        if old.size > checkpoint.size:
            raise NotInLog(f"the checkpoint of {old.size} is newer than the log's own of {checkpoint.size}")
        path = consistency_path(old.size, checkpoint.size, tree.subtree)
        proof = ConsistencyProof(old.size, tuple(path), checkpoint)
        proof.verify_hashes(old)
        return proof

    def reveal(self, entry: Entry) -> dict[str, dict[str, Any]]:
        """The personal values of an entry: as they were given, or `[erased]`, or `[damaged]`."""
        return {
            subject: {name: self._opened(entry.seq, subject, name, sealed) for name, sealed in values.items()}
            for subject, values in entry.personal.items()
        }

    def conceal(self, entry: Entry) -> dict[str, dict[str, Any]]:
        """The personal values of an entry, not shown: `[protected]`, or `[erased]`."""
        shown = {}
        for subject, values in entry.personal.items():
            try:
                mark = ERASED if self._keys.find(subject) is None else PROTECTED
            except KeyDamaged:
                mark = DAMAGED
            shown[subject] = dict.fromkeys(values, mark)
        return shown

    def _opened(self, seq: int, subject: str, name: str, sealed: str) -> Any:
        try:
            key = self._keys.find(subject)
        except KeyDamaged:
            return DAMAGED
        if key is None:
            return ERASED
        text = unseal(field_key(key, seq, subject, name), sealed)
        # A key that does not fit is a newer one: the subject was erased, and has come back since.
        return ERASED if text is None else json.loads(text)
