"""What there is to allow, and which role allows it: the whole of it, in one place."""

from typing import Final

from maestro_core_auth import Policy, Role

READ: Final = "workflow:read"
START: Final = "workflow:start"
CANCEL: Final = "workflow:cancel"
CONTROL: Final = "workflow:control"
SIGNAL: Final = "workflow:signal"
DELETE: Final = "workflow:delete"
ANSWER: Final = "approval:answer"
LIMIT_MANAGE: Final = "limit:manage"
SCHEDULE_READ: Final = "schedule:read"
SCHEDULE_MANAGE: Final = "schedule:manage"
TEMPLATE_READ: Final = "template:read"
TEMPLATE_MANAGE: Final = "template:manage"
SECRET_READ: Final = "secret:read"
"""Names and dates; nobody reads a value."""
SECRET_MANAGE: Final = "secret:manage"
WEBHOOK_MANAGE: Final = "webhook:manage"
MANAGE: Final = "access:manage"
METRICS: Final = "metrics:read"
AUDIT: Final = "audit:read"

_VIEWER: Final = (READ, METRICS, SCHEDULE_READ, TEMPLATE_READ)
_OPERATOR: Final = (START, CANCEL, CONTROL, SIGNAL, ANSWER, SCHEDULE_MANAGE, TEMPLATE_MANAGE, SECRET_READ)
_ADMIN: Final = (MANAGE, AUDIT, DELETE, LIMIT_MANAGE, SECRET_MANAGE, WEBHOOK_MANAGE)

POLICY: Final = Policy(
    [*_VIEWER, *_OPERATOR, *_ADMIN],
    {
        "viewer": Role(may=_VIEWER),
        "approver": Role(may=(ANSWER,), includes=("viewer",)),
        "operator": Role(may=_OPERATOR, includes=("approver",)),
        "admin": Role(may=_ADMIN, includes=("operator",)),
    },
)
