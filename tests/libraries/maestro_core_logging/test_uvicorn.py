"""A real uvicorn server: its records come in our shape, whether it sets its own logging up or not."""

import json
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn

from maestro_core_logging import get_logger, request_context

log = get_logger("app")


async def app(scope: Any, receive: Any, send: Any) -> None:
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    with request_context(traceparent=headers.get("traceparent")):
        log.info("app.called")
        if scope["path"] == "/fail":
            raise ValueError("token=hunter2")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.mark.parametrize("config", [{"log_config": None}, {}])
def test_uvicorns_records_have_our_shape(setup_to: Callable[..., Any], config: dict[str, Any]) -> None:
    """Start, access, and a fault of the application; the query's secret and the exception's are masked."""
    server = Server(uvicorn.Config(app, port=0, lifespan="off", ws="none", **config))
    setup, stream = setup_to()  # after uvicorn's own set-up of logging, which the Config has done
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert server.ready.wait(20)
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        header = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
        request = urllib.request.Request(f"{base}/hello?api_key=hunter2", headers=header)
        with urllib.request.urlopen(request, timeout=20) as response:
            assert response.read() == b"ok"
        with pytest.raises(OSError, match="500"):
            urllib.request.urlopen(f"{base}/fail", timeout=20)
    finally:
        server.should_exit = True
        thread.join(20)
    assert setup.flush(10)
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    by_logger: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        by_logger.setdefault(record["logger"], []).append(record)

    access = by_logger["uvicorn.access"]
    assert [(record["method"], record["path"], record["status"]) for record in access] == [
        ("GET", "/hello?api_key=[redacted]", 200),
        ("GET", "/fail", 500),
    ]
    assert by_logger["app"][0]["trace_id"] == "a" * 32
    failed = next(record for record in by_logger["uvicorn.error"] if "exception" in record)
    assert (failed["level"], failed["exception"]["message"]) == ("error", "token=[redacted]")
    assert all({"timestamp", "level", "logger", "event"} <= set(record) for record in records)
    assert "color_message" not in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
