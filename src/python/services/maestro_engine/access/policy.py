"""What there is to allow, and which role allows it: the whole of it, in one place."""

from typing import Final

from maestro_core_auth import Policy, Role

READ: Final = "workflow:read"
START: Final = "workflow:start"
CANCEL: Final = "workflow:cancel"
MANAGE: Final = "access:manage"
METRICS: Final = "metrics:read"
AUDIT: Final = "audit:read"

POLICY: Final = Policy(
    [READ, START, CANCEL, MANAGE, METRICS, AUDIT],
    {
        "viewer": Role(may=(READ, METRICS)),
        "operator": Role(may=(START, CANCEL), includes=("viewer",)),
        "admin": Role(may=(MANAGE, AUDIT), includes=("operator",)),
    },
)
