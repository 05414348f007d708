"""A workflow as one signed file, for another machine or a report of a fault."""

import asyncio
import base64
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from maestro_engine.workflows.artifacts import named
from maestro_engine.workflows.contract import ExportWorkflow
from maestro_engine.workflows.errors import TooLargeToExport
from maestro_workflow_engine import (
    JSON,
    ArtifactNotFound,
    Event,
    ExecutionBackend,
    Redaction,
    WorkflowNotFound,
    WorkflowState,
    bundle_bytes,
)

MAX_EVENTS: Final = 200_000
MAX_ARTIFACT_BYTES: Final = 128 << 20
_MAX_ORIGINS: Final = 4
_KEY_BYTES: Final = 32


class BundleSigner:
    """Signs with a key that is kept in a file, made when it is first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, manifest: bytes) -> Mapping[str, str]:
        """`{algorithm, public_key, signature}` of a manifest; raises OSError, ValueError for a key that is none."""
        key = Ed25519PrivateKey.from_private_bytes(self._secret())
        return {
            "algorithm": "ed25519",
            "public_key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
            "signature": base64.b64encode(key.sign(manifest)).decode(),
        }

    def _secret(self) -> bytes:
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        except FileExistsError:
            return self._path.read_bytes()
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        return self._path.read_bytes()


class Exports:
    """Makes bundles of workflows, with those that they ran again."""

    def __init__(
        self,
        backend: ExecutionBackend,
        signer: BundleSigner,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._backend = backend
        self._signer = signer
        self._clock = clock

    async def bundle(self, workflow_id: str, order: ExportWorkflow) -> bytes:
        """The whole of a workflow so far; raises WorkflowNotFound, TooLargeToExport."""
        return await self._bundle(workflow_id, order, None, 0)

    async def _bundle(self, workflow_id: str, order: ExportWorkflow, until_seq: int | None, depth: int) -> bytes:
        events = await self._events(workflow_id, until_seq)
        state = await self._backend.state_at(workflow_id, events[-1].seq)
        origin = None
        if state.origin is not None and depth < _MAX_ORIGINS:
            try:
                earlier, seq = str(state.origin["workflow"]), int(str(state.origin["seq"]))
                origin = await self._bundle(earlier, order, seq, depth + 1)
            except WorkflowNotFound:  # it has been deleted since: what was reused stands in this history
                origin = None
        artifacts = await self._artifacts(state) if order.artifacts else []
        definitions = await self._definitions(workflow_id, events)
        redaction = Redaction(values=order.values) if order.redact else Redaction((), order.values)
        return await asyncio.to_thread(
            bundle_bytes,
            events,
            definitions,
            exported_at=self._clock(),
            redaction=redaction if order.redact or order.values else None,
            artifacts=artifacts,
            origin=origin,
            sign=self._signer if depth == 0 else None,
        )

    async def _events(self, workflow_id: str, until_seq: int | None) -> list[Event]:
        limit = MAX_EVENTS + 1 if until_seq is None else min(until_seq, MAX_EVENTS + 1)
        events = await self._backend.events(workflow_id, limit=limit)
        if len(events) > MAX_EVENTS:
            raise TooLargeToExport(f"it has more than {MAX_EVENTS:,} events")
        return events

    async def _definitions(self, workflow_id: str, events: list[Event]) -> dict[str, Mapping[str, JSON]]:
        """Every definition that it has had, by digest."""
        found: dict[str, Mapping[str, JSON]] = {}
        for event in events:
            if event.type in ("workflow.started", "workflow.migrated"):
                definition = (await self._backend.state_at(workflow_id, event.seq)).definition
                if definition is not None:
                    found[definition.digest] = definition.document
        return found

    async def _artifacts(self, state: WorkflowState) -> list[tuple[str, bytes]]:
        left = MAX_ARTIFACT_BYTES
        found: dict[str, bytes] = {}
        for reference, _, _ in named(state):
            if reference.sha256 in found:
                continue
            left -= reference.size_bytes
            if left < 0:
                raise TooLargeToExport(f"its artifacts are more than {MAX_ARTIFACT_BYTES >> 20} MiB")
            try:
                parts = [part async for part in self._backend.artifact_bytes(reference.sha256)]
            except ArtifactNotFound:  # it is not there any more, and the bundle says so by its absence
                continue
            found[reference.sha256] = b"".join(parts)
        return list(found.items())
