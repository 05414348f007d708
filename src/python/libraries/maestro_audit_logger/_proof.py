"""Proofs as texts that travel: inclusion as c2sp.org/tlog-proof, consistency as c2sp.org/tlog-witness asks for it."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from maestro_audit_logger._errors import InvalidNote, InvalidProof
from maestro_audit_logger._merkle import leaf_hash, verify_consistency, verify_inclusion
from maestro_audit_logger._note import Checkpoint, NoteKey, unbase64

MAX_PROOF_CHARS = 262_144
_MAX_STEPS = 128
_INCLUSION = re.compile(
    r"c2sp\.org/tlog-proof@v1\nextra (?P<extra>[A-Za-z0-9+/=]+)\nindex (?P<index>0|[1-9]\d{0,17})\n"
    r"(?P<path>(?:[A-Za-z0-9+/=]+\n)*)\n(?P<note>.*)",
    re.DOTALL | re.ASCII,
)
_CONSISTENCY = re.compile(
    r"old (?P<old>0|[1-9]\d{0,17})\n(?P<path>(?:[A-Za-z0-9+/=]+\n)*)\n(?P<note>.*)", re.DOTALL | re.ASCII
)


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """Shows that an entry is in the log that the checkpoint signs; holds the entry, and needs nothing of the log."""

    index: int
    line: bytes
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def text(self) -> str:
        """The proof as a file; by convention `.tlog-proof`."""
        extra, note = b64encode(self.line).decode(), self.checkpoint.note
        return f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {self.index}\n{_steps(self.path)}\n{note}"

    @classmethod
    def parse(cls, text: str) -> "InclusionProof":
        """Read what `text` wrote; raises InvalidProof or InvalidNote."""
        match = _matched(_INCLUSION, text, "an inclusion proof")
        path = _path(match["path"])
        return cls(int(match["index"]), unbase64(match["extra"]), path, Checkpoint.parse(match["note"]))

    def verify(self, keys: Sequence[NoteKey]) -> None:
        """Raise InvalidProof or InvalidNote unless a trusted key signed a log with this entry at this place."""
        self.checkpoint.signed_by(keys)
        self.verify_hashes()

    def verify_hashes(self) -> None:
        """Raise InvalidProof unless the entry leads to the root, whoever signed that."""
        verify_inclusion(leaf_hash(self.line), self.index, self.checkpoint.size, self.path, self.checkpoint.root)


@dataclass(frozen=True, slots=True)
class ConsistencyProof:
    """Shows that the log of the checkpoint begins with the whole log of an older one, unchanged."""

    old_size: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def text(self) -> str:
        """The proof as a file; also what a witness of the C2SP network takes."""
        return f"old {self.old_size}\n{_steps(self.path)}\n{self.checkpoint.note}"

    @classmethod
    def parse(cls, text: str) -> "ConsistencyProof":
        """Read what `text` wrote; raises InvalidProof or InvalidNote."""
        match = _matched(_CONSISTENCY, text, "a consistency proof")
        return cls(int(match["old"]), _path(match["path"]), Checkpoint.parse(match["note"]))

    def verify(self, old: Checkpoint, keys: Sequence[NoteKey]) -> None:
        """Raise InvalidProof or InvalidNote unless a trusted key signed a log that begins with that of `old`."""
        self.checkpoint.signed_by(keys)
        self.verify_hashes(old)

    def verify_hashes(self, old: Checkpoint) -> None:
        """Raise InvalidProof unless the newer root continues the older one, whoever signed them."""
        new = self.checkpoint
        if old.origin != new.origin or old.size != self.old_size:
            raise InvalidProof(f"the proof is from {self.old_size} of {new.origin}, not {old.size} of {old.origin}")
        verify_consistency(old.size, old.root, new.size, new.root, self.path)


def _matched(pattern: re.Pattern[str], text: str, what: str) -> re.Match[str]:
    match = pattern.fullmatch(text) if len(text) <= MAX_PROOF_CHARS else None
    if match is None:
        raise InvalidProof(f"this is not {what}")
    return match


def _steps(path: Sequence[bytes]) -> str:
    return "".join(f"{b64encode(step).decode()}\n" for step in path)


def _path(text: str) -> tuple[bytes, ...]:
    try:
        path = tuple(unbase64(line) for line in text.splitlines())
    except InvalidNote as error:
        raise InvalidProof(f"a step of the proof is damaged: {error}") from error
    if len(path) > _MAX_STEPS or any(len(step) != 32 for step in path):
        raise InvalidProof(f"a proof has up to {_MAX_STEPS} hashes of 32 bytes")
    return path
