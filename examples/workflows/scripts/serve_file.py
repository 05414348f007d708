"""Serves one file on loopback until a stop file appears, then prints how many requests it answered, as JSON.

It comes up after a moment, as real servers do: whoever calls it must be ready to try again. It also ends when the
process that started it is gone, and after --at-most-s seconds, so that it is never left behind.
"""

import argparse
import http.server
import json
import os
import time
from pathlib import Path


class OneFile(http.server.BaseHTTPRequestHandler):
    """Answers every GET with the file."""

    file = Path()
    answered = 0

    def do_GET(self) -> None:
        body = self.file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "text/markdown; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        OneFile.answered += 1

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the count at the end is the log."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--stop-file", type=Path, required=True)
    parser.add_argument("--warm-up-s", type=float, default=1.0)
    parser.add_argument("--at-most-s", type=float, default=120.0)
    options = parser.parse_args()

    starter = os.getppid()
    end_at = time.monotonic() + options.at_most_s
    OneFile.file = options.file

    def may_go_on() -> bool:
        return not options.stop_file.exists() and os.getppid() == starter and time.monotonic() < end_at

    if may_go_on():
        time.sleep(options.warm_up_s)
        with http.server.HTTPServer(("127.0.0.1", options.port), OneFile) as server:
            server.timeout = 0.1
            while may_go_on():
                server.handle_request()
    print(json.dumps({"answered": OneFile.answered}))


if __name__ == "__main__":
    main()
