"""What the settings of a schedule say about its times."""

import functools
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from maestro_engine.schedules.cron import Cron
from maestro_engine.schedules.planner import Every, Once, Plan, Times
from maestro_engine.schedules.store import ScheduleRow

TIMING: Final = ("cron", "time_zone", "every_s", "anchor_at", "at", "start_at")
"""The settings that name times: where one changes, what was missed before does not count any more."""


def plan_of(schedule: ScheduleRow) -> Plan:
    """The plan of a schedule; raises BadTiming where this machine does not know its time zone any more."""
    settings = schedule.settings
    return Plan(
        times=_times(settings, schedule.created_at),
        seed=schedule.id,
        start_at=_time(settings["start_at"]),
        end_at=_time(settings["end_at"]),
        catch_up=settings["catch_up"],
        catch_up_window=timedelta(seconds=settings["catch_up_window_s"]),
        jitter=timedelta(seconds=settings["jitter_s"]),
    )


def has_other_times(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the settings name other times."""
    return any(old.get(name) != new.get(name) for name in TIMING)


def in_short(settings: Mapping[str, Any]) -> str:
    """When it starts, for people."""
    if "cron" in settings:
        return f"{settings['cron']} {settings['time_zone']}"
    return f"every {settings['every_s']} s" if "every_s" in settings else f"once at {settings['at']}"


def _times(settings: Mapping[str, Any], created_at: datetime) -> Times:
    if "cron" in settings:
        return _cron(settings["cron"], settings["time_zone"])
    if "every_s" in settings:
        anchor = _time(settings["anchor_at"]) or created_at.replace(microsecond=0)
        return Every(anchor, timedelta(seconds=settings["every_s"]))
    return Once(datetime.fromisoformat(settings["at"]))


_cron: Final = functools.lru_cache(maxsize=4096)(Cron)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
