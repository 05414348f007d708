"""How an artifact lies encrypted in its file: chunks that can be read one by one, each authenticated in its place.

    16 bytes of format   16 random bytes of this file   sealed chunk 0 … sealed chunk n   sealed end

Every chunk but the last has the same size. A chunk is bound to its file and its number, and the end, which holds hash
and size of the content, to its file: none can be left out, taken twice, or taken from elsewhere without being found.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

CHUNK_BYTES: Final = 256 << 10

_FORMAT: Final = b"maestro sealed 1"
_FILE_ID_BYTES: Final = 16
_HEAD_BYTES: Final = len(_FORMAT) + _FILE_ID_BYTES
_END: Final = b"end"
_END_BYTES: Final = 32 + 8


class Cipher(Protocol):
    """Encrypts and authenticates what lies on the disk; safe to use from several threads."""

    @property
    def overhead_bytes(self) -> int:
        """By how much sealed data is longer."""
        ...

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        """The data encrypted; it opens only with the same `bound_to`."""
        ...

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed, also under an earlier key; raises ValueError when it is not what was sealed."""
        ...

    def names(self, sha256: str) -> Sequence[str]:
        """Names that do not tell the hash, 64 hex digits each: by the present key first, then by earlier ones."""
        ...


class SealedWriter:
    """Writes one sealed artifact, front to back; `finish` makes it whole."""

    def __init__(self, write: Callable[[bytes], object], cipher: Cipher) -> None:
        self._write = write
        self._cipher = cipher
        self._id = os.urandom(_FILE_ID_BYTES)
        self._pending = bytearray()
        self._count = 0
        write(_FORMAT + self._id)

    def write(self, data: bytes) -> None:
        """Add content."""
        self._pending += data
        while len(self._pending) >= CHUNK_BYTES:
            self._seal(bytes(self._pending[:CHUNK_BYTES]))
            del self._pending[:CHUNK_BYTES]

    def finish(self, sha256: str, size_bytes: int) -> None:
        """Write what is left, and the end that vouches for all of it."""
        if self._pending:
            self._seal(bytes(self._pending))
        end = bytes.fromhex(sha256) + size_bytes.to_bytes(8, "big")
        self._write(self._cipher.seal(end, self._id + _END))

    def _seal(self, chunk: bytes) -> None:
        self._write(self._cipher.seal(chunk, _place(self._id, self._count)))
        self._count += 1


class PlainReader:
    """Reads an artifact that is not sealed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.size_bytes = os.fstat(self._file.fileno()).st_size

    def part(self, start: int, end: int) -> bytes:
        """Some of the content from `start` on, and nothing from `end` on; empty only when there is none."""
        self._file.seek(start)
        return self._file.read(max(0, min(end - start, CHUNK_BYTES)))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class SealedReader:
    """Reads a sealed artifact, any part of it; opening and reading raise ValueError when the file is not sound."""

    def __init__(self, path: Path, cipher: Cipher) -> None:
        self._cipher = cipher
        self._file = path.open("rb")
        try:
            self._read_ends(path)
        except BaseException:
            self._file.close()
            raise

    def part(self, start: int, end: int) -> bytes:
        """Some of the content from `start` on, and nothing from `end` on; empty only when there is none."""
        if start >= min(end, self.size_bytes):
            return b""
        number, first = divmod(start, CHUNK_BYTES)
        return self._chunk(number)[first : end - number * CHUNK_BYTES]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_ends(self, path: Path) -> None:
        head = self._file.read(_HEAD_BYTES)
        end_bytes = _END_BYTES + self._cipher.overhead_bytes
        on_disk = self._file.seek(0, os.SEEK_END)
        if not head.startswith(_FORMAT) or on_disk < _HEAD_BYTES + end_bytes:
            raise ValueError(f"{path} is not a sealed artifact")
        self._id = head[len(_FORMAT) :]
        self._file.seek(on_disk - end_bytes)
        end = self._cipher.open(self._file.read(end_bytes), self._id + _END)
        self.sha256 = end[:32].hex()
        self.size_bytes = int.from_bytes(end[32:], "big")
        count = -(-self.size_bytes // CHUNK_BYTES)
        if on_disk != _HEAD_BYTES + self.size_bytes + count * self._cipher.overhead_bytes + end_bytes:
            raise ValueError(f"{path} has not the length that it had")

    def _chunk(self, number: int) -> bytes:
        stride = CHUNK_BYTES + self._cipher.overhead_bytes
        size_bytes = min(CHUNK_BYTES, self.size_bytes - number * CHUNK_BYTES)
        self._file.seek(_HEAD_BYTES + number * stride)
        sealed = self._file.read(size_bytes + self._cipher.overhead_bytes)
        return self._cipher.open(sealed, _place(self._id, number))


def _place(file_id: bytes, number: int) -> bytes:
    return file_id + number.to_bytes(8, "big")
