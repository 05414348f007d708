"""Reading of what a store holds, which need not be a message of ours."""

from maestro_core_messaging._errors import InvalidMessage
from maestro_core_messaging._message import Message


def readable(body: str | bytes) -> Message | None:
    """The message, or None where the body is none."""
    try:
        return Message.from_json(body)
    except InvalidMessage:
        return None
