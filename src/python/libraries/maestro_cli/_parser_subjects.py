"""The words about what an engine keeps beside workflows: templates, schedules, secrets, limits, webhooks."""

from pathlib import Path

from maestro_cli._parser_client import Commands, add_inputs, client, count, group, lazily

_TIME = "as 2026-11-21T08:00:00Z"


def add_subject_commands(commands: Commands) -> None:
    """Every group of commands about something that has a name."""
    _add_template(commands)
    _add_schedule(commands)
    _add_secret(commands)
    _add_limit(commands)
    _add_webhook(commands)


def _add_template(commands: Commands) -> None:
    template = group(commands, "template", "definitions that the engine keeps by name and version")
    client(template, "list", lazily("_templates", "list_templates"), "list templates")
    show = client(template, "show", lazily("_templates", "show"), "show the versions of a template, or one of them")
    show.add_argument("template", metavar="NAME[@VERSION]", help="with a version, its definition is shown")
    add = client(
        template, "add", lazily("_templates", "add"), "register a definition as a version, which never changes"
    )
    add.add_argument("file", type=Path, metavar="FILE", help="the definition, as YAML or JSON; - is standard input")
    add.add_argument("--name", metavar="NAME", help="default: the name in the definition")
    add.add_argument("--version", metavar="VERSION", help="default: the next number")
    deprecate = client(
        template, "deprecate", lazily("_templates", "deprecate"), "take a version out of what the bare name starts"
    )
    deprecate.add_argument("template", metavar="NAME@VERSION", help="who names it can start it still")
    deprecate.add_argument("--reason", default="", metavar="TEXT", help="why, or what to take instead")
    deprecate.add_argument("--undo", action="store_true", help="take the deprecation back")


def _add_schedule(commands: Commands) -> None:
    schedule = group(commands, "schedule", "what the engine starts by the calendar")
    client(schedule, "list", lazily("_schedules", "list_schedules"), "list schedules")
    for name, help_ in (
        ("show", "show a schedule, and what it has started"),
        ("pause", "start nothing by the calendar until it is resumed"),
        ("resume", "go on after a pause"),
        ("run", "start a workflow of a schedule now"),
        ("remove", "remove a schedule; what it has started goes on"),
    ):
        each = client(schedule, name, lazily("_schedules", name), help_)
        each.add_argument("name", metavar="NAME", help="the name of the schedule")
    _add_schedule_add(schedule)
    backfill = client(
        schedule, "backfill", lazily("_schedules", "backfill"), "start the workflows of times that are past"
    )
    backfill.add_argument("name", metavar="NAME", help="the name of the schedule")
    backfill.add_argument("from_at", metavar="FROM", help=f"the first time, {_TIME}")
    backfill.add_argument("to_at", metavar="TO", help="the last time")
    backfill.add_argument("--max-runs", type=count, metavar="N", help="refuse more starts than that (default: 100)")
    backfill.add_argument("--max-parallel", type=count, metavar="N", help="so many at once (default: 1)")
    upcoming = client(schedule, "upcoming", lazily("_schedules", "upcoming"), "say when a schedule starts next")
    upcoming.add_argument("name", metavar="NAME", help="the name of the schedule")
    upcoming.add_argument("--limit", type=count, default=10, metavar="N", help="how many (default: 10)")


def _add_schedule_add(schedule: Commands) -> None:
    add = client(schedule, "add", lazily("_schedules", "add"), "make a schedule")
    add.add_argument("name", metavar="NAME", help="what to call it")
    add.add_argument("what", metavar="WHAT", help="TEMPLATE, TEMPLATE@VERSION, or the file of a definition")
    when = add.add_mutually_exclusive_group(required=True)
    when.add_argument(
        "--cron", metavar="EXPRESSION", help="minute, hour, day, month, day of week, as '30 6 * * MON-FRI'"
    )
    when.add_argument("--every", type=count, metavar="SECONDS", help="seconds between two starts")
    when.add_argument("--at", metavar="TIME", help=f"one start, {_TIME}")
    add.add_argument("--time-zone", metavar="ZONE", help="of the cron expression, as Europe/Berlin (default: UTC)")
    add_inputs(add)
    add.add_argument("--overlap", choices=("skip", "queue", "cancel_running", "allow"), help="default: skip")
    add.add_argument("--catch-up", choices=("none", "last", "all"), help="of what was missed (default: last)")
    add.add_argument("--jitter", type=count, metavar="SECONDS", help="put each start off by a part of this")
    add.add_argument("--since", metavar="TIME", help="the first time that counts")
    add.add_argument("--until", metavar="TIME", help="the last time that counts")
    add.add_argument("--max-runs", type=count, metavar="N", help="it ends after so many starts")


def _add_secret(commands: Commands) -> None:
    secret = group(commands, "secret", "what steps need and nobody may see")
    client(secret, "list", lazily("_secrets", "list_secrets"), "list secrets, without their values")
    set_ = client(
        secret, "set", lazily("_secrets", "set_secret"), "give a secret a value, from standard input or from a file"
    )
    set_.add_argument("name", metavar="NAME", help="steps have it as ${{ secrets.NAME }}")
    set_.add_argument("--file", type=Path, metavar="FILE", help="the file that holds the value")
    set_.add_argument("--description", metavar="TEXT", help="what it is for")
    set_.add_argument("--expires", metavar="TIME", help=f"from then on no step gets it, {_TIME}")
    remove = client(secret, "remove", lazily("_secrets", "remove"), "remove a secret")
    remove.add_argument("name", metavar="NAME", help="the name of the secret")


def _add_limit(commands: Commands) -> None:
    limit = group(commands, "limit", "what may run at once and per time")
    client(limit, "list", lazily("_limits", "list_limits"), "list flow limits")
    set_ = client(limit, "set", lazily("_limits", "set_limit"), "set a flow limit; what is not given stays as it was")
    set_.add_argument("name", metavar="NAME", help="as definitions name it in `limits`")
    set_.add_argument("--max-parallel", type=count, metavar="N", help="so many at once")
    set_.add_argument("--rate", metavar="COUNT/SECONDS", help="so many may begin per so many seconds, as 10/1")
    set_.add_argument("--breaker", type=count, metavar="N", help="after N failures in a row nothing begins for a while")
    set_.add_argument("--open", type=count, metavar="SECONDS", help="how long that while is (default: 30)")
    for name, help_ in (
        ("pause", "let nothing begin under a limit"),
        ("resume", "let things begin again"),
        ("remove", "forget a limit; what definitions say holds again"),
    ):
        each = client(limit, name, lazily("_limits", name), help_)
        each.add_argument("name", metavar="NAME", help="the name of the limit")


def _add_webhook(commands: Commands) -> None:
    webhook = group(commands, "webhook", "where the engine tells what happens")
    client(webhook, "list", lazily("_webhooks", "list_webhooks"), "list webhooks")
    add = client(webhook, "add", lazily("_webhooks", "add"), "make a webhook; its secret is shown once")
    add.add_argument("address", metavar="URL", help="POSTed to, with each event as CloudEvents JSON")
    add.add_argument("--type", action="append", default=[], metavar="TYPE", help="as workflow.failed, workflow.* or *")
    add.add_argument("--template", metavar="NAME", help="only of workflows of this template")
    add.add_argument("--name", metavar="NAME", help="only of workflows of this name")
    add.add_argument("--description", metavar="TEXT", help="what it is for")
    for name, help_ in (
        ("remove", "forget a webhook, and what it has not been told"),
        ("failed", "list deliveries that were given up"),
        ("again", "try a delivery again that was given up"),
    ):
        each = client(webhook, name, lazily("_webhooks", name), help_)
        each.add_argument("id", metavar="ID", help="the id of the webhook")
    each.add_argument("delivery", metavar="DELIVERY", help="the id of the delivery")
