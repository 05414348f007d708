from kit.readme import run_readme
from kit.redis_server import RedisServer


def test_readme_blocks_run() -> None:
    """Every Python block of the README runs as written."""
    run_readme("maestro_cache")


def test_readme_blocks_for_redis_run(empty_redis: RedisServer) -> None:
    """So do those that need the extra, against a real server."""
    run_readme("maestro_cache", extra="redis", given={"redis_url": empty_redis.url})
