"""`maestro export` and `maestro replay`: a workflow as one file, and what became of it, decided anew."""

from argparse import Namespace
from pathlib import Path
from typing import Any

from maestro_cli._api import path_of
from maestro_cli._client import api_of, print_json, told, workflow_id
from maestro_cli._errors import BadUsage
from maestro_cli._files import new_file
from maestro_cli._text import plain, size_text
from maestro_cli._values import file_text


def export(options: Namespace) -> int:
    """Write a workflow to a file."""
    api = api_of(options)
    id_ = workflow_id(api, options.workflow)
    values = [] if options.redact_values is None else file_text(options.redact_values).splitlines()
    body = {"redact": not options.whole, "values": [line for line in values if line], "artifacts": options.artifacts}
    name = "".join(char if char.isalnum() or char in "-_." else "_" for char in id_)
    path = options.output or Path(f"{name}.maestro.zip")
    with new_file(path, force=options.force) as writing:
        size = api.download(path_of("workflows", id_, "export"), body, writing)
    return told(options, {"file": str(path), "size_bytes": size}, f"{path} ({size_text(size)})")


def replay(options: Namespace) -> int:
    """Decide a bundle's history anew, and show the workflow; 1 when the law comes to something else."""
    # The engine is loaded for those who ask for it.
    from maestro_workflow_engine import BadBundle, WorkflowError, read_bundle

    try:
        bundle = read_bundle(options.file)
        count = len(bundle.events)
        if options.at_seq is not None and options.at_seq > count:
            raise BadUsage(f"{options.file} holds {count} events")
        state = bundle.state_at(options.at_seq).as_json()
        difference = bundle.replay().difference
    except (BadBundle, WorkflowError) as error:
        raise BadUsage(f"{options.file} is no bundle that can be replayed: {plain(str(error))}") from error
    if options.json:
        print_json(
            {
                "state": state,
                "events": count,
                "difference": None if difference is None else _difference(difference),
                "signed_by": bundle.signed_by,
                "left_out": list(bundle.left_out),
            }
        )
        return 0 if difference is None else 1
    from maestro_cli._view import print_workflow

    print_workflow(state, is_past=True)
    print()
    if bundle.left_out:
        print(f"{len(bundle.left_out)} artifacts did not come with it.")
    print(
        plain(
            f"Signed with the key {bundle.signed_by}; not checked here."
            if bundle.signed_by
            else "Nobody has signed it."
        )
    )
    if difference is None:
        print(f"Replayed: the law comes to all {count} events.")
        return 0
    print(plain(f"Replayed: {difference}."))
    return 1


def _difference(difference: Any) -> dict[str, object]:
    return {"seq": difference.seq, "recorded": difference.recorded, "expected": difference.expected}
