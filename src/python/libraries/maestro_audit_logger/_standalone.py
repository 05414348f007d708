"""The verifier as one file that needs nothing but Python: the very modules that this package verifies with, joined."""

import ast
import inspect
from types import ModuleType

from maestro_audit_logger import (
    _blocks,
    _check,
    _ed25519,
    _errors,
    _layout,
    _merkle,
    _note,
    _proof,
    _verify,
)

# Each stands after those that it imports.
MODULES: tuple[ModuleType, ...] = (_errors, _merkle, _ed25519, _note, _layout, _blocks, _proof, _check, _verify)

_HEAD = '''#!/usr/bin/env python3
"""Verifies audit logs of maestro-audit-logger, and proofs from them; needs Python 3.11 or newer, and nothing else.

    python3 verify.py --help
"""
'''
_TAIL = """
if __name__ == "__main__":
    raise SystemExit(main())
"""


def standalone_verifier() -> str:
    """The source of the verifier."""
    return "\n\n".join([_HEAD, *map(_body, MODULES), _TAIL])


def _body(module: ModuleType) -> str:
    """The source of a module without its docstring and its imports from this package."""
    source = inspect.getsource(module)
    lines = source.splitlines()
    dropped: set[int] = set()
    for place, node in enumerate(ast.parse(source).body):
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(__package__ or "")
        if ours or (place == 0 and isinstance(node, ast.Expr)):
            dropped.update(range(node.lineno - 1, node.end_lineno or node.lineno))
    kept = "\n".join(line for number, line in enumerate(lines) if number not in dropped).strip()
    return f"# {'-' * 10} {module.__name__.rpartition('.')[2].lstrip('_')}\n\n{kept}"
