"""Events on their way out: the journal is the outbox, and a broker carries them on."""

import asyncio
import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

from maestro_core_messaging import DATA_LIMIT_BYTES, Broker, Message
from maestro_engine.webhooks.store import WebhookStore
from maestro_workflow_engine import Event, ExecutionBackend

TOPIC: Final = "maestro.workflows"
TYPE_PREFIX: Final = "dev.maestro."
_PUBLIC: Final = ("workflow.*", "step.waiting", "step.failed", "step.answered")
"""What goes out: what becomes of workflows, what waits for people, and what went wrong; not every step of each."""
_SECOND_NATURE: Final = ("outputs", "inputs", "memo", "answer", "error", "on", "labels")
"""What may be left out when an event is too large, one after the other."""
_KEEP_DATA_BYTES: Final = DATA_LIMIT_BYTES - 2048
_SAVE_EVERY: Final = 100
_TRIM_EVERY: Final = 1_000
_KEEP_S: Final = 7 * 86_400.0
"""How long the broker keeps what everybody has taken."""


class Outgoing:
    """Publishes each event that is for the world, at least once, in the order of its workflow.

    Its place in the journal is kept behind what the broker has taken, so nothing is lost by a crash; what comes twice
    has the same id, and the broker takes it once.
    """

    def __init__(
        self,
        broker: Broker,
        store: WebhookStore,
        backend: ExecutionBackend,
        *,
        source: str,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """While `is_wanted` says no, nobody listens and nothing is published."""
        self._broker = broker
        self._store = store
        self._backend = backend
        self._source = source
        self._is_wanted = is_wanted
        self._names: dict[str, tuple[str, str | None]] = {}
        self._heard = 0
        self._unsaved = 0
        self._published = 0

    async def begin(self) -> None:
        """Somebody is going to listen: what was heard before is not for him, also not after a crash."""
        await asyncio.to_thread(self._store.advance, self._heard)

    async def heard(self, event: Event) -> None:
        """Publish an event, or note that it stays in the house; raises what the broker raises."""
        self._heard = event.position
        if not self._is_wanted():
            self._names.clear()
            return
        is_public = any(fnmatchcase(event.type, pattern) for pattern in _PUBLIC)
        if is_public:
            await self._broker.publish(TOPIC, await self._message(event))
            self._published += 1
            if self._published % _TRIM_EVERY == 0:
                await self._broker.trim(TOPIC, older_than_s=_KEEP_S)
        self._unsaved += 1
        if is_public or self._unsaved >= _SAVE_EVERY:
            self._unsaved = 0
            await asyncio.to_thread(self._store.advance, event.position)

    async def _message(self, event: Event) -> Message:
        name, template = await self._facts(event)
        data: dict[str, Any] = {
            "workflow_id": event.workflow_id, "name": name, "template": template, "seq": event.seq,
            "position": event.position, "type": event.type, "data": event.data,
        }  # fmt: skip
        return Message(
            id=f"{event.workflow_id}/{event.seq}",
            source=self._source,
            type=f"{TYPE_PREFIX}{event.type}.v1",
            subject=event.workflow_id,
            time=event.at,
            data=_fitting(data),
            extensions={"partitionkey": event.workflow_id[:128]},
        )

    async def _facts(self, event: Event) -> tuple[str, str | None]:
        """Name and template of its workflow."""
        if event.type == "workflow.started":
            self._names[event.workflow_id] = (event.data["name"], event.data.get("template"))
        known = self._names.get(event.workflow_id)
        if known is None:
            state = await self._backend.get(event.workflow_id)
            known = self._names[event.workflow_id] = (state.name, state.template)
        if event.type in ("workflow.succeeded", "workflow.failed", "workflow.cancelled"):
            self._names.pop(event.workflow_id, None)
        return known


def _fitting(data: dict[str, Any]) -> dict[str, Any]:
    """The data within the limit of a message; what had to be left out is named in `left_out`."""
    left_out: list[str] = []
    inner: Mapping[str, Any] = data["data"]
    for name in (*_SECOND_NATURE, None):
        shape = {**data, "data": {key: value for key, value in inner.items() if key not in left_out}}
        if left_out:
            shape["left_out"] = left_out
        if name is None or len(json.dumps(shape, ensure_ascii=False).encode()) <= _KEEP_DATA_BYTES:
            return shape
        if name in inner:
            left_out = [*left_out, name]
    return data
