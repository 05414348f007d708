"""The wheel without its extra."""

import os
import subprocess
import sys

from kit.processes import import_path

PROGRAM = """
import sys
sys.modules["redis"] = None
import maestro_cache, maestro_cache.testing
outside = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
assert outside <= {"__main__", "maestro_cache", "redis"} | preloaded, outside
assert maestro_cache.Cache(maestro_cache.Policy(ttl_s=1)).get_or_compute(maestro_cache.Key("k"), lambda: 1) == 1
try:
    import maestro_cache.redis
except ImportError as error:
    print(error)
"""


def test_the_bare_wheel_needs_the_standard_library_alone_and_says_what_is_missing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", 'import sys; preloaded = {name.partition(".")[0] for name in sys.modules}\n' + PROGRAM],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "maestro_cache.redis needs the extra: pip install 'maestro-cache[redis]'"
