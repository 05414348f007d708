"""What this room refuses.

ScheduleError
├── BadTiming
│   ├── BadCron             the cron expression will not do; the message says where
│   └── UnknownTimeZone     there is no such time zone
├── UnknownSchedule         no schedule has this name
├── ScheduleExists          the name is taken
├── ScheduleChanged         somebody has changed it since it was read
├── UnknownBackfill         the schedule has no such backfill
└── BackfillRefused         the range is empty, in the future, or too long
"""

from typing import ClassVar


class ScheduleError(Exception):
    """Root of what the room raises of itself."""

    code: ClassVar[str] = "schedule"
    retryable: ClassVar[bool] = False


class BadTiming(ScheduleError):
    """The times at which it starts are not well said."""

    code = "schedule.bad-timing"


class BadCron(BadTiming):
    """The cron expression will not do; the message says where and why."""

    code = "schedule.bad-cron"


class UnknownTimeZone(BadTiming):
    """The time zone database has no such zone."""

    code = "schedule.unknown-time-zone"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no time zone {name[:80]!r}: write it as Europe/Berlin, America/New_York or UTC")


class UnknownSchedule(ScheduleError):
    """No schedule has this name."""

    code = "schedule.unknown"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no schedule {name!r}.")


class ScheduleExists(ScheduleError):
    """The name is taken."""

    code = "schedule.exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a schedule {name!r} already: change that one, or take another name.")


class ScheduleChanged(ScheduleError):
    """Somebody has changed it since it was read."""

    code = "schedule.changed"

    def __init__(self, name: str) -> None:
        super().__init__(f"Schedule {name!r} was changed since it was read: read it again, then decide.")


class UnknownBackfill(ScheduleError):
    """The schedule has no such backfill."""

    code = "schedule.unknown-backfill"

    def __init__(self, name: str, backfill: str) -> None:
        super().__init__(f"Schedule {name!r} has no backfill {backfill!r}.")


class BackfillRefused(ScheduleError):
    """The range is empty, lies in the future, or holds more times than were allowed."""

    code = "schedule.backfill-refused"
