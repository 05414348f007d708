"""Checkpoints as signed notes (c2sp.org/signed-note, c2sp.org/tlog-checkpoint), and the keys that verify them."""

import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256

from maestro_audit_logger._ed25519 import ed25519_verifies
from maestro_audit_logger._errors import InvalidNote

MAX_NOTE_CHARS = 65_536
ED25519_TYPE = b"\x01"
# A signature type without a number of its own in signed-note: 0xff, then a name that nobody else takes.
HMAC_TYPE = b"\xffmaestro-audit/hmac-sha256"

_NAME = re.compile(r"[^\s+\x00-\x20\x7f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_SIGNATURE_LINE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/=]+)")


def unbase64(text: str) -> bytes:
    """The bytes of the one canonical base64 text for them; anything else is refused."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not text or b64encode(data).decode() != text:
        raise InvalidNote(f"{text[:80]!r} is not base64")
    return data


def key_id_of(name: str, kind: bytes, material: bytes) -> bytes:
    """The four bytes that name a key beside its name; for a secret key `material` is its SHA-256."""
    return sha256(name.encode() + b"\n" + kind + material).digest()[:4]


def check_key_name(name: str) -> str:
    """The name, or InvalidNote where it may not stand in a note."""
    if not _NAME.fullmatch(name) or len(name) > 255:
        raise InvalidNote(f"{name[:80]!r} cannot name a key: 1 to 255 characters without spaces, controls and `+`")
    return name


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A key that signatures are checked with; as text it is `name+hash+base64`, as Go's sumdb writes it.

    For Ed25519 this is the public key. For HMAC it is the secret itself, so that text is kept like a password.
    """

    name: str
    kind: bytes
    material: bytes = field(repr=False)

    @property
    def key_id(self) -> bytes:
        """The four bytes that stand before this key's signatures."""
        public = self.material if self.kind == ED25519_TYPE else sha256(self.material).digest()
        return key_id_of(self.name, self.kind, public)

    def text(self) -> str:
        """The key as one line of text."""
        return f"{self.name}+{self.key_id.hex()}+{b64encode(self.kind + self.material).decode()}"

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        """Read what `text` wrote; the message of an error never holds the key."""
        name, hash_, value = [*text.strip().split("+", 2), "", ""][:3]
        try:
            data = unbase64(value)
        except InvalidNote:
            data = b""
        for kind in (ED25519_TYPE, HMAC_TYPE):
            if data.startswith(kind) and len(data) == len(kind) + 32:
                key = cls(check_key_name(name), kind, data[len(kind) :])
                if key.key_id.hex() == hash_:
                    return key
        raise InvalidNote(f"the key {name[:80]!r} is not of the form name+hash+base64 with an Ed25519 or HMAC key")

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Whether this key made the signature."""
        if self.kind == ED25519_TYPE:
            return ed25519_verifies(self.material, message, signature)
        return hmac.compare_digest(hmac.digest(self.material, message, "sha256"), signature)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log was at one moment: its origin, its number of entries, and the root over them."""

    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes], ...] = ()

    @property
    def text(self) -> str:
        """The three lines that are signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @property
    def note(self) -> str:
        """The signed note: the text, an empty line, the signatures (none, if nobody signed)."""
        lines = (f"— {name} {b64encode(value).decode()}\n" for name, value in self.signatures)
        return self.text + "\n" + "".join(lines)

    @classmethod
    def parse(cls, note: str) -> "Checkpoint":
        """Read a note, trusting nobody yet; raises InvalidNote."""
        if len(note) > MAX_NOTE_CHARS:
            raise InvalidNote(f"a note has at most {MAX_NOTE_CHARS} characters")
        origin, size, root, *rest = [*note.split("\n"), "", "", ""]
        if not check_origin(origin) or not _SIZE.fullmatch(size):
            raise InvalidNote("a checkpoint begins with three lines: origin, size, root")
        signatures = []
        for line in rest:
            if match := _SIGNATURE_LINE.fullmatch(line):
                signatures.append((match["name"], unbase64(match["value"])))
        checkpoint = cls(origin, int(size), unbase64(root), tuple(signatures))
        if len(checkpoint.root) != 32 or checkpoint.note != note:
            raise InvalidNote("not a checkpoint: three lines, an empty one, and then only lines of signatures")
        return checkpoint

    def signed_by(self, keys: Iterable[NoteKey]) -> str:
        """The name of the trusted key that signed this; raises InvalidNote if none did, or one did so wrongly."""
        names = []
        for key in keys:
            for name, value in self.signatures:
                if name == key.name and value[:4] == key.key_id:
                    if not key.verifies(self.text.encode(), value[4:]):
                        raise InvalidNote(f"the signature of {name} below the checkpoint of {self.size} is wrong")
                    names.append(name)
        if not names:
            raise InvalidNote(f"the checkpoint of {self.size} is not signed by a key that was given")
        return names[0]


def check_origin(origin: str) -> bool:
    """Whether the text may name a log."""
    return 0 < len(origin) <= 255 and origin.isprintable() and origin == origin.strip()


def parse_checkpoints(text: str) -> Iterator[Checkpoint]:
    """Read a file of checkpoints, one after the other with an empty line between them."""
    if text and not text.endswith("\n"):
        raise InvalidNote("the last line is not whole")
    lines = text.split("\n")
    position = 0
    while position < len(lines) and any(lines[position:]):
        end = position + 4
        while end < len(lines) and lines[end].startswith("— "):
            end += 1
        yield Checkpoint.parse("\n".join([*lines[position:end], ""]))
        if end < len(lines) and lines[end]:
            raise InvalidNote(f"line {end + 1}: an empty line stands between two checkpoints")
        position = end + 1
