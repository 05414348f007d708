"""An order book in memory: all that this library gives, in one small service of two users.

python -m libraries.maestro_core_api.example_service      serves it on http://127.0.0.1:8000
"""

import asyncio
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request, Response, Security
from fastapi.security import APIKeyHeader
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from starlette.middleware import Middleware

from maestro_core_api import (
    ApiError,
    ApiSettings,
    BaseAPI,
    CursorSigner,
    Deprecated,
    Deprecations,
    ETag,
    Idempotency,
    IdempotencyStore,
    MemoryIdempotencyStore,
    MemoryRateLimitStore,
    Page,
    PageRequest,
    ProblemTable,
    RateLimitPolicy,
    RateLimits,
    by_principal,
    create_api,
    etag_of,
    idempotent,
    pages,
    preconditions,
    problems,
    rate_limit,
)

USERS = {"ann-s-own-key-1a2b3c": "ann", "bob-s-own-key-4d5e6f": "bob"}
PER_USER = RateLimitPolicy("per-user", quota=60_000, window_s=60, burst=1000)
MAX_ORDERS = 10_000


def _whole(value: object) -> object:
    """3.0 is an integer to JSON Schema, and to a strict model it is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class NewOrder(BaseModel):
    """What somebody orders."""

    model_config = ConfigDict(extra="forbid", strict=True)

    item: str = Field(min_length=1, max_length=50)
    quantity: Annotated[int, BeforeValidator(_whole)] = Field(ge=1, le=100)


class Order(BaseModel):
    """An order as it stands."""

    id: int
    item: str
    quantity: int
    version: int = Field(description="Goes up by one with each change; the ETag.")
    ordered_at: datetime


class OrderCount(BaseModel):
    """How many there are."""

    count: int


class OrderNotFound(ApiError):
    """There is no such order, or it is somebody else's, which is not told apart."""

    code = "order.not-found"


class OrderBookFull(ApiError):
    """No more orders fit."""

    code = "order.book-full"
    retryable = True


@dataclass(frozen=True, slots=True)
class User:
    """Who is signed in."""

    subject: str


class OrderBook:
    """The orders of everybody."""

    def __init__(self) -> None:
        self._orders: dict[tuple[str, int], Order] = {}
        self._ids = itertools.count(1)

    def of(self, owner: User) -> list[Order]:
        """In the order in which they came."""
        return [order for (subject, _), order in self._orders.items() if subject == owner.subject]

    def add(self, owner: User, new: NewOrder) -> Order:
        """Keep a new order; raises OrderBookFull."""
        if len(self._orders) >= MAX_ORDERS:
            raise OrderBookFull("no more orders fit; try again later")
        order = Order(id=next(self._ids), **new.model_dump(), version=1, ordered_at=datetime.now(UTC))
        self._orders[owner.subject, order.id] = order
        return order

    def get(self, owner: User, order_id: int) -> Order:
        """One order; raises OrderNotFound."""
        order = self._orders.get((owner.subject, order_id))
        if order is None:
            raise OrderNotFound(f"there is no order {order_id}")
        return order

    def replace(self, owner: User, order: Order, new: NewOrder) -> Order:
        """The next version of an order."""
        changed = order.model_copy(update={**new.model_dump(), "version": order.version + 1})
        self._orders[owner.subject, order.id] = changed
        return changed

    def remove(self, owner: User, order: Order) -> None:
        """Forget an order."""
        del self._orders[owner.subject, order.id]


def create_order_book(
    settings: ApiSettings | None = None, *, keys: IdempotencyStore | None = None, per_user: RateLimitPolicy = PER_USER
) -> BaseAPI:
    """The service; everything that it keeps is made here."""
    return create_api(
        settings,
        title="Order book",
        version="1.0.0",
        description="Orders of two users, to show what maestro-core-api does.",
        routers=[_routes(OrderBook(), CursorSigner({"k1": b"a key of the example, 32 bytes.."}), per_user)],
        problems=ProblemTable({"order.not-found": 404, "order.book-full": 503}),
        middleware=[
            Middleware(RateLimits, store=MemoryRateLimitStore()),
            Middleware(Deprecations),
            Middleware(Idempotency, store=keys if keys is not None else MemoryIdempotencyStore()),
        ],
    )


async def signed_in(
    request: Request, key: Annotated[str | None, Security(APIKeyHeader(name="X-Api-Key", auto_error=False))]
) -> User:
    """Who has this key."""
    subject = USERS.get(key or "")
    if subject is None:
        raise HTTPException(401, "no user has this key", headers={"WWW-Authenticate": "ApiKey"})
    request.state.principal = user = User(subject)
    return user


Caller = Annotated[User, Depends(signed_in)]
OrderId = Annotated[int, Path(ge=1, le=2**53)]


def _routes(book: OrderBook, signer: CursorSigner, per_user: RateLimitPolicy) -> APIRouter:
    limited = [Depends(signed_in), Depends(rate_limit(per_user, by=by_principal))]
    routes = APIRouter(tags=["orders"], dependencies=limited, responses=problems(401))
    old = Deprecated(since=datetime(2026, 3, 1, tzinfo=UTC), sunset=datetime(2100, 1, 1, tzinfo=UTC), info="/api/docs")

    def own_order(caller: Caller, order_id: OrderId) -> Order:
        return book.get(caller, order_id)

    def own_etag(order: Annotated[Order, Depends(own_order)]) -> ETag:
        return etag_of(order.version)

    Own = Annotated[Order, Depends(own_order)]
    if_matching = Depends(preconditions(own_etag))
    only_if_matching = Depends(preconditions(own_etag, required=True))

    @routes.post("/orders", status_code=201, responses=_with_links(201))
    @idempotent()
    async def create_order(new: NewOrder, caller: Caller, response: Response) -> Order:
        """Order something; with the same Idempotency-Key, once."""
        order = book.add(caller, new)
        response.headers.update({"Location": f"/orders/{order.id}", "ETag": str(etag_of(order.version))})
        return order

    @routes.get("/orders", responses={200: {"links": {"next": _NEXT_PAGE}}})
    async def list_orders(
        page: Annotated[PageRequest, Depends(pages(signer, default_limit=5, max_limit=50))], caller: Caller
    ) -> Page[Order]:
        """List the caller's orders, the oldest first."""
        (last_id,) = page.after or (0,)
        rows = [order for order in book.of(caller) if order.id > last_id]
        return page.page(rows[: page.limit + 1], lambda order: (order.id,))

    @routes.get("/orders-count", dependencies=[Depends(old)])
    async def count_orders(caller: Caller) -> OrderCount:
        """Count the caller's orders; list them instead."""
        return OrderCount(count=len(book.of(caller)))

    @routes.get("/orders/{order_id}", dependencies=[if_matching], responses=problems(404))
    async def read_order(order: Own) -> Order:
        """Read one order."""
        return order

    @routes.put("/orders/{order_id}", dependencies=[only_if_matching], responses={**problems(404), **_with_links(200)})
    async def replace_order(order: Own, new: NewOrder, caller: Caller, response: Response) -> Order:
        """Change one order, as the caller has read it."""
        changed = book.replace(caller, order, new)
        response.headers["ETag"] = str(etag_of(changed.version))
        return changed

    @routes.delete("/orders/{order_id}", status_code=204, dependencies=[if_matching], responses=problems(404))
    async def delete_order(order: Own, caller: Caller) -> None:
        """Withdraw one order."""
        book.remove(caller, order)

    return routes


_ID = {"order_id": "$response.body#/id"}
_IF_MATCH = {**_ID, "If-Match": "$response.header.ETag"}
_NEXT_PAGE = {"operationId": "list_orders", "parameters": {"cursor": "$response.body#/next_cursor"}}


def _with_links(status: int) -> dict[int | str, dict[str, Any]]:
    """What can be done next with the order of the answer."""
    links = {
        "read": {"operationId": "read_order", "parameters": _ID},
        "replace": {"operationId": "replace_order", "parameters": _IF_MATCH},
        "delete": {"operationId": "delete_order", "parameters": _IF_MATCH},
    }
    etag = {"description": "The version.", "schema": {"type": "string"}}
    return {status: {"links": links, "headers": {"ETag": etag}}}


if __name__ == "__main__":
    from maestro_core_api.serve import bound_socket, serve

    app = create_order_book()
    with bound_socket(app.settings) as listener:
        asyncio.run(serve(app, listener))
