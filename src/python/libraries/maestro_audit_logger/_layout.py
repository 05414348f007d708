"""Where things lie in the folder of a log, and how the small files read.

FORMAT              version and origin of the log
checkpoint          the newest signed checkpoint
segments/N.jsonl    entries, one on a line; N is the number of the first
index/N.jsonl       a summary of each block of 1,024 entries; can be made again from the segment
removed.json        the edge of the tree over what retention has removed; only there if something was
keys/               a key for each subject of personal values
writer.lock         held by the one writer
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from maestro_audit_logger._errors import InvalidSetup, LogDamaged
from maestro_audit_logger._merkle import Frontier
from maestro_audit_logger._note import check_origin

VERSION = 1
_FORMAT = re.compile(r"maestro-audit (?P<version>\d{1,9})\n(?P<origin>[^\n]+)\n")
_SEGMENT = re.compile(r"(?P<first>\d{16})\.jsonl")


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of entries: the number of its first one, the file, and the file of its summaries."""

    first: int
    path: Path
    index: Path


@dataclass(frozen=True, slots=True)
class Layout:
    """The places in a log's folder."""

    folder: Path

    @property
    def format(self) -> Path:
        """Version and origin."""
        return self.folder / "FORMAT"

    @property
    def checkpoint(self) -> Path:
        """The newest signed checkpoint."""
        return self.folder / "checkpoint"

    @property
    def removed(self) -> Path:
        """The edge over what retention removed."""
        return self.folder / "removed.json"

    @property
    def lock(self) -> Path:
        """The lock of the writer."""
        return self.folder / "writer.lock"

    @property
    def keys(self) -> Path:
        """The keys of subjects."""
        return self.folder / "keys"

    def segment(self, first: int) -> Segment:
        """The segment that begins with that entry."""
        name = f"{first:016}.jsonl"
        return Segment(first, self.folder / "segments" / name, self.folder / "index" / name)

    def segments(self) -> list[Segment]:
        """The segments that are there, oldest first; raises LogDamaged at a file that is none."""
        found = []
        try:
            paths = sorted((self.folder / "segments").iterdir())
        except FileNotFoundError:
            raise LogDamaged("the folder segments is missing") from None
        for path in paths:
            match = _SEGMENT.fullmatch(path.name)
            if match is None:
                raise LogDamaged(f"{'segments/' + path.name!r} is not a file of this log")
            found.append(self.segment(int(match["first"])))
        return found

    def read_kept(self) -> tuple[Frontier, list[Segment]]:
        """The edge over what was removed, and the segments that follow on it; also while retention is at work.

        Retention moves the edge first and then takes the files away, so that those below the edge count no more.
        """
        edge = self.read_removed()
        while True:
            segments = self.segments()
            now = self.read_removed()
            if now.size == edge.size:
                return edge, [segment for segment in segments if segment.first >= edge.size]
            edge = now

    def read_origin(self) -> str:
        """The origin of the log; raises LogDamaged, or InvalidSetup where there is no log or a newer one."""
        try:
            text = self.format.read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, NotADirectoryError):
            raise InvalidSetup(f"{self.folder} holds no audit log: it has no file FORMAT") from None
        match = _FORMAT.fullmatch(text)
        if match is None or not check_origin(match["origin"]):
            raise LogDamaged("FORMAT is not what this log was made with")
        if (version := int(match["version"])) != VERSION:
            raise InvalidSetup(f"{self.folder} has format {version}, and this program reads {VERSION}: upgrade it")
        return match["origin"]

    def read_removed(self) -> Frontier:
        """The edge of the tree over the removed entries; raises LogDamaged."""
        try:
            data = self.removed.read_bytes()
        except FileNotFoundError:
            return Frontier()
        try:
            values = json.loads(data)
            edge = Frontier(values["size"], [bytes.fromhex(root) for root in values["roots"]])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LogDamaged("removed.json cannot be read") from error
        if removed_text(edge) != data:
            raise LogDamaged("removed.json is not as it was written")
        return edge


def format_text(origin: str) -> bytes:
    """What FORMAT holds."""
    return f"maestro-audit {VERSION}\n{origin}\n".encode()


def removed_text(edge: Frontier) -> bytes:
    """What removed.json holds."""
    return json.dumps({"roots": [root.hex() for root in edge.roots], "size": edge.size}).encode() + b"\n"
