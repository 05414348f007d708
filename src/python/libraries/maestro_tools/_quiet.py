"""Imports what sets up logging when it is imported, and has no business to."""

from __future__ import annotations

import importlib
import logging


def import_quietly(*modules: str) -> None:
    """Import modules that use utcp's plugins, each of which calls `logging.basicConfig`; the root logger stays."""
    root = logging.getLogger()
    # basicConfig does nothing to a logger that has a handler.
    guard = logging.NullHandler()
    root.addHandler(guard)
    try:
        for module in modules:
            importlib.import_module(module)
    finally:
        root.removeHandler(guard)
