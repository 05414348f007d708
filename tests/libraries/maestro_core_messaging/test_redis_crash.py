"""Workers are killed with SIGKILL at random moments: no message is lost, no effect doubled, each key's order holds."""

from pathlib import Path

from libraries.maestro_core_messaging.crash_trial import KILLS, Trial

from kit.redis_server import redis_server


async def test_nothing_is_lost_or_doubled_on_redis_when_workers_are_killed(tmp_path: Path) -> None:
    """10,000 messages (MAESTRO_MESSAGING_CRASH_MESSAGES for more), twelve deaths."""
    with redis_server(tmp_path / "redis") as server:
        trial = Trial(server.url, tmp_path, seed=20261122)
        await trial.run()
        trial.check()
    assert trial.killed == KILLS
