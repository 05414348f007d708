"""The bare wheel imports without the extra, and the door of the extra says what it needs."""

import os
import subprocess
import sys

import maestro_core_api
from kit.processes import import_path

WITHOUT_UVICORN = "import sys; sys.modules['uvicorn'] = None; import maestro_core_api, maestro_core_api.testing; "


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": import_path()}
    return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)


def test_the_bare_wheel_needs_no_server() -> None:
    """An app can be made and asked without uvicorn, and without pytest in the test kit."""
    program = WITHOUT_UVICORN + "maestro_core_api.create_api(title='T', version='1.0.0').contract_text(); "
    done = run(program + "assert not {'pytest', 'hypothesis'} & set(sys.modules)")
    assert done.returncode == 0, done.stderr


def test_the_door_of_the_extra_says_what_it_needs() -> None:
    """The command that mends it is in the error."""
    done = run(WITHOUT_UVICORN + "import maestro_core_api.serve")
    assert "maestro_core_api.serve needs the extra: pip install 'maestro-core-api[serve]'" in done.stderr


def test_every_name_of_the_door_is_there() -> None:
    """What __all__ lists can be imported."""
    assert all(hasattr(maestro_core_api, name) for name in maestro_core_api.__all__)
