"""Commands to a running engine: about workflows."""

import json
import os
import stat
import zipfile
from pathlib import Path

import pytest
from libraries.maestro_cli.client import Client
from libraries.maestro_cli.on_terminal import on_terminal


@pytest.fixture
def client(engine: str, folder: Path) -> Client:
    return Client(engine, folder)


def test_a_workflow_from_its_start_to_its_end(client: Client) -> None:
    """Start, look, ask why, answer, signal, watch: each for people and for programs."""
    id_ = client.start("--input", "n=3", "--label", "team=tea")
    assert id_ in client.says("ls")
    shown = client.says("show", id_)
    assert f"parcels · {id_} · running" in shown
    assert "labels     team=tea" in shown
    assert "3/3 items" in shown
    assert "waits on approval Ship 3 parcels? (ends in " in shown
    assert client.json("show", id_)["steps"]["each"]["status"] == "succeeded"
    why = client.says("why", id_)
    assert "go: " in why
    assert "'go-ahead'" in why
    assert {cause["step"] for cause in client.json("why", id_)} == {"go", "ok", "ship"}
    assert "Ship 3 parcels?" in client.says("inbox")
    assert id_ in {each["workflow_id"] for each in client.json("inbox")}
    refused = client("approve", id_, "--data", "carrier=fedex")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "/data/carrier" in refused.stderr
    assert client.says("approve", id_, "--data", "carrier=dhl", "--comment", "fine") == f"{id_}: ok is approved\n"
    assert client.json("signal", id_, "go-ahead", '{"x": 1}')["id"] == id_
    watched = client.says("watch", id_)
    assert "✓ parcels succeeded" in watched
    assert "shipped by dhl" in watched
    assert [line.split()[2] for line in watched.splitlines() if line.startswith("  ✓ done")][-1] == "ship"
    assert client.says("why", id_) == "Nothing waits: parcels is succeeded.\n"
    assert client.json("why", id_) == []
    assert client("cancel", id_).returncode == 1


def test_logs_are_every_event_in_order(client: Client) -> None:
    """One line each, from a seq on, of one step; as JSON they are what is stored."""
    id_ = client.start()
    lines = [json.loads(line) for line in client.says("logs", id_, "--json").splitlines()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert len(client.says("logs", id_).splitlines()) == len(lines)
    assert {line.split()[2] for line in client.says("logs", id_, "--step", "go").splitlines()} == {
        "step.scheduled",
        "step.started",
        "step.waiting",
    }
    assert client.says("logs", id_, "--from-seq", "2").split()[0] == "2"
    client.says("cancel", id_, "--reason", "enough")
    followed = [json.loads(line) for line in client.says("logs", id_, "--follow", "--json").splitlines()]
    assert followed[-1]["type"] == "workflow.cancelled"
    assert "enough" in client.says("show", id_)


def test_watch_tells_a_program_every_event_and_the_end(client: Client) -> None:
    """Exit 1 for a workflow that did not succeed."""
    id_ = client.start()
    client.says("cancel", id_, "--force")
    done = client("watch", id_, "--json")
    *events, final = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (final["type"], final["state"]["status"]) == ("final", "cancelled")


def test_start_follows_to_the_end_when_asked_to(client: Client) -> None:
    """`--watch`; inputs as JSON or text, and from a file, where the words win."""
    (client.folder / "quick.yml").write_text(
        "name: quick\ninputs: {n: {type: integer}, who: {type: string}}\n"
        "steps: {a: {kind: shell, with: {command: ['echo', '${{ inputs.who }} ${{ inputs.n }}']}}}\n"
        "outputs: {said: '${{ steps.a.output.stdout }}'}\n"
    )
    (client.folder / "inputs.yml").write_text("n: 1\nwho: you\n")
    said = client.says("start", "./quick.yml", "--inputs-file", "inputs.yml", "--input", "n=7", "--watch")
    assert "you 7" in said
    assert "✓ quick succeeded" in said
    text = (client.folder / "quick.yml").read_text()
    started = client.json("start", "-", "--input", "n=1", "--input", "who=me", given=text)
    assert started["name"] == "quick"


def test_a_wrong_definition_is_told_with_its_lines(client: Client) -> None:
    """Exit 1, the line of each problem."""
    (client.folder / "wrong.yml").write_text("name: wrong\nsteps:\n  a: {kind: nope}\n")
    done = client("start", "wrong.yml")
    assert done.returncode == 1
    assert "line 3, /steps/a/kind" in done.stderr


def test_pause_skip_and_resume(client: Client) -> None:
    """A paused workflow starts nothing; a skipped step counts as done with the output that was given."""
    id_ = client.start()
    assert "paused" in client.says("pause", id_, "--reason", "lunch")
    assert id_ in {each["id"] for each in client.json("ls", "--status", "paused")}
    assert "lunch" in client.says("show", id_)
    assert client.json("skip", id_, "go", "--reason", "not needed", "--output", '{"a": 1}')["id"] == id_
    assert client.says("resume", id_) == f"{id_}: goes on\n"
    assert client.json("show", id_)["steps"]["go"]["output"] == {"a": 1}
    refused = client("retry", id_, "ok")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert client("skip", id_, "go", "--output", "{").returncode == 2
    assert client.says("budget", id_, "tokens=10", "calls=2") == f"{id_}: has a new budget\n"
    assert client.json("show", id_)["budget"] == {"tokens": 10.0, "calls": 2.0}
    assert client("budget", id_, "tokens=many").returncode == 2
    client.says("cancel", id_, "--force")


def test_a_rerun_says_what_it_reused_and_why(client: Client) -> None:
    """A table with the reason for each step; another input changes only what depends on it."""
    id_ = client.start()
    client.says("cancel", id_, "--force")
    said = client.says("rerun", id_, "--from-step", "each", "--input", "note=again")
    new = said.split()[0]
    rows = {line.split()[0]: line for line in said.splitlines()[3:]}
    assert "runs parcels again" in said
    assert "same definition and input" in rows["fetch"]
    assert client.json("show", new)["inputs"] == {"n": 2, "note": "again"}
    assert client.json("rerun", new, "--at-seq", "1")["name"] == "parcels"


def test_a_migration_can_be_tried_first(client: Client) -> None:
    """`--dry-run` says what would become of each step and changes nothing."""
    id_ = client.start()
    text = (client.folder / "parcels.yml").read_text()
    (client.folder / "new.yml").write_text(text.replace("echo shipped by", "echo sent with"))
    said = client.says("migrate", id_, "new.yml", "--dry-run")
    assert "would go on with new.yml" in said
    assert "kept       fetch, each, go, ok, ship" in said
    assert client.json("migrate", id_, "new.yml")["added"] == []
    client.says("approve", id_, "ok", "--data", "carrier=ups")
    client.says("signal", id_, "go-ahead")
    assert "sent with ups" in client.says("watch", id_)


def test_the_past_of_a_workflow_is_shown(client: Client) -> None:
    """`--at-seq` shows the state after so many events."""
    id_ = client.start()
    assert client.json("show", id_, "--at-seq", "2")["steps"]["fetch"]["status"] == "scheduled"
    assert "○  fetch  scheduled" in client.says("show", id_, "--at-seq", "2")
    assert client("show", id_, "--at-seq", "9999").returncode == 1


def test_a_workflow_is_found_by_the_end_of_its_id(client: Client) -> None:
    """And an exact id always wins; `last` is the newest."""
    id_ = client.start()
    assert client.json("show", id_[-8:])["id"] == id_
    assert client.json("show", "last")["id"] == client.json("ls", "--limit", "1")[0]["id"]
    assert client("show", "nope").returncode == 1
    assert "no workflow has the id" in client("show", "nope").stderr


def test_listings_are_filtered_and_cut(client: Client) -> None:
    """By label, input, name, time; --limit cuts."""
    first, second = client.start("--label", "of=lists"), client.start("--label", "of=lists", "--input", "note=deep")
    assert [each["id"] for each in client.json("ls", "--label", "of=lists")] == [second, first]
    assert [each["id"] for each in client.json("ls", "--label", "of=lists", "--input", "note=deep")] == [second]
    assert len(client.json("ls", "--limit", "1")) == 1
    assert client.json("ls", "--until", "2020-01-01T00:00:00Z") == []
    assert client.says("ls", "--name", "nobody") == "There is no workflow that fits.\n"
    assert client("ls", "--label", "of").returncode == 2
    assert client("ls", "--since", "yesterday").returncode == 1


def test_an_export_replays_elsewhere(client: Client) -> None:
    """The file is for its owner alone, is not written over, and comes to the same state when it is decided anew."""
    id_ = client.start("--input", "note=classified")
    (client.folder / "values").write_text("classified\n")
    said = client.says("export", id_, "-o", "it.zip", "--redact-values", "values", "--artifacts")
    assert said.startswith("it.zip (")
    file = client.folder / "it.zip"
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    assert sorted(path.name for path in client.folder.iterdir()) == ["it.zip", "parcels.yml", "values"]
    with zipfile.ZipFile(file) as archive:
        assert not any(b"classified" in archive.read(name) for name in archive.namelist())
    before = file.read_bytes()
    refused = client("export", id_, "-o", "it.zip")
    assert (refused.returncode, file.read_bytes()) == (2, before)
    assert client.json("export", id_, "-o", "it.zip", "--force")["file"] == "it.zip"
    assert client("export", "nope", "-o", "none.zip").returncode == 1
    assert not (client.folder / "none.zip").exists()
    replayed = client.json("replay", "it.zip")
    assert (replayed["difference"], replayed["state"]["id"]) == (None, id_)
    shown = client.says("replay", "it.zip", "--at-seq", "2")
    assert "○  fetch  scheduled" in shown
    assert "the law comes to all" in shown
    assert client("replay", "it.zip", "--at-seq", "9999").returncode == 2
    file.write_bytes(file.read_bytes()[:-30])
    assert client("replay", "it.zip").returncode == 2
    assert client("replay", "parcels.yml").returncode == 2


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_tables_fit_the_terminal(client: Client, columns: int) -> None:
    """No line is wider than the terminal, and what a person types again is there."""
    id_ = client.start("--input", "note=" + "long " * 50)
    for words in (["ls"], ["show", id_], ["inbox"], ["why", id_], ["logs", id_]):
        with on_terminal(*words, cwd=client.folder, columns=columns, MAESTRO_URL=client.url) as run:
            assert run.ended() == 0
            lines = run.written.replace("\r", "").splitlines()
        table = lines[lines.index("") :] if words[0] == "show" else lines
        assert all(len(line) <= columns for line in table), words
        if words[0] in ("ls", "inbox"):
            assert any(id_[-11:] in line for line in lines)
        if words[0] == "show":
            assert any(line.split()[:2] == ["◌", "ok"] for line in lines)


def test_watch_on_a_terminal_shows_what_it_waits_for(client: Client) -> None:
    """In place, and the question of an approval among it; Ctrl-C leaves the workflow alone."""
    id_ = client.start()
    with on_terminal("watch", id_, cwd=client.folder, MAESTRO_URL=client.url) as run:
        run.until("asking")
        run.until("approval Ship 2 parcels?")
        run.process.send_signal(2)
        assert run.ended() == 130
        assert run.written.rstrip().endswith("\x1b[?25h")
    assert client.json("show", id_)["status"] == "running"
