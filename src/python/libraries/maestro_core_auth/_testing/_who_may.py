"""Who may do what, as a table, held against a running application."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from maestro_core_auth._routes import routes_of
from maestro_core_auth._testing._asgi import close_code_of, status_of

ALLOW, DENY = "allow", "deny"
ANONYMOUS = "anonymous"
_DENIED_CLOSES = frozenset({1008, 3000, 3003, 4401, 4403})


@dataclass(frozen=True, slots=True)
class Table:
    """Principals across, endpoints down, in every cell `allow` or `deny`."""

    principals: tuple[str, ...]
    rows: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, text: str) -> "Table":
        """Read a table with `|` between its columns and the principals in its first line.

        Raises ValueError with the number of a line that is wrong.
        """
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        cells = [(number, _cells(line)) for number, line in lines if line.strip("-+|: ")]
        if not cells:
            raise ValueError("the table is empty")
        principals, rows = tuple(cells[0][1][1:]), {}
        if not principals or len(set(principals)) < len(principals):
            raise ValueError(f"line {cells[0][0]}: no principals, or one twice")
        for number, (endpoint, *verdicts) in cells[1:]:
            if not re.fullmatch(r"[A-Z]+ /\S*", endpoint):
                raise ValueError(f"line {number}: {endpoint!r} is not written METHOD /path")
            if len(verdicts) != len(principals) or not set(verdicts) <= {ALLOW, DENY}:
                raise ValueError(f"line {number}: {endpoint} needs {len(principals)} cells of {ALLOW} or {DENY}")
            if endpoint in rows:
                raise ValueError(f"line {number}: {endpoint} stands in the table twice")
            rows[endpoint] = tuple(verdicts)
        return cls(principals, rows)

    def __str__(self) -> str:
        lines = [("", *self.principals), *((name, *verdicts) for name, verdicts in self.rows.items())]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        return "\n".join(
            " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def _cells(line: str) -> list[str]:
    # With bars at both ends, as in Markdown, or with none.
    inner = line[1:-1] if line.startswith("|") and line.endswith("|") else line
    return [cell.strip() for cell in inner.split("|")]


async def who_may(
    app: Any,
    table: str,
    credentials: Mapping[str, str],
    *,
    values: Mapping[str, str] = MappingProxyType({}),
    ignore: Iterable[str] = (),
) -> None:
    """Ask every route of an application as every principal; raises AssertionError with the table as it really is.

    `credentials` has a token for each principal of the table but `anonymous`, who must be in it. A denial is 401 for
    the anonymous and 403 for the others (4401, 4403 or 1008 closes a socket); allowed is whatever gets past the guard,
    so 404 and 422 too, and 5xx is wrong everywhere. Routes in no row and rows of no route are wrong as well, save
    those in `ignore`. `values` fills parameters of paths. An allowed request is really made.
    An application mounted as a whole is called `MOUNT /path`, and can only be ignored.
    """
    wanted = Table.read(table)
    _check_principals(wanted, credentials)
    routes = {route.name for route in routes_of(app)} - set(ignore)
    problems = [f"{name}: is in no row" for name in sorted(routes - wanted.rows.keys())]
    problems += [f"{name}: names no route" for name in wanted.rows if name not in routes]
    real = dict(wanted.rows)
    for name, verdicts in wanted.rows.items():
        if name not in routes:
            continue
        cells = []
        for principal, verdict in zip(wanted.principals, verdicts, strict=True):
            found = await _verdict(app, name, values, credentials.get(principal))
            cells.append(found if found == verdict else found.upper())
        real[name] = tuple(cells)
    if real != wanted.rows:
        problems.append("cells in capitals are not as they should be")
    if problems:
        raise AssertionError("\n".join([*problems, "", str(Table(wanted.principals, real))]))


def _check_principals(table: Table, credentials: Mapping[str, str]) -> None:
    wanted = set(table.principals)
    if ANONYMOUS not in wanted or ANONYMOUS in credentials:
        raise ValueError(f"the table needs a column {ANONYMOUS}, which has no credential")
    if wanted - {ANONYMOUS} != set(credentials):
        raise ValueError(f"the table has {sorted(wanted - {ANONYMOUS})}, the credentials {sorted(credentials)}")


async def _verdict(app: Any, name: str, values: Mapping[str, str], token: str | None) -> str:
    method, _, template = name.partition(" ")
    path = re.sub(r"{(\w+)(?::\w+)?}", lambda match: values.get(match[1], "1"), template)
    if method == "WS":
        code = await close_code_of(app, path, token)
        return DENY if code in _DENIED_CLOSES else str(code) if code in (1006, 1011) else ALLOW
    status = await status_of(app, method, path, token)
    if status == (401 if token is None else 403):
        return DENY
    # A known principal that is told to log in, a method that is not there and a server that fails are no verdicts.
    return str(status) if status in (401, 403, 405) or status >= 500 else ALLOW
