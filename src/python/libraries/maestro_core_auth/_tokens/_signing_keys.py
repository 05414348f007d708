"""The keys that sign access tokens: made, rotated, published, forgotten."""

from datetime import datetime, timedelta
from typing import Any

from joserfc.jwk import OKPKey

from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._errors import NoSigningKey, UnknownKey
from maestro_core_auth._events import AuthEvent, Listener, nobody_listens
from maestro_core_auth._records import SigningKeyRecord
from maestro_core_auth._store import AuthStore
from maestro_core_auth._tokens._ring import RingKey, ring
from maestro_core_auth._tokens._verify import ALGORITHM, MAX_LEEWAY_S, MAX_LIFETIME_S


class SigningKeys:
    """Ed25519 keys in a store, of which one signs at a time.

    With a `passphrase` they are stored encrypted. A new key is published `lead_s` before it signs, longer than
    verifiers keep the JWKS document, and stays published until its last token has expired. What another process
    rotates or removes is seen here after `reread_s`.
    """

    def __init__(
        self,
        store: AuthStore,
        *,
        passphrase: str | None = None,
        lead_s: float = 3600.0,
        reread_s: float = 5.0,
        clock: Clock = utc_now,
        listener: Listener = nobody_listens,
    ) -> None:
        if lead_s < reread_s:
            raise ValueError("lead_s must be at least reread_s, or a process may meet tokens of a key it has not seen")
        self._store = store
        self._passphrase = passphrase
        self._lead = timedelta(seconds=lead_s)
        self._reread = timedelta(seconds=reread_s)
        self._clock = clock
        self._listener = listener
        self._loaded: dict[str, OKPKey] = {}
        self._records: list[SigningKeyRecord] = []
        self._read_at: datetime | None = None

    async def rotate(self, *, at_once: bool = False) -> str:
        """Make the next key and return its kid; while a next one waits already, that one's.

        The first key of a store, and one made `at_once`, signs from now on. Of several processes that rotate at the
        same time one makes the key.
        """
        while True:
            records, now = await self._read(fresh=True), self._clock()
            waiting = [record for record in records if record.activates_at > now]
            if waiting and not at_once:
                return waiting[-1].kid
            key = OKPKey.generate_key("Ed25519")
            pem = key.as_pem(private=True, password=self._passphrase).decode("ascii")
            activates_at = now + self._lead if records and not at_once else now
            record = SigningKeyRecord(key.thumbprint(), pem, now, activates_at)
            if await self._store.add_signing_key(record, records[-1].kid if records else None):
                self._read_at = None
                self._listener(AuthEvent("signing-key.added", "", now, record.kid))
                return record.kid

    async def remove(self, kid: str) -> None:
        """Forget a key, and with it every token it has signed; another signs at once. Raises UnknownKey."""
        if any(key.record.kid == kid and key.state == "active" for key in await self.published()):
            await self.rotate(at_once=True)
        if not await self._store.remove_signing_key(kid):
            raise UnknownKey(f"there is no signing key {kid!r}")
        self._read_at = None
        self._loaded.pop(kid, None)
        self._listener(AuthEvent("signing-key.removed", "", self._clock(), kid))

    async def prune(self) -> int:
        """Forget the keys that nothing can be verified with any more; how many."""
        published = {key.record.kid for key in await self.published()}
        gone = [record.kid for record in await self._read(fresh=True) if record.kid not in published]
        return sum([await self._store.remove_signing_key(kid) for kid in gone])

    async def published(self) -> list[RingKey]:
        """The keys that verify, or soon will, with their states, oldest first."""
        return self._ring(await self._read())

    async def signer(self) -> tuple[str, OKPKey]:
        """The kid and the private key that sign now; raises NoSigningKey."""
        active = [key.record for key in await self.published() if key.state == "active"]
        if not active:
            raise NoSigningKey
        return active[-1].kid, self._load(active[-1])

    async def verifying(self) -> dict[str, OKPKey]:
        """The keys by which a token may be signed."""
        return {key.record.kid: self._load(key.record) for key in await self.published()}

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """The JWKS document: the public halves of the next, the active and the retired keys."""
        about = {"use": "sig", "alg": ALGORITHM}
        keys = await self.verifying()
        return {"keys": [{**key.as_dict(private=False), "kid": kid, **about} for kid, key in keys.items()]}

    async def _read(self, *, fresh: bool = False) -> list[SigningKeyRecord]:
        now = self._clock()
        if fresh or self._read_at is None or not timedelta(0) <= now - self._read_at < self._reread:
            self._records = await self._store.signing_keys()
            # None at all is not remembered: the first key counts as soon as it is there.
            self._read_at = now if self._records else None
        return self._records

    def _ring(self, records: list[SigningKeyRecord]) -> list[RingKey]:
        return ring(records, self._clock(), timedelta(seconds=MAX_LIFETIME_S + MAX_LEEWAY_S))

    def _load(self, record: SigningKeyRecord) -> OKPKey:
        if record.kid not in self._loaded:
            self._loaded[record.kid] = OKPKey.import_key(record.private_pem, password=self._passphrase)
        return self._loaded[record.kid]
