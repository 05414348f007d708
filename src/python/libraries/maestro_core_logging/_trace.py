"""W3C trace context: the `traceparent` header, read strictly and written exactly."""

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_MAX_HEADER_CHARS = 256

TokenHex = Callable[[int], str]
"""Random hexadecimal text of so many bytes, as secrets.token_hex."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """One span of a trace: whose trace it is, which span, and whether it is sampled."""

    trace_id: str
    span_id: str
    sampled: bool = True

    @property
    def traceparent(self) -> str:
        """The header that hands this span on to the next service."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def child(self, token_hex: TokenHex = secrets.token_hex) -> "TraceContext":
        """A new span of the same trace."""
        return TraceContext(self.trace_id, _random_id(8, token_hex), self.sampled)


def new_trace(token_hex: TokenHex = secrets.token_hex) -> TraceContext:
    """The first span of a new trace."""
    return TraceContext(_random_id(16, token_hex), _random_id(8, token_hex))


def parse_traceparent(header: str | None) -> TraceContext | None:
    """The caller's span; None when the header is absent or not valid, so that a new trace begins."""
    match = _TRACEPARENT.fullmatch(header.strip()) if header and len(header) <= _MAX_HEADER_CHARS else None
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or set(trace_id) == {"0"} or set(span_id) == {"0"}:
        return None
    return TraceContext(trace_id, span_id, bool(int(flags, 16) & 1))


def _random_id(size_bytes: int, token_hex: TokenHex) -> str:
    """Random, and never all zero, which would mean "no id"."""
    while set(found := token_hex(size_bytes)) == {"0"}:
        continue
    return found
