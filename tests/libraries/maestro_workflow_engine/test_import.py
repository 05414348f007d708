"""What importing the library costs, counted in modules: times depend on the machine, and these do not."""

import json
import subprocess
import sys

SLOW_TO_IMPORT = {
    "bz2", "difflib", "email", "hmac", "html", "http", "http.client", "importlib.metadata", "importlib.util", "lzma",
    "mimetypes", "multiprocessing", "pdb", "platform", "secrets", "shutil", "tempfile", "unittest", "uuid", "xml",
    "zipfile",
}  # fmt: skip
"""Modules of the standard library that only rare parts of the engine need, and import when they do."""


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh Python has loaded after a statement; without `site`, which loads what it likes."""
    code = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); {statement}; print(json.dumps([*sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, json.dumps(sys.path)], capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_the_import_leaves_out_what_only_rare_parts_need() -> None:
    """Whoever only wants to read a definition does not wait for zip files and HTTP."""
    loaded = loaded_by("import maestro_workflow_engine")
    assert "maestro_workflow_engine._embedded._engine" in loaded
    assert not SLOW_TO_IMPORT & (loaded - loaded_by("import asyncio, sqlite3"))


def test_the_import_brings_only_the_standard_library() -> None:
    """Nothing else has to be installed."""
    tops = {name.partition(".")[0] for name in loaded_by("import maestro_workflow_engine")}
    assert tops - sys.stdlib_module_names - {"__main__"} == {"maestro_workflow_engine"}
