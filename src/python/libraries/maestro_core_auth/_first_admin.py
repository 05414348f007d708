"""The first admin of a new store."""

from maestro_core_auth._errors import AdminExists, UnknownUser
from maestro_core_auth._events import Listener, nobody_listens
from maestro_core_auth._keys import ApiKeys, IssuedKey
from maestro_core_auth._store import AuthStore
from maestro_core_auth._users import Users

ADMIN = "admin"


async def init_admin(
    store: AuthStore,
    subject: str = ADMIN,
    *,
    again: bool = False,
    pepper: bytes = b"",
    listener: Listener = nobody_listens,
) -> IssuedKey:
    """Make the first user with the role `admin`, and a key for him, whose secret is to be shown once.

    Raises AdminExists when there is one already, unless `again`: then that user is made an enabled admin, if he
    is none, and gets one more key.
    """
    users = Users(store, listener=listener)
    admins = [user.subject for user in await store.users() if ADMIN in user.roles]
    if admins and not again:
        raise AdminExists(f"there is an admin already: {', '.join(admins)}; `--again` gives one more key")
    try:
        user = await users.get(subject)
        await users.set_roles(subject, user.roles | {ADMIN})
        await users.set_disabled(subject, False)
    except UnknownUser:
        await users.add(subject, {ADMIN})
    return await ApiKeys(store, pepper=pepper, listener=listener).issue(subject, label="first admin")
