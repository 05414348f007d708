"""Commands to a running engine: about templates, schedules, secrets, limits and webhooks."""

from pathlib import Path

import pytest
from libraries.maestro_cli.client import Client


@pytest.fixture
def client(engine: str, folder: Path) -> Client:
    return Client(engine, folder)


def test_templates_have_versions(client: Client) -> None:
    """Register, list, show, start one, deprecate it and take that back."""
    assert client.says("template", "add", "parcels.yml", "--name", "ship") == "ship@1 is registered\n"
    assert "is there already" in client.says("template", "add", "parcels.yml", "--name", "ship")
    text = (client.folder / "parcels.yml").read_text().replace("shipped", "sent")
    made = client.json("template", "add", "-", "--name", "ship", "--version", "2.0", given=text)
    assert (made["name"], made["version"], made["is_new"]) == ("ship", "2.0", True)
    assert {"name": "ship", "latest": "2.0"} in client.json("template", "list")
    assert "ship" in client.says("template", "list")
    assert [each["version"] for each in client.json("template", "show", "ship")["versions"]] == ["2.0", "1"]
    assert client.json("template", "show", "ship@1")["definition"]["name"] == "parcels"
    assert client.json("start", "ship@1")["version"] == "1"
    assert client.says("template", "deprecate", "ship@2.0", "--reason", "broken") == "ship@2.0 is deprecated\n"
    assert "deprecated: broken" in client.says("template", "show", "ship")
    assert client.json("start", "ship")["version"] == "1"
    assert client.json("template", "deprecate", "ship@2.0", "--undo")["is_deprecated"] is False
    assert client("template", "deprecate", "ship").returncode == 2
    unknown = client("start", "shop")
    assert unknown.returncode == 1
    assert "ship" in unknown.stderr


def test_a_file_is_not_taken_for_a_template(client: Client) -> None:
    """A word that could mean both is refused with the way to say which."""
    (client.folder / "ship").write_text("name: x\n")
    done = client("start", "ship")
    assert done.returncode == 2
    assert "./ship" in done.stderr


def test_schedules_by_the_calendar(client: Client) -> None:
    """Make, list, show, look ahead, run now, backfill, pause, resume, remove."""
    client.says("template", "add", "parcels.yml", "--name", "nightly")
    said = client.says(
        "schedule", "add", "night", "nightly", "--cron", "30 6 * * MON-FRI", "--time-zone", "Europe/Berlin"
    )
    assert said.startswith("night starts next 20")
    assert "30 6 * * MON-FRI Europe/Berlin" in client.says("schedule", "list")
    assert "cron              30 6 * * MON-FRI" in client.says("schedule", "show", "night")
    assert len(client.says("schedule", "upcoming", "night", "--limit", "3").splitlines()) == 3
    assert len(client.json("schedule", "upcoming", "night")) == 10
    run = client.json("schedule", "run", "night")
    assert client.json("show", run["workflow_id"])["template"] == "nightly"
    assert run["workflow_id"] in client.says("schedule", "show", "night")
    filled = client.json("schedule", "backfill", "night", "2026-11-16T00:00:00Z", "2026-11-18T00:00:00Z")
    assert filled["total"] == 2
    assert client.says("schedule", "pause", "night") == "night is paused\n"
    assert "paused" in client.says("schedule", "list")
    assert client.says("schedule", "resume", "night").startswith("night goes on, and starts next")
    assert client.json("schedule", "add", "once", "parcels.yml", "--at", "2040-01-01T00:00:00Z")["name"] == "once"
    assert client.json("schedule", "add", "often", "parcels.yml", "--every", "3600")["settings"]["every_s"] == 3600
    for name in ("night", "once", "often"):
        assert client.json("schedule", "remove", name)["is_removed"]
    assert client("schedule", "show", "night").returncode == 1
    wrong = client("schedule", "add", "bad", "nightly", "--cron", "61 * * * *")
    assert wrong.returncode == 1
    assert "/cron" in wrong.stderr
    assert client("schedule", "add", "bad", "nightly").returncode == 2


def test_a_secret_never_stands_on_the_command_line(client: Client) -> None:
    """It comes from standard input or a file, and nothing prints it again."""
    assert client.says("secret", "set", "TOKEN", given="open-sesame\n") == "TOKEN is set (version 1)\n"
    (client.folder / "value").write_text("second-value\n")
    assert client.json("secret", "set", "TOKEN", "--file", "value", "--description", "for tea")["version"] == 2
    assert "for tea" in client.says("secret", "list")
    listed = client.json("secret", "list")
    assert [each["name"] for each in listed if each["name"] == "TOKEN"] == ["TOKEN"]
    assert "second-value" not in str(listed)
    assert client("secret", "set", "TOKEN", given="\n").returncode == 2
    assert client("secret", "set", "TOKEN", "value-on-the-line").returncode == 2
    assert client.says("secret", "remove", "TOKEN") == "TOKEN is removed\n"
    assert client("secret", "remove", "TOKEN").returncode == 1


def test_the_value_of_a_secret_reaches_a_step_as_it_was_given(client: Client) -> None:
    """Without the line break at its end, and with those within."""
    client.says("secret", "set", "LINES", given="first\nsecond\n")
    (client.folder / "use.yml").write_text(
        "name: use\nsteps:\n  a:\n    kind: shell\n"
        "    with: {command: 'printf %s \"$T\" | wc -c', env: {T: '${{ secrets.LINES }}'}}\n"
        "outputs: {count: '${{ steps.a.output.stdout }}'}\n"
    )
    assert "12" in client.says("start", "use.yml", "--watch")


def test_limits_keep_what_is_not_changed(client: Client) -> None:
    """Set, change a part, pause, resume, remove."""
    assert client.says("limit", "set", "llm", "--max-parallel", "3", "--rate", "10/60") == "llm is set\n"
    changed = client.json("limit", "set", "llm", "--breaker", "5")
    assert (changed["max_parallel"], changed["rate_count"], changed["rate_per_s"]) == (3, 10, 60.0)
    assert changed["breaker_failures"] == 5
    assert "10 per 60 s" in client.says("limit", "list")
    assert client.json("limit", "pause", "llm")["is_paused"] is True
    assert "paused" in client.says("limit", "list")
    assert client.json("limit", "resume", "llm")["max_parallel"] == 3
    assert client("limit", "resume", "nobody").returncode == 2
    assert client("limit", "set", "llm").returncode == 2
    assert client("limit", "set", "llm", "--rate", "fast").returncode == 2
    client.says("limit", "set", "acme.mail", "--max-parallel", "1")
    assert client.json("limit", "remove", "acme.mail")["is_removed"]
    client.says("limit", "remove", "llm")
    assert client.json("limit", "list") == []


def test_webhooks_show_their_secret_once(client: Client) -> None:
    """Make, list, what failed, remove."""
    said = client.says("webhook", "add", "http://127.0.0.1:9/hook", "--type", "workflow.failed")
    assert "whsec_" in said
    (hook,) = client.json("webhook", "list")
    assert hook["types"] == ["workflow.failed"]
    assert "whsec_" not in str(hook)
    assert hook["id"] in client.says("webhook", "list")
    assert client.says("webhook", "failed", hook["id"]) == "No delivery was given up.\n"
    assert client.json("webhook", "failed", hook["id"]) == []
    assert client("webhook", "again", hook["id"], "1").returncode == 1
    assert client.json("webhook", "remove", hook["id"])["is_removed"]
    assert client("webhook", "remove", hook["id"]).returncode == 1
    assert client.says("webhook", "list").startswith("There is no webhook yet")
