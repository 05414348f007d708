"""The bare wheel: what it imports, and what its extra's door says when the extra is missing."""

import subprocess
import sys

from kit.processes import import_path


def _python(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_bare_wheel_needs_no_sdk_and_no_exporter() -> None:
    """Metrics, health, rules and dashboard work with the two base requirements alone."""
    print_it = """
import sys
for name in ("opentelemetry.sdk", "opentelemetry.exporter", "google.protobuf", "requests", "starlette", "fastapi"):
    sys.modules[name] = None
import asyncio
import maestro_monitoring as m
import maestro_monitoring.testing as t
metrics = m.Metrics()
metrics.counter("shop_orders_total", "Orders.").inc()
report = asyncio.run(m.HealthChecks([m.HealthCheck("db", t.FakeProbe())]).report())
print(report.ready, b"shop_orders_total 1.0" in m.render(metrics), len(m.dashboard()["panels"]) > 5)
"""
    assert _python(print_it).split() == ["True", "True", "True"]


def test_the_door_of_the_extra_says_what_to_install() -> None:
    """Not just which module is missing."""
    program = """
import sys
sys.modules["opentelemetry.sdk"] = None
try:
    import maestro_monitoring.otlp
except ImportError as error:
    print(error)
"""
    assert _python(program).strip() == (
        "maestro_monitoring.otlp needs the extra: pip install 'maestro-monitoring[otlp]'"
    )


def test_the_sdk_is_not_imported_where_it_is_not_asked_for() -> None:
    """Nor is anything else that is heavy."""
    program = "import sys, maestro_monitoring, maestro_monitoring.testing; print(*sys.modules)"
    loaded = set(_python(program).split())
    assert not {name for name in loaded if name.startswith(("opentelemetry.sdk", "google", "requests", "starlette"))}
