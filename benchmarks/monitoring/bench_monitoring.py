"""What the guard on cardinality and the request middlewares cost, beside bare prometheus-client, in one run.

Every figure is the best of several rounds, in which the cases take turns: what a loaded machine adds is not our cost.
"""

import argparse
import asyncio
import platform
import timeit
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import prometheus_client

from maestro_monitoring import Metrics, RequestMetrics, TraceRequests

LOOPS = 20_000
REQUESTS = 2_000


def counters() -> dict[str, Callable[[], object]]:
    """One observation each: bare, guarded, guarded beyond its bound, and with the series held."""
    bare = prometheus_client.Counter(
        "bare_total", "x", ["method", "route"], registry=prometheus_client.CollectorRegistry()
    )
    ours = Metrics().counter("ours_total", "x", labels=("method", "route"))
    full = Metrics(max_label_sets=1).counter("full_total", "x", labels=("method", "route"))
    full.labels("GET", "/first").inc()
    held_bare, held_ours = bare.labels("GET", "/orders/{id}"), ours.labels("GET", "/orders/{id}")
    return {
        "counter, labels looked up: prometheus-client": lambda: bare.labels("GET", "/orders/{id}").inc(),
        "counter, labels looked up: maestro": lambda: ours.labels("GET", "/orders/{id}").inc(),
        "counter, labels looked up: maestro, beyond the bound": lambda: full.labels("GET", "/orders/{id}").inc(),
        "counter, series held: prometheus-client": held_bare.inc,
        "counter, series held: maestro": held_ours.inc,
    }


def histograms() -> dict[str, Callable[[], object]]:
    """The same for histograms with the same eleven buckets."""
    metrics = Metrics()
    ours = metrics.histogram("ours_seconds", "x", labels=("method", "route"))
    assert ours.spec.buckets is not None
    bare = prometheus_client.Histogram(
        "bare_seconds",
        "x",
        ["method", "route"],
        buckets=ours.spec.buckets.bounds,
        registry=prometheus_client.CollectorRegistry(),
    )
    return {
        "histogram, labels looked up: prometheus-client": lambda: bare.labels("GET", "/orders/{id}").observe(0.04),
        "histogram, labels looked up: maestro": lambda: ours.labels("GET", "/orders/{id}").observe(0.04),
    }


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def _receive() -> dict[str, object]:
    return {"type": "http.request", "body": b""}


async def _send(message: object) -> None:
    return None


def request_ns(app: Any) -> float:
    """Nanoseconds for one request through an ASGI app, without a server."""
    scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": [], "http_version": "1.1"}

    async def many() -> float:
        begun_s = timeit.default_timer()
        for _ in range(REQUESTS):
            await app(dict(scope), _receive, _send)
        return timeit.default_timer() - begun_s

    return asyncio.run(many()) / REQUESTS * 1e9


def main() -> None:
    """Run all cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    apps = {
        "request: bare app": _app,
        "request: RequestMetrics": RequestMetrics(_app, metrics=Metrics()),
        "request: TraceRequests without an SDK": TraceRequests(_app),
    }
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, observe in {**counters(), **histograms()}.items():
            ns = timeit.timeit(observe, number=LOOPS) / LOOPS * 1e9
            best[name] = min(ns, best.get(name, ns))
        for name, app in apps.items():
            ns = request_ns(app)
            best[name] = min(ns, best.get(name, ns))
    print(
        f"Python {platform.python_version()}, prometheus-client {version('prometheus-client')}, best of {rounds} rounds"
    )
    for name, ns in best.items():
        print(f"{name:<56} {ns:>9,.0f} ns")


if __name__ == "__main__":
    main()
