"""A workflow as one file: definitions, events and artifacts, redacted, signed, and complete in itself."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._events import ArtifactRef, Event, time_as_text, time_from_text
from maestro_workflow_engine._fold import fold
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._parse import parse_definition
from maestro_workflow_engine._redaction import REDACTED, Redaction
from maestro_workflow_engine._replay import Replay, replay
from maestro_workflow_engine._state import WorkflowState

if TYPE_CHECKING:
    import zipfile

FORMAT: Final = "maestro-bundle/1"
MAX_FILE_BYTES: Final = 256 << 20
MAX_BUNDLE_BYTES: Final = 1 << 30
_MAX_FILES: Final = 100_000

Sign: TypeAlias = Callable[[bytes], Mapping[str, str]]
"""Gives `{algorithm, public_key, signature}` for the bytes of a manifest."""
Verify: TypeAlias = Callable[[bytes, Mapping[str, str]], None]
"""Raises when a signature does not belong to the bytes of a manifest, or to no key that is trusted."""


class BadBundle(WorkflowError):
    """The file is no bundle, is damaged, too large, or its signature does not hold."""

    code = "workflow.bad-bundle"


@dataclass(frozen=True)
class Bundle:
    """A workflow that was exported; `left_out` names artifacts that did not come with it."""

    workflow_id: str
    exported_at: datetime
    events: list[Event]
    definitions: Mapping[str, WorkflowDefinition]
    artifacts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    origin: "Bundle | None" = None
    signed_by: str | None = None
    """The public key, None when nobody has signed it."""

    @property
    def definition(self) -> WorkflowDefinition:
        """What the workflow was started with."""
        return self.definitions[self.events[0].data["definition"]]

    def state_at(self, seq: int | None = None) -> WorkflowState:
        """The state after the first `seq` events; None: at the end."""
        events = self.events if seq is None else self.events[:seq]
        return fold(events, definition=self.definition, lookup=self.definitions.__getitem__)

    def replay(self) -> Replay:
        """Decide the whole history anew, and compare."""
        return replay(
            self.definition,
            self.events,
            definitions=self.definitions,
            origin=None if self.origin is None else self.origin.state_at(),
            load=self._load,
            redacted=REDACTED,
        )

    def _load(self, reference: ArtifactRef) -> JSON:
        if reference.sha256 not in self.artifacts:
            raise BadBundle(f"the artifact {reference.sha256} did not come with the bundle")
        value: JSON = json.loads(self.artifacts[reference.sha256])
        return value


def bundle_bytes(
    events: list[Event],
    definitions: Mapping[str, Mapping[str, JSON]],
    *,
    exported_at: datetime,
    redaction: Redaction | None = None,
    artifacts: Iterable[tuple[str, bytes]] = (),
    origin: bytes | None = None,
    sign: Sign | None = None,
) -> bytes:
    """A bundle of the events of one workflow; `definitions` are documents by digest, `origin` the bundle of its origin.

    What `redaction` takes out of events is gone for good. Artifacts that it would change are left out, since their
    names are the hashes of what they hold. Raises ValueError without events.
    """
    if not events:
        raise ValueError("there is nothing to export: the workflow has no events")
    rules = redaction or Redaction(keys=())
    files: dict[str, bytes] = {}
    lines = [json.dumps({**event.as_json(), "data": rules.of(event.data)}, ensure_ascii=False) for event in events]
    files["events.jsonl"] = ("\n".join(lines) + "\n").encode()
    for digest, document in definitions.items():
        # Only texts: what a key says of a definition is its shape, not a secret.
        redacted = Redaction((), rules.values).of(dict(document))
        # In its own order: steps that may begin at the same moment begin in the order in which they are written.
        files[f"definitions/{digest}.json"] = json.dumps(redacted, ensure_ascii=False, indent=1).encode()
    left_out = []
    for sha256, content in artifacts:
        if _is_touched(content, rules):
            left_out.append(sha256)
        else:
            files[f"artifacts/{sha256}"] = content
    if origin is not None:
        files["origin.zip"] = origin
    manifest = _text(
        {
            "format": FORMAT,
            "workflow": events[0].workflow_id,
            "exported_at": time_as_text(exported_at),
            "is_redacted": redaction is not None,
            "left_out": sorted(left_out),
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        }
    )
    return _zipped({"manifest.json": manifest, **files}, None if sign is None else _text(dict(sign(manifest))))


def _is_touched(content: bytes, rules: Redaction) -> bool:
    """Whether there is anything in an artifact to take out."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return any(value.encode() in content for value in rules.values if value)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return rules.of_text(text) != text
    return rules.of(value) != value or rules.of_text(text) != text


def _zipped(files: Mapping[str, bytes], signature: bytes | None) -> bytes:
    """Always the same bytes for the same files."""
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (*files.items(), *((("signature.json", signature),) if signature else ())):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, indent=1).encode()


def read_bundle(source: bytes | Path, *, verify: Verify | None = None) -> Bundle:
    """A bundle that was checked whole: every file against the manifest, the manifest against its signature.

    With `verify` it must be signed. Raises BadBundle.
    """
    return _read(source, verify, depth=0)


def _read(source: bytes | Path, verify: Verify | None, depth: int) -> Bundle:
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            files = _files(archive)
        manifest_text = files.pop("manifest.json")
        signature = json.loads(files.pop("signature.json", b"null"))
        manifest = json.loads(manifest_text)
        if manifest["format"] != FORMAT:
            raise BadBundle(f"its format is {str(manifest['format'])[:64]!r}, {FORMAT!r} is known")
        _check_files(manifest["files"], files)
        if verify is not None:
            if not isinstance(signature, dict):
                raise BadBundle("nobody has signed it")
            verify(manifest_text, signature)
        origin = files.get("origin.zip")
        if origin is not None and depth >= 8:
            raise BadBundle("it holds bundles within bundles, deeper than any workflow was run again")
        return Bundle(
            workflow_id=manifest["workflow"],
            exported_at=time_from_text(manifest["exported_at"]),
            events=_events(files["events.jsonl"], manifest["workflow"]),
            definitions=_definitions(files),
            artifacts={name[10:]: content for name, content in files.items() if name.startswith("artifacts/")},
            left_out=tuple(manifest["left_out"]),
            origin=None if origin is None else _read(origin, None, depth + 1),
            signed_by=signature["public_key"] if isinstance(signature, dict) else None,
        )
    except WorkflowError as error:
        raise error if isinstance(error, BadBundle) else BadBundle(str(error)) from error
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise BadBundle(f"it cannot be read: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise BadBundle(f"it makes no sense ({type(error).__name__}: {str(error)[:200]})") from error


def _files(archive: "zipfile.ZipFile") -> dict[str, bytes]:
    """The files of an archive, within limits, whatever its headers claim."""
    entries = archive.infolist()
    if len(entries) > _MAX_FILES:
        raise BadBundle(f"it holds {len(entries)} files, at most {_MAX_FILES} are read")
    files: dict[str, bytes] = {}
    left = MAX_BUNDLE_BYTES
    for entry in entries:
        if entry.filename in files:
            raise BadBundle(f"it holds {entry.filename[:100]!r} twice")
        with archive.open(entry) as reading:
            content = reading.read(min(MAX_FILE_BYTES, left) + 1)
        if len(content) > min(MAX_FILE_BYTES, left):
            raise BadBundle(f"it is too large: {entry.filename[:100]!r} goes beyond the limit")
        left -= len(content)
        files[entry.filename] = content
    return files


def _check_files(wanted: Mapping[str, str], files: Mapping[str, bytes]) -> None:
    if set(wanted) != set(files):
        odd = sorted(set(wanted) ^ set(files))[0]
        raise BadBundle(f"manifest and content do not agree about {odd[:100]!r}")
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != wanted[name]:
            raise BadBundle(f"{name[:100]!r} is not what was exported")
        if name.startswith("artifacts/") and name[10:] != wanted[name]:
            raise BadBundle(f"{name[:100]!r} does not hold what its name says")


def _events(content: bytes, workflow_id: str) -> list[Event]:
    events = []
    for number, line in enumerate(content.decode("utf-8").splitlines(), start=1):
        shape = json.loads(line)
        if shape["seq"] != number or shape["workflow_id"] != workflow_id or not isinstance(shape["data"], dict):
            raise BadBundle(f"event {number} does not belong where it stands")
        at = time_from_text(shape["at"])
        events.append(Event(number, workflow_id, str(shape["type"]), at, shape["data"], int(shape["position"])))
    if not events:
        raise BadBundle("it holds no events")
    return events


def _definitions(files: Mapping[str, bytes]) -> dict[str, WorkflowDefinition]:
    return {
        name[12:-5]: parse_definition(json.loads(content))
        for name, content in files.items()
        if name.startswith("definitions/") and name.endswith(".json")
    }
