"""Shapes on the wire: webhooks, and what could not be delivered."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

EventPattern = Annotated[str, StringConstraints(pattern=r"^(\*|[a-z_]{1,32}\.(\*|[a-z_]{1,48}))$")]
WebhookId = Annotated[str, StringConstraints(pattern=r"^wh_[0-9a-f]{24}$")]


class WebhookOrder(BaseModel):
    """Where events go, and which ones."""

    model_config = ConfigDict(extra="forbid")
    url: Annotated[str, StringConstraints(min_length=8, max_length=2000, pattern=r"^https?://[^\s\\]+$")] = Field(
        description="POSTed to, with the event as CloudEvents 1.0 JSON."
    )
    types: list[EventPattern] = Field(
        default_factory=lambda: ["workflow.succeeded", "workflow.failed", "workflow.cancelled"],
        min_length=1,
        max_length=50,
        description="Types of events, as `workflow.failed`, `workflow.*`, `step.waiting` or `*`.",
    )
    template: str | None = Field(None, max_length=200, description="Only of workflows of this template.")
    name: str | None = Field(None, max_length=200, description="Only of workflows of this name.")
    is_active: StrictBool = True
    description: str = Field("", max_length=500)


class WebhookView(WebhookOrder):
    """A webhook; its secret is shown once, when it is made."""

    id: WebhookId
    created_at: datetime
    waiting: int = Field(description="Deliveries that are still to be made.")
    failed: int = Field(description="Deliveries that were given up.")


class WebhookMade(BaseModel):
    """A new webhook, or a new secret of one."""

    id: WebhookId
    secret: str = Field(description="Verifies signatures (Standard Webhooks); shown this once.")


class Webhooks(BaseModel):
    """All webhooks."""

    items: list[WebhookView]


class FailedDelivery(BaseModel):
    """An event that was given up."""

    id: str
    event: dict[str, Any] = Field(description="As it would have been sent.")
    reason: str
    error: str
    attempts: int
    at: datetime


class FailedDeliveries(BaseModel):
    """Events that were given up, the oldest first."""

    items: list[FailedDelivery]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")
