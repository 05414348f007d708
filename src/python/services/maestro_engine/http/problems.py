"""Every error of a library that a request can meet, mapped to its status once."""

from collections.abc import Mapping

from maestro_core_api import ProblemTable, ProblemType
from maestro_core_auth.fastapi import STATUS_BY_CODE

_DEFINITION = "definition"
_CODES: Mapping[str, int | ProblemType] = {
    "workflow.not-found": ProblemType(404, "Workflow not found", "There is no workflow of this id."),
    "workflow.unknown-artifact": ProblemType(404, "Unknown artifact", "The workflow names no such artifact."),
    "workflow.artifact-not-found": ProblemType(404, "Artifact not found", "Its bytes are not there any more."),
    "workflow.artifact-no-text": ProblemType(406, "No text", "The artifact cannot be looked at as text."),
    "workflow.artifact-unreadable": ProblemType(
        500, "Artifact unreadable", "It is damaged, or encrypted with a key that the engine does not have."
    ),
    "template.unknown": ProblemType(
        404, "Unknown template", "No template has this name; `known` lists those there are."
    ),
    "template.unknown-version": ProblemType(
        404, "Unknown version", "The template has no such version; `known` lists those there are."
    ),
    "template.deprecated": ProblemType(409, "Template deprecated", "No version is the latest: name one."),
    "template.version-taken": ProblemType(409, "Version taken", "It has other content, and never changes."),
    "template.in-use": ProblemType(409, "Template in use", "Schedules start it; `detail` names them."),
    "template.name-missing": ProblemType(
        422, "Name missing", "That of the definition will not do as the name of a template: give one."
    ),
    "workflow.key-spent": ProblemType(422, "Key spent", "The Idempotency-Key has started another workflow."),
    "schedule.unknown": ProblemType(404, "Unknown schedule", "There is no schedule of this name."),
    "schedule.unknown-backfill": ProblemType(404, "Unknown backfill", "The schedule has no such backfill."),
    "schedule.exists": ProblemType(409, "Schedule exists", "The name is taken."),
    "schedule.changed": ProblemType(412, "Schedule changed", "Somebody has changed it since it was read."),
    "schedule.bad-cron": ProblemType(422, "Bad cron expression", "`detail` says which field, and where."),
    "schedule.unknown-time-zone": ProblemType(422, "Unknown time zone", "The time zone database has no such zone."),
    "schedule.backfill-refused": ProblemType(422, "Backfill refused", "`detail` says why."),
    "engine.database-unavailable": ProblemType(503, "Storage unavailable", "The disk does not take or give data."),
    "workflow.exists": ProblemType(409, "Workflow exists", "A workflow of this id was started before."),
    "workflow.finished": ProblemType(409, "Workflow finished", "It has ended and cannot be changed any more."),
    "workflow.command-refused": ProblemType(409, "Command refused", "It does not fit the workflow as it stands."),
    "workflow.step-not-found": ProblemType(404, "Step not found", "The workflow has no such step, or no such item."),
    "workflow.step-not-waiting": ProblemType(409, "Step not waiting", "It does not wait for this."),
    "workflow.step-ended": ProblemType(409, "Step ended", "It has ended and cannot be skipped any more."),
    "workflow.invalid-answer": ProblemType(
        422, "Invalid answer", "`errors` says what does not fit the form.", "answer"
    ),
    "workflow.signal-refused": ProblemType(409, "Signal refused", "It cannot be kept: `detail` says why."),
    "workflow.migration-refused": ProblemType(409, "Migration refused", "It cannot go on so: `detail` says why."),
    "workflow.too-large-to-export": ProblemType(409, "Too large to export", "It is more than one file may hold."),
    "workflow.bad-setting": ProblemType(422, "Bad setting", "`detail` says what is wrong with the value."),
    "webhook.unknown": ProblemType(404, "Unknown webhook", "There is no webhook of this id."),
    "webhook.unknown-delivery": ProblemType(404, "Unknown delivery", "No delivery of this id was given up."),
    "webhook.no-key": ProblemType(409, "No key", "The engine has no key to keep the secret of a webhook with."),
    "webhook.too-many": ProblemType(409, "Too many webhooks", "Remove one first."),
    "webhook.address-refused": ProblemType(422, "Address refused", "No webhook may go there: `detail` says why."),
    "control.no-such-event": ProblemType(404, "No such event", "The workflow has no event of this seq, or not yet."),
    "control.not-asked": ProblemType(403, "Not asked", "The approval is for others."),
    "workflow.invalid-definition": ProblemType(422, "Invalid definition", "`errors` says where.", _DEFINITION),
    "workflow.invalid-inputs": ProblemType(422, "Invalid inputs", "`errors` says which.", "inputs"),
    "workflow.unknown-step-kind": ProblemType(422, "Unknown step kind", "`known` lists those there are.", _DEFINITION),
    "yaml.bad-syntax": ProblemType(422, "Bad YAML", "The text is no YAML; `errors` names the line.", _DEFINITION),
    "yaml.bad-value": ProblemType(422, "Bad value in YAML", "`errors` names the line.", _DEFINITION),
    "yaml.duplicate-key": ProblemType(422, "Duplicate key in YAML", "`errors` names the line.", _DEFINITION),
    "yaml.not-supported": ProblemType(422, "YAML not supported", "`errors` names the line.", _DEFINITION),
    "yaml.too-large": ProblemType(422, "YAML too large", "It is more than a definition may be.", _DEFINITION),
    "yaml.unreadable": ProblemType(422, "YAML unreadable", "It cannot be read as text.", _DEFINITION),
    "workflow.journal-corrupt": ProblemType(500, "Journal damaged", "What is stored of this workflow cannot be read."),
    "feed.too-many-readers": ProblemType(503, "Too many readers", "As many streams are open as may be."),
    "workflow.engine-closed": ProblemType(503, "Engine closed", "The engine stops; come back after it has started."),
    "workflow.journal-unavailable": ProblemType(503, "Journal unavailable", "The disk does not take or give data."),
    "secret.unknown": ProblemType(404, "Unknown secret", "There is no secret of this name."),
    "secret.changed": ProblemType(409, "Secret changed", "Somebody else has changed it at the same moment."),
    "secret.too-many": ProblemType(409, "Too many secrets", "As many are kept as may be."),
    "secret.no-key": ProblemType(409, "No key", "The engine was given no key to encrypt secrets with."),
    "secret.bad-key": ProblemType(503, "Key not to be used", "The file of the keys cannot be read or written."),
    "secret.unavailable": ProblemType(503, "Secrets unavailable", "Their file cannot be read or written now."),
    "access.off": ProblemType(409, "Sign-in is off", "Nobody has to sign in here, so there are no users and no keys."),
    "access.last-admin": ProblemType(409, "Last admin", "Somebody has to be left who can let others in."),
    "access.reserved-name": ProblemType(422, "Reserved name", "Nobody can be called so."),
    "engine.not-accounted-for": ProblemType(
        500, "Not accounted for", "It was done, and must not be repeated; its entry in the audit log has to wait."
    ),
    "audit.not-in-log": ProblemType(404, "Not in the log", "There is no such entry, or no checkpoint above it yet."),
    "audit.append-failed": ProblemType(503, "Not accounted for", "The disk did not take the entry in the audit log."),
    "audit.log-stopped": ProblemType(503, "Audit log stopped", "It takes nothing until the engine is started again."),
    "audit.log-damaged": ProblemType(500, "Audit log damaged", "What is stored cannot be what was written."),
    "auth.unknown-user": ProblemType(404, "Unknown user", "There is no such user."),
    "auth.unknown-key": ProblemType(404, "Unknown key", "The caller has no live key of this id."),
    "auth.user-exists": ProblemType(409, "User exists", "The name is taken."),
    "auth.invalid-grant": ProblemType(422, "Cannot be granted", "It is more than there is, or than the caller has."),
}

PROBLEMS = ProblemTable(_CODES, STATUS_BY_CODE)
