"""`/api/webhooks`: where events go, and what could not be delivered."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from maestro_core_api import problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import WEBHOOK_MANAGE
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked
from maestro_engine.webhooks.contract import (
    FailedDeliveries,
    WebhookId,
    WebhookMade,
    WebhookOrder,
    Webhooks,
    WebhookView,
)
from maestro_engine.webhooks.service import WebhookService

Id = Annotated[WebhookId, Path()]
_BY_ID = {"webhook_id": "/id"}


def webhook_routes(service: WebhookService, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/webhooks`: for those who may decide what leaves the house."""
    routes = APIRouter(prefix="/api/webhooks", tags=["webhooks"])
    _making_routes(routes, service, auth, audit)
    _watching_routes(routes, service, auth, audit)
    return routes


def _making_routes(routes: APIRouter, service: WebhookService, auth: FastAPIAuth, audit: AuditTrail) -> None:
    links = linked(201, read_webhook=_BY_ID, change_webhook=_BY_ID, remove_webhook=_BY_ID)

    @routes.post("", status_code=201, responses={**links, **problems(401, 403, 409)})
    async def make_webhook(
        order: WebhookOrder, request: Request, caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)]
    ) -> WebhookMade:
        """Make a webhook, which hears what happens from now on; its secret is shown this once."""
        await audit.check()
        made = await service.make(order)
        await account(audit, request, caller, "webhook.make", made.id, types=order.types)
        return made

    @routes.put("/{webhook_id}", responses=problems(401, 403, 404))
    async def change_webhook(
        webhook_id: Id,
        order: WebhookOrder,
        request: Request,
        caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)],
    ) -> WebhookView:
        """Change where a webhook goes, what it hears, and whether it does; its secret stays."""
        await audit.check()
        view = await service.change(webhook_id, order)
        await account(audit, request, caller, "webhook.change", webhook_id, is_active=order.is_active)
        return view

    @routes.post("/{webhook_id}/secret", responses=problems(401, 403, 404))
    async def renew_webhook_secret(
        webhook_id: Id, request: Request, caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)]
    ) -> WebhookMade:
        """Make a new secret; until the next one, deliveries are signed with the earlier one too."""
        await audit.check()
        made = await service.renew_secret(webhook_id)
        await account(audit, request, caller, "webhook.renew-secret", webhook_id)
        return made

    @routes.delete("/{webhook_id}", status_code=204, responses=problems(401, 403, 404), response_class=Response)
    async def remove_webhook(
        webhook_id: Id, request: Request, caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)]
    ) -> Response:
        """Forget a webhook, and what it has not been told."""
        await audit.check()
        await service.remove(webhook_id)
        await account(audit, request, caller, "webhook.remove", webhook_id)
        return Response(status_code=204)


def _watching_routes(routes: APIRouter, service: WebhookService, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.get("", responses=problems(401, 403))
    async def list_webhooks(caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)]) -> Webhooks:
        """List the webhooks, with how much each has before it."""
        return await service.all()

    @routes.get("/{webhook_id}", responses=problems(401, 403, 404))
    async def read_webhook(webhook_id: Id, caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)]) -> WebhookView:
        """Read one webhook."""
        return await service.view(webhook_id)

    @routes.get("/{webhook_id}/failed", responses=problems(401, 403, 404))
    async def list_failed_deliveries(
        webhook_id: Id,
        caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$", description="`next` of the page before.")] = None,
    ) -> FailedDeliveries:
        """List deliveries that were given up."""
        return await service.failed(webhook_id, limit=limit, cursor=cursor)

    @routes.post(
        "/{webhook_id}/failed/{delivery_id}/again",
        status_code=202,
        responses=problems(401, 403, 404),
        response_class=Response,
    )
    async def deliver_again(
        webhook_id: Id,
        delivery_id: Annotated[str, Path(pattern=r"^[0-9]{1,18}$")],
        request: Request,
        caller: Annotated[Principal, auth.require(WEBHOOK_MANAGE)],
    ) -> Response:
        """Try a delivery again that was given up."""
        await audit.check()
        await service.deliver_again(webhook_id, delivery_id)
        await account(audit, request, caller, "webhook.deliver-again", webhook_id, delivery=delivery_id)
        return Response(status_code=202)
