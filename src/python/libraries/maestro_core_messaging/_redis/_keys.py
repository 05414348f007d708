"""Keys: the names of what a topic has in Redis."""

import hashlib

from maestro_core_messaging._message import Message


class Keys:
    """All keys of one topic share its stream's name as hash tag."""

    def __init__(self, prefix: str, topic: str) -> None:
        self.topic = topic
        self.stream = prefix + topic
        self.topics = f"{prefix}topics"
        self.group_prefix = f"{{{self.stream}}}:group:"

    def of_group(self, group: str) -> list[str]:
        """The stream and what a group has, in the order in which the scripts expect them."""
        parts = ("leased", "due", "info", "heads", "behind", "wake", "dead")
        return [self.stream, *(f"{self.group_prefix}{group}:{part}" for part in parts)]

    def dead(self, group: str) -> str:
        """The stream of a group's dead letters."""
        return f"{self.group_prefix}{group}:dead"

    def wake(self, group: str) -> str:
        """The stream that changes when something became due."""
        return f"{self.group_prefix}{group}:wake"

    def seen(self, digest: str) -> str:
        """The key that remembers a message."""
        return f"{{{self.stream}}}:seen:{digest}"


def digest(message: Message) -> str:
    """A short name for a message's source and id."""
    return hashlib.sha256(f"{message.source}\0{message.id}".encode()).hexdigest()[:32]
