"""Redis Streams as broker, and an inbox for effects in Redis; needs the extra `redis`."""

try:
    import redis.asyncio  # noqa: F401 # only to see whether the extra is there
except ImportError as error:
    raise ImportError(
        "maestro_core_messaging.redis needs the extra: pip install 'maestro-core-messaging[redis]'"
    ) from error

from maestro_core_messaging._redis._broker import RedisBroker
from maestro_core_messaging._redis._inbox import RedisInbox

__all__ = ["RedisBroker", "RedisInbox"]
