"""A real OpenID provider, with a login page, on a free loopback port; and a person who uses that page."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import httpx2

from kit.servers import free_port, serving

# Run by the provider's own Python, as it comes from a resolve of its own.
PROGRAM = """
import json, secrets, sys

from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

asked = json.load(open(sys.argv[1]))
key = RSAKey.generate_key(2048)
app = create_app({
    "SECRET_KEY": secrets.token_urlsafe(32),
    "SERVER_NAME": f"127.0.0.1:{asked['port']}",
    "PREFERRED_URL_SCHEME": "http",
    # The backend in memory finds any code of a client when it is asked for one: several logins at once need the other.
    "CANAILLE": {"DATABASE": "sql", "JAVASCRIPT": False, "CAPTCHA_ENABLED": False},
    "CANAILLE_SQL": {"DATABASE_URI": "sqlite:///" + asked["database"], "PASSWORD_SCHEMES": "plaintext"},
    "CANAILLE_OIDC": {"ACTIVE_JWKS": [{**key.as_dict(private=True), "kid": key.thumbprint(), "alg": "RS256"}]},
})
with app.app_context():
    people = {}
    for name, password in asked["passwords"].items():
        people[name] = models.User(
            user_name=name, family_name=name, formatted_name=name, emails=[f"{name}@people.example"], password=password
        )
        Backend.instance.save(people[name])
    for group, names in asked["groups"].items():
        Backend.instance.save(models.Group(display_name=group, members=[people[name] for name in names]))
    client = models.Client(
        client_id=asked["client_id"],
        client_secret=asked["client_secret"],
        client_name="Maestro",
        client_uri="https://maestro.example",
        redirect_uris=[asked["redirect_uri"]],
        post_logout_redirect_uris=[asked["redirect_uri"]],
        token_endpoint_auth_method="client_secret_basic",
        grant_types=["authorization_code"],
        response_types=["code"],
        scope=["openid", "profile", "groups"],
        id_token_signed_response_alg="RS256",
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)

make_server("127.0.0.1", asked["port"], app, threaded=True).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """A running provider, and the one client registered there."""

    issuer: str
    client_id: str
    redirect_uri: str
    client_secret: str = field(repr=False)


@contextlib.contextmanager
def oidc_provider(
    folder: Path, *, passwords: Mapping[str, str], groups: Mapping[str, list[str]], pex: Path
) -> Iterator[OidcProvider]:
    """A provider that knows these people, until the block ends.

    It is run by the Python that MAESTRO_OIDC_PYTHON names, if any, and otherwise from the PEX at that path.
    """
    port = free_port()
    redirect_uri = f"http://127.0.0.1:{free_port()}/login/callback"
    provider = OidcProvider(f"http://127.0.0.1:{port}", "maestro", redirect_uri, "a secret of the client")
    asked = {
        "port": port,
        "database": str(folder / "provider.sqlite"),
        "passwords": dict(passwords),
        "groups": dict(groups),
        "client_id": provider.client_id,
        "client_secret": provider.client_secret,
        "redirect_uri": redirect_uri,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    (folder / "provider.py").write_text(PROGRAM, encoding="utf-8")
    python = os.environ.get("MAESTRO_OIDC_PYTHON")
    command: list[str | Path] = [python] if python else [sys.executable, pex]
    # Only what it needs: nothing of this process's own environment leads it to other packages.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PEX", "PYTHON"))}
    with serving([*command, "provider.py", "asked.json"], port=port, cwd=folder, env=env):
        yield provider


class _Form(HTMLParser):
    """The first form of a page: where it goes, and what stands in its fields."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action = ""
        self.fields: dict[str, str] = {}
        self._inside = self._done = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        if tag == "form" and not self._done:
            self._inside, self.action = True, named.get("action", "")
        elif tag == "input" and self._inside and named.get("name"):
            self.fields[named["name"]] = named.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._inside:
            self._inside, self._done = False, True


async def log_in_by_hand(url: str, *, name: str, password: str, redirect_uri: str, consent: bool = True) -> str:
    """Do what a person with a browser does from `url` on; the URL at which the provider sends him back.

    Raises AssertionError, with the page, when it does not come to that.
    """
    async with httpx2.AsyncClient(timeout=30, trust_env=False) as browser:
        answer = await browser.get(url)
        for _ in range(12):
            if answer.is_redirect:
                target = urljoin(str(answer.url), answer.headers["location"])
                if target.startswith(redirect_uri):
                    return target
                answer = await browser.get(target)
                continue
            form = _Form(answer.text)
            filled = dict(form.fields)
            if "login" in filled:
                filled["login"] = name
            if "password" in filled:
                filled["password"] = password
            if 'name="answer"' in answer.text:
                filled["answer"] = "accept" if consent else "deny"
            answer = await browser.post(urljoin(str(answer.url), form.action), data=filled)
        raise AssertionError(f"the login did not end; the last page is:\n{answer.status_code} {answer.text}")
