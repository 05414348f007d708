"""One delivery: a signed POST that is taken, tried again, or given up."""

import json
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any, Final

import httpx2

from maestro_core_messaging import Delivery
from maestro_engine.webhooks.addresses import check_address
from maestro_engine.webhooks.errors import AddressRefused, NotDelivered, NotWanted
from maestro_engine.webhooks.outgoing import TYPE_PREFIX
from maestro_engine.webhooks.signing import signature_headers
from maestro_engine.webhooks.store import Webhook

TIMEOUT_S: Final = 10.0
_GONE: Final = 410
_TRY_AGAIN: Final = frozenset({408, 409, 423, 425, 429})


class Courier:
    """Brings events to one webhook; what it raises says whether another try can help."""

    def __init__(
        self,
        webhook: Webhook,
        client: httpx2.AsyncClient,
        *,
        may_be_private: bool,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._webhook = webhook
        self._client = client
        self._may_be_private = may_be_private
        self._clock = clock

    async def bring(self, delivery: Delivery) -> None:
        """Deliver one event, unless the webhook does not want it; raises NotDelivered or NotWanted."""
        event = json.loads(delivery.message.to_json())
        if not wants(self._webhook, event):
            return
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "User-Agent": "maestro-engine",
            **signature_headers(self._webhook.secrets, id_=delivery.message.id, at_s=int(self._clock()), body=body),
        }
        try:
            await check_address(self._webhook.url, may_be_private=self._may_be_private)
        except AddressRefused as error:
            raise NotWanted(str(error)) from error
        try:
            async with self._client.stream(
                "POST", self._webhook.url, content=body, headers=headers, timeout=TIMEOUT_S, follow_redirects=False
            ) as answer:
                status, after = answer.status_code, answer.headers.get("retry-after", "")
        except httpx2.HTTPError as error:
            raise NotDelivered(f"no answer: {type(error).__name__}") from error
        if 200 <= status < 300:
            return
        if status >= 500 or status in _TRY_AGAIN:
            raise NotDelivered(f"answered with status {status}", float(after) if after.isdigit() else None)
        raise NotWanted("answered with status 410: gone" if status == _GONE else f"answered with status {status}")


def wants(webhook: Webhook, event: dict[str, Any]) -> bool:
    """Whether an event is one that the webhook was made for."""
    data = event.get("data") or {}
    type_ = str(data.get("type") or event["type"].removeprefix(TYPE_PREFIX))
    return (
        any(fnmatchcase(type_, pattern) for pattern in webhook.types)
        and webhook.template in (None, data.get("template"))
        and webhook.name in (None, data.get("name"))
    )
