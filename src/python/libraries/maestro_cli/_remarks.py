"""What the engine logs while a workflow runs in this process."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from maestro_cli._text import plain


class _Kept(logging.Handler):
    """Keeps records until the end: the screen is drawn in place meanwhile."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@contextmanager
def remarks_of_the_engine() -> Iterator[None]:
    """Tell warnings at the end, on stderr; not those that say the same as the error that ends it all."""
    kept = _Kept()
    logger = logging.getLogger("maestro_workflow_engine")
    logger.addHandler(kept)
    said = ""
    try:
        yield
    except Exception as error:
        said = str(error)
        raise
    finally:
        logger.removeHandler(kept)
        for record in kept.records:
            text = record.getMessage()
            if not said or said not in text:
                print(plain(text), file=sys.stderr)
