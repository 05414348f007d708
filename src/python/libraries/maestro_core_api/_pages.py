"""Pages of a listing, told apart by signed cursors and never by offsets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Query, Request, Response
from pydantic import BaseModel, Field

from maestro_core_api._cursor import CursorSigner, Position
from maestro_core_api._errors import InvalidApi
from maestro_core_api._problem_table import problems
from maestro_core_api._route_docs import RouteDocs, documented

T = TypeVar("T")

LINK_DOC: Final = {"description": 'The next page, as `<?…>; rel="next"`.', "schema": {"type": "string"}}


class Page(BaseModel, Generic[T]):
    """Some items of a listing in its order, and the way to those after them."""

    items: list[T]
    next_cursor: str | None = Field(description="Give it as `cursor` for the items after these; null at the end.")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page was asked for: at most `limit` items `after` a position, or from the beginning where that is None.

    Fetch `limit + 1` rows whose sort key is greater than `after`, and give them to `page`. The values of a position
    have the types with which they were given out.
    """

    after: tuple[Any, ...] | None
    limit: int
    _next: Callable[[Position], str]

    def page(self, rows: Sequence[T], position: Callable[[T], Position]) -> Page[T]:
        """The page of the first `limit` rows; a row too many shows that there is a next page, whose Link is set."""
        items = list(rows[: self.limit])
        more = len(rows) > self.limit and items
        return Page(items=items, next_cursor=self._next(position(items[-1])) if more else None)


def pages(
    signer: CursorSigner, *, default_limit: int = 50, max_limit: int = 200
) -> Callable[[Request, Response, str | None, int], PageRequest]:
    """A dependency that reads `cursor` and `limit`; a cursor is good for this route and these other query parameters.

    `limit` outside 1 to `max_limit` is a validation problem; a cursor that is not ours raises BadCursor.
    """
    if not 1 <= default_limit <= max_limit:
        raise InvalidApi("limits of pages are 1 <= default_limit <= max_limit")

    def page_request(
        request: Request,
        response: Response,
        cursor: Annotated[
            str | None, Query(description="Where the last page ended.", json_schema_extra={"format": "cursor"})
        ] = None,
        limit: Annotated[int, Query(ge=1, le=max_limit, description="At most so many items.")] = default_limit,
    ) -> PageRequest:
        others = [pair for pair in request.query_params.multi_items() if pair[0] not in ("cursor", "limit")]
        purpose = f"{request.method} {request.url.path}"

        def next_cursor(position: Position) -> str:
            cursor = signer.sign(position, purpose=purpose, filters=others)
            query = urlencode([*others, ("limit", str(limit)), ("cursor", cursor)])
            # Only a query: it is right whatever prefix a proxy has taken off the path.
            response.headers.append("Link", f'<?{query}>; rel="next"')
            return cursor

        after = None if cursor is None else signer.read(cursor, purpose=purpose, filters=others)
        return PageRequest(after, limit, next_cursor)

    docs = RouteDocs(
        answers=problems(400),
        headers={"2XX": {"Link": LINK_DOC}},
    )
    return documented(page_request, docs)
