"""The one type for a value that nobody may see."""

import hmac
from typing import Any, NoReturn, Self

from pydantic import SecretStr

from maestro_core_config._errors import SecretNotPickled


class SecretText(SecretStr):
    """Text that prints as stars; only `get_secret_value()` gives it out.

    Unlike pydantic's SecretStr it cannot be pickled, and it is compared in constant time.
    """

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecretNotPickled("a secret is not pickled: load the settings again in the other process")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return super().__hash__()


def _bytes(secret: SecretText) -> bytes:
    return secret.get_secret_value().encode("utf-8", "surrogatepass")
