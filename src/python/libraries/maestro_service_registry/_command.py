"""The command `maestro-registry`: serve a registry, and see what one knows."""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from maestro_service_registry._client import RegistryClient
from maestro_service_registry._errors import InvalidRequest, NotAllowed, RegistryError
from maestro_service_registry._model import Instance, Query
from maestro_service_registry._server import RegistryServer

_TOKEN = "MAESTRO_REGISTRY_TOKEN"
_URL = "http://127.0.0.1:8090"
_COLUMNS = ("SERVICE", "INSTANCE", "STATUS", "CONTRACT", "TOKEN", "URL", "LABELS")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it went well, 1 when the registry refused, 2 for wrong words."""
    options = _parser().parse_args(arguments)
    try:
        code = int(options.run(options))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except InvalidRequest as error:
        return _refuse(error, 2)
    except NotAllowed as error:
        return _refuse(f"{error} (the token is read from {_TOKEN})", 1)
    except (RegistryError, OSError) as error:
        return _refuse(error, 1)


def _refuse(error: object, status: int) -> int:
    print(f"maestro-registry: {error}", file=sys.stderr)
    return status


def _serve(options: argparse.Namespace) -> int:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server = RegistryServer(
        options.data,
        host=options.host,
        port=options.port,
        access_token=os.environ.get(_TOKEN),
        probe_networks=tuple(options.probe_network),
    )
    with server:
        known = len(server.registry.snapshot().instances)
        print(f"Maestro service registry on {server.url}", flush=True)
        print(f"  data in {options.data or 'memory: nothing is kept'}, {known} registered", flush=True)
        stopped.wait()
    return 0


def _ls(options: argparse.Namespace) -> int:
    instances = _client(options).snapshot(_query(options)).instances
    if options.json:
        print(json.dumps([instance.as_json() for instance in instances], indent=2))
    elif instances:
        _print_table(instances)
    else:
        print("No instance fits.", file=sys.stderr)
    return 0


def _watch(options: argparse.Namespace) -> int:
    client, query = _client(options), _query(options)
    snapshot = client.snapshot(query)
    _print_table(snapshot.instances)
    after = snapshot.revision
    while True:
        changes = client.changes(after, query, wait_s=20.0)
        if changes.lost:
            print("-- some changes were missed; as of now:", flush=True)
            snapshot = client.snapshot(query)
            _print_table(snapshot.instances)
            after = snapshot.revision
            continue
        for change in changes.changes:
            _print_rows([(change.kind, *_cells(change.instance))])
        after = changes.revision


def _print_table(instances: Iterable[Instance]) -> None:
    _print_rows([_COLUMNS, *map(_cells, instances)])


def _cells(instance: Instance) -> tuple[str, ...]:
    labels = ",".join(f"{name}={value}" for name, value in sorted(instance.labels.items()))
    known = (instance.service, instance.instance, instance.status, instance.contract or "-")
    return (*known, str(instance.token), instance.url, labels or "-")


def _print_rows(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), flush=True)


def _client(options: argparse.Namespace) -> RegistryClient:
    return RegistryClient(options.registry, access_token=os.environ.get(_TOKEN))


def _query(options: argparse.Namespace) -> Query:
    return Query(service=options.service, contract=options.contract, labels=dict(options.label), status=options.status)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is no port: 0 to 65535")
    return int(text)


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not NAME=VALUE")
    return name, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-registry",
        description="A service registry: leases, discovery, fencing tokens.",
        epilog=f"The access token, if there is one, comes from the environment: {_TOKEN}. "
        "Exit codes: 0 done, 1 could not be done, 2 wrong words.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    serve = commands.add_parser("serve", help="serve a registry until a signal")
    serve.add_argument("--data", type=Path, metavar="FILE", help="SQLite file to keep it in (default: memory)")
    serve.add_argument("--host", default="127.0.0.1", help="address to serve on; beyond loopback a token is needed")
    serve.add_argument("--port", type=_port, default=8090, help="port to serve on; 0 takes a free one (default: 8090)")
    serve.add_argument(
        "--probe-network",
        action="append",
        default=[],
        metavar="CIDR",
        help="network whose instances may be probed, besides loopback when it serves there; may be repeated",
    )
    serve.set_defaults(run=_serve)
    for name, run, text in (("ls", _ls, "list instances"), ("watch", _watch, "list instances, then every change")):
        command = commands.add_parser(name, help=text)
        command.add_argument("service", nargs="?", help="of this service alone")
        command.add_argument("--registry", default=_URL, metavar="URL", help=f"the registry (default: {_URL})")
        command.add_argument("--contract", metavar="VERSION", help="that a caller of this contract can work with")
        command.add_argument(
            "--label", type=_label, action="append", default=[], metavar="NAME=VALUE", help="may be repeated"
        )
        command.add_argument("--status", choices=("passing", "failing", "draining"))
        if name == "ls":
            command.add_argument("--json", action="store_true", help="as JSON")
        command.set_defaults(run=run)
    return parser
