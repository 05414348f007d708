"""The largest sizes that a record may have."""

from dataclasses import dataclass, fields

from maestro_core_logging._errors import InvalidOption


@dataclass(frozen=True, slots=True)
class Limits:
    """What is larger is cut, with a mark that says how much is missing.

    text_chars: one text. items: one list or table. depth: nesting. nodes: values in one record. line_bytes: one line.
    """

    text_chars: int = 8192
    items: int = 100
    depth: int = 8
    nodes: int = 2000
    line_bytes: int = 65536

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise InvalidOption(f"limits.{field.name}: it must be at least 1")
        if self.line_bytes < 1024:
            raise InvalidOption("limits.line_bytes: it must be at least 1024")

    def tighter(self, factor: int) -> "Limits":
        """Limits for a record that came out too large."""
        return Limits(
            max(64, self.text_chars // factor),
            max(4, self.items // factor),
            max(2, self.depth // 2),
            max(16, self.nodes // factor),
            self.line_bytes,
        )
