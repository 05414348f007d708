"""The command: what it prints is what the functions make, and bad input is one clear line and exit code 2."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kit.processes import import_path, run_unread
from maestro_monitoring import Metrics, dashboard, dashboard_text, rules_text, service_contract, slos_from_data
from maestro_monitoring._command import main

SLOS = {
    "slos": [
        {"name": "up", "objective": 0.99, "indicator": {"ratio": {"good": 'a_total{c="1"}', "total": "a_total"}}},
    ]
}


def _file(folder: Path, content: object) -> str:
    path = folder / "given.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_it_prints_contract_dashboard_and_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each to standard output, ready to be sent into a file."""
    assert main(["contract"]) == 0
    assert json.loads(capsys.readouterr().out) == service_contract()
    assert main(["dashboard"]) == 0
    assert capsys.readouterr().out == dashboard_text()
    assert main(["rules", _file(tmp_path, SLOS)]) == 0
    assert capsys.readouterr().out == rules_text(slos_from_data(SLOS))


def test_a_contract_of_ones_own_feeds_the_dashboard_and_judges_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the contract has not, no rule may name."""
    metrics = Metrics()
    metrics.counter("a_total", "A.", labels=("c",))
    contract = tmp_path / "contract.json"
    contract.write_text(json.dumps(metrics.contract()))
    assert main(["dashboard", "--contract", str(contract)]) == 0
    assert json.loads(capsys.readouterr().out) == dashboard(metrics.contract())
    assert main(["rules", _file(tmp_path, SLOS), "--contract", str(contract)]) == 0
    contract.write_text(json.dumps(Metrics().contract()))
    assert main(["rules", _file(tmp_path, SLOS), "--contract", str(contract)]) == 2
    assert "/up/total: a_total is no series of the contract" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ([], "at least one SLO"),
        ({"slos": [{"name": "up"}]}, "/slos/0/indicator: is missing"),
        ("x" * 1_000_001, "is larger than"),
    ],
)
def test_bad_input_is_told_in_one_line(
    content: object, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file and the place, and without a traceback."""
    assert main(["rules", _file(tmp_path, content)]) == 2
    told = capsys.readouterr()
    assert reason in told.err
    assert told.out == ""


@pytest.mark.parametrize(
    "contract", [[], {"metrics": {}}, {"metrics": [{"name": "a) or (b", "type": "gauge", "labels": []}]}]
)
def test_a_contract_that_is_none_is_refused(
    contract: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing from it reaches a query."""
    assert main(["dashboard", "--contract", _file(tmp_path, contract)]) == 2
    assert "is no contract" in capsys.readouterr().err


def test_a_missing_file_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As the system says it."""
    assert main(["rules", "nowhere.json"]) == 2
    assert "nowhere.json: cannot be read: No such file" in capsys.readouterr().err


def test_it_runs_as_a_process() -> None:
    """As the entry point starts it."""
    program = "import sys; from maestro_monitoring._command import main; sys.exit(main(['contract']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == service_contract()


def test_a_reader_who_has_left_is_no_error() -> None:
    """As with `| head`."""
    done = run_unread("maestro_monitoring._command", "dashboard")
    assert (done.returncode, done.stderr) == (0, "")
