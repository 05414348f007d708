"""RedisInbox: effects in Redis that happen once."""

from collections.abc import Callable
from typing import Any

from redis.asyncio.client import Pipeline

from maestro_core_messaging._broker import Delivery
from maestro_core_messaging._checks import check_count, check_name, check_seconds
from maestro_core_messaging._redis._keys import digest
from maestro_core_messaging._redis._link import Link


class RedisInbox:
    """An inbox for effects that are commands to the same Redis server.

    `effect` queues commands on a pipeline, which run in one MULTI with the record: all of them or none. It reads
    nothing. The record is kept for `keep_s`; a message that comes again after that is done again.
    """

    def __init__(
        self,
        url: str,
        *,
        username: str | None = None,
        password: str | None = None,
        prefix: str = "maestro:inbox:",
        keep_s: float = 7 * 24 * 3600.0,
        timeout_s: float = 5.0,
        max_connections: int = 16,
    ) -> None:
        self._prefix = check_name("prefix", prefix)
        self._keep_ms = int(check_seconds("keep_s", keep_s) * 1000)
        self._link = Link(
            url,
            username=username,
            password=password,
            timeout_s=check_seconds("timeout_s", timeout_s),
            max_connections=check_count("max_connections", max_connections),
        )

    async def once(self, delivery: Delivery, effect: Callable[["Pipeline"], object]) -> bool:
        """Run the effect and record the message, both or neither; False, and no effect, when it was done before."""
        record = f"{self._prefix}{delivery.group}:{digest(delivery.message)}"

        async def attempt(pipeline: Any) -> bool:
            if await pipeline.exists(record):
                return False
            pipeline.multi()
            pipeline.set(record, "1", px=self._keep_ms)
            effect(pipeline)
            await pipeline.execute()
            return True

        return await self._link.transaction(record, attempt)

    async def close(self) -> None:
        """Close every connection."""
        await self._link.close()
