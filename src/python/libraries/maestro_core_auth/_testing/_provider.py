"""An OpenID provider that answers as it should, or lies as it is told to; an ASGI application."""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from maestro_core_auth._authenticator import Receive, Scope, Send
from maestro_core_auth._clock import Clock, utc_now
from maestro_core_auth._jws import encode

if TYPE_CHECKING:
    from joserfc.jwk import Key


class FakeProvider:
    """A provider for faults; a login in a real one is another test. Needs the extra `oidc`.

    `claims` and `header` overwrite what the next ID tokens say, None taking a claim out. `alg` and `key` sign them.
    `answers` replaces whole answers by path, as (status, headers, body). `stalled` are paths that never answer.
    """

    def __init__(self, issuer: str = "https://provider.test", *, clock: Clock = utc_now) -> None:
        from joserfc.jwk import ECKey

        self.issuer = issuer
        self.clock = clock
        self.key: Key = ECKey.generate_key("P-256")
        self.alg = "ES256"
        self.kid = "key-1"
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.stalled: set[str] = set()
        self.asked: Counter[str] = Counter()
        self._codes: dict[str, dict[str, str]] = {}

    def log_in(self, url: str, **answer: str) -> str:
        """The query with which a browser comes back from `url` after a login; `answer` overwrites parts of it."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return urlencode({"code": code, "state": query["state"], "iss": self.issuer, **answer})

    def jwks(self) -> dict[str, Any]:
        """The document with the public key."""
        return {"keys": [{**self.key.as_dict(private=False), "kid": self.kid, "use": "sig", "alg": self.alg}]}

    def id_token(self, client_id: str, nonce: str, access_token: str) -> str:
        """An ID token as `claims`, `header`, `alg` and `key` say."""
        now = int(self.clock().timestamp())
        half = hashlib.sha256(access_token.encode()).digest()[:16]
        claims = {"iss": self.issuer, "aud": client_id, "sub": "ada", "iat": now, "exp": now + 300, "nonce": nonce}
        claims |= {"groups": ["maestro-admins"], "at_hash": encode(half), **self.claims}
        header = {"alg": self.alg, "kid": self.kid, **self.header}
        return signed({name: value for name, value in claims.items() if value is not None}, header, self.key)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        self.asked[path] += 1
        if path in self.stalled:
            await asyncio.get_running_loop().create_future()
        if path in self.answers:
            status, headers, body = self.answers[path]
        else:
            status, headers = 200, {"content-type": "application/json"}
            body = json.dumps(await self._answer(path, receive)).encode()
            status = 400 if b'"error"' in body else 200
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, path: str, receive: Receive) -> dict[str, Any]:
        if path == "/.well-known/openid-configuration":
            return self._discovery()
        if path == "/jwks":
            return self.jwks()
        assert path == "/token", f"nothing asks for {path}"
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        return self._tokens({name: values[0] for name, values in parse_qs(body.decode()).items()})

    def _discovery(self) -> dict[str, Any]:
        names = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks"}
        return {
            "issuer": self.issuer,
            **{name: f"{self.issuer}/{path}" for name, path in names.items()},
            "end_session_endpoint": f"{self.issuer}/logout",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _tokens(self, form: dict[str, str]) -> dict[str, Any]:
        """Tokens for a code that is spent now; an error for one that is unknown, or somebody else's."""
        asked = self._codes.pop(form.get("code", ""), None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
        if asked is None or asked["code_challenge"] != challenge.rstrip(b"=").decode():
            return {"error": "invalid_grant"}
        if (asked["redirect_uri"], asked["client_id"]) != (form.get("redirect_uri"), form.get("client_id")):
            return {"error": "invalid_grant"}
        access_token = secrets.token_urlsafe(16)
        id_token = self.id_token(asked["client_id"], asked["nonce"], access_token)
        return {"id_token": id_token, "access_token": access_token, "token_type": "Bearer", "expires_in": 300}


def signed(claims: Any, header: dict[str, Any], key: "Key | bytes") -> str:
    """A compact JWS with this very header, signed as its `alg` says: also with `none`, or with bytes as HS256."""
    from joserfc.jws import JWSRegistry

    body = f"{encode(json.dumps(header).encode())}.{encode(json.dumps(claims).encode())}"
    if header["alg"] == "none":
        return f"{body}."
    if isinstance(key, bytes):
        return f"{body}.{encode(hmac.digest(key, body.encode(), 'sha256'))}"
    algorithm = JWSRegistry.algorithms["Ed25519" if header["alg"] == "EdDSA" else header["alg"]]
    return f"{body}.{encode(algorithm.sign(body.encode(), key))}"
