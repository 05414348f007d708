"""Every error of a library that a request can meet, mapped to its status once."""

from collections.abc import Mapping

from maestro_core_api import ProblemTable, ProblemType
from maestro_core_auth.fastapi import STATUS_BY_CODE

_DEFINITION = "definition"
_CODES: Mapping[str, int | ProblemType] = {
    "workflow.not-found": ProblemType(404, "Workflow not found", "There is no workflow of this id."),
    "workflow.unknown-artifact": ProblemType(404, "Unknown artifact", "The workflow names no such artifact."),
    "workflow.artifact-not-found": ProblemType(404, "Artifact not found", "Its bytes are not there any more."),
    "template.unknown": ProblemType(
        404, "Unknown template", "No template has this name; `known` lists those there are."
    ),
    "workflow.exists": ProblemType(409, "Workflow exists", "A workflow of this id was started before."),
    "workflow.finished": ProblemType(409, "Workflow finished", "It has ended and cannot be changed any more."),
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
