"""The command `maestro-monitoring`: the dashboard, the rules of SLOs, and the contract of metric names."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from maestro_monitoring._dashboard import dashboard_text
from maestro_monitoring._errors import InvalidSLO
from maestro_monitoring._rules import rules_text
from maestro_monitoring._service import service_contract
from maestro_monitoring._slo import slos_from_data

_MAX_FILE_BYTES = 1_000_000


class _Refused(Exception):
    """What the person at the keyboard reads in place of a traceback."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 when done, 2 when what it was given is wrong."""
    try:
        print(_text(_parser().parse_args(arguments)), end="", flush=True)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except _Refused as refused:
        print(f"maestro-monitoring: {refused}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-monitoring",
        description="A Grafana dashboard, Prometheus rules, and the contract of metric names.",
        epilog="exit codes: 0 done, 2 could not be done",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("dashboard", help="print a Grafana dashboard as JSON")
    shown.add_argument("--contract", type=Path, help="a contract of your own, as JSON from Metrics.contract()")
    rules = commands.add_parser("rules", help="print Prometheus rules for the SLOs of a JSON file")
    rules.add_argument("slos", type=Path, help='a file with {"slos": [...]}')
    rules.add_argument("--contract", type=Path, help="refuse SLOs that name what this contract has not")
    commands.add_parser("contract", help="print the metrics of this package as JSON")
    return parser


def _text(asked: argparse.Namespace) -> str:
    if asked.command == "contract":
        return json.dumps(service_contract(), indent=2) + "\n"
    contract = _contract(asked.contract) if asked.contract is not None else None
    if asked.command == "dashboard":
        return dashboard_text(contract)
    try:
        return rules_text(slos_from_data(_json(asked.slos)), contract=contract)
    except InvalidSLO as error:
        raise _Refused("\n".join(f"{asked.slos}: {problem}" for problem in error.problems)) from error


def _contract(path: Path) -> dict[str, list[dict[str, object]]]:
    data = _json(path)
    metrics = data.get("metrics") if isinstance(data, dict) else None
    if not isinstance(metrics, list) or not all(_is_metric(metric) for metric in metrics):
        raise _Refused(f'{path}: is no contract: {{"metrics": [{{"name": …, "type": …, "labels": […]}}]}}')
    return {"metrics": metrics}


def _is_metric(metric: object) -> bool:
    if not isinstance(metric, dict) or not isinstance(metric.get("labels"), list):
        return False
    texts = [metric.get("name"), *metric["labels"]]
    known = metric.get("type") in ("counter", "gauge", "histogram")
    return known and all(isinstance(text, str) and text.isidentifier() for text in texts)


def _json(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            raise _Refused(f"{path}: is larger than {_MAX_FILE_BYTES} bytes")
        data: object = json.loads(content)
    except OSError as error:
        raise _Refused(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _Refused(f"{path}: is no JSON: {error}") from error
    return data
