"""What every registry must do; see `RegistryConformance`."""

import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import TypeVar, cast

from maestro_service_registry._errors import InvalidRequest, LeaseHeld, LeaseLost, RegistryError, UnknownInstance
from maestro_service_registry._model import Lease, Query, Registration, Status
from maestro_service_registry._registry import Registry

ErrorT = TypeVar("ErrorT", bound=RegistryError)

KEY = "a key of this holder"
OTHER_KEY = "a key of another holder"


def registration(
    service: str = "orders", instance: str = "a", ttl_s: float = 60.0, contract: str | None = None, **labels: str
) -> Registration:
    """A registration that differs from another only where a test says so."""
    return Registration(service, instance, f"http://{instance}.example:80", contract, labels, ttl_s)


@contextlib.contextmanager
def raises(error: type[ErrorT]) -> Iterator[list[ErrorT]]:
    """Expect an error inside the block; the list holds it afterwards."""
    caught: list[ErrorT] = []
    try:
        yield caught
    except error as found:
        caught.append(found)
    assert caught, f"{error.__name__} was not raised"


_QUERIES = {
    "service": Query(service="orders"),
    "contract": Query(service="orders", contract="1.3"),
    "older": Query(service="orders", contract="1.0"),
    "label": Query(labels={"zone": "eu"}),
    "status": Query(status="draining"),
    "nothing": Query(service="orders", contract="2.0"),
}


class RegistryConformance(ABC):
    """The promises of `Registry`; subclass it in a test file and say how to make one.

        class TestMine(RegistryConformance):
            @contextlib.contextmanager
            def registry(self) -> Iterator[Registry]: ...
            def let_leases_end(self, registry: Registry) -> None: ...

    `let_leases_end` moves the registry's clock on by 61 s: beyond the 60 s of every lease here.
    """

    @abstractmethod
    def registry(self) -> contextlib.AbstractContextManager[Registry]:
        """A new and empty registry."""

    @abstractmethod
    def let_leases_end(self, registry: Registry) -> None:
        """Move the registry's clock on by 61 s."""

    def test_what_registers_is_found_as_it_said(self) -> None:
        """Address, contract and labels come back as they were given."""
        with self.registry() as registry:
            lease = registry.register(registration(contract="1.4.0", zone="eu"), KEY)
            found = registry.get("orders", "a")
        assert (found.url, found.contract, dict(found.labels)) == ("http://a.example:80", "1.4.0", {"zone": "eu"})
        assert (found.status, found.token, found.ttl_s) == ("passing", lease.token, 60.0)

    def test_a_lease_has_one_holder(self) -> None:
        """Another key is refused while the lease runs, and told when to come again."""
        with self.registry() as registry:
            registry.register(registration(), KEY)
            with raises(LeaseHeld) as held:
                registry.register(registration(), OTHER_KEY)
            registry.register(registration(instance="b"), OTHER_KEY)
        assert held[0].retry_after_s is not None
        assert 0 < held[0].retry_after_s <= 60

    def test_registering_again_keeps_the_token(self) -> None:
        """A holder whose answer was lost asks again, and may say something new."""
        with self.registry() as registry:
            first = registry.register(registration(zone="eu"), KEY)
            again = registry.register(registration(zone="us"), KEY)
            assert again.token == first.token
            assert dict(registry.get("orders", "a").labels) == {"zone": "us"}

    def test_every_new_holding_has_a_greater_token(self) -> None:
        """Across instances and services, and after a lease was given back or has ended."""
        with self.registry() as registry:
            leases = [registry.register(registration(service, "a"), KEY) for service in ("orders", "bills")]
            registry.deregister(leases[0])
            leases.append(registry.register(registration("orders", "a"), OTHER_KEY))
            self.let_leases_end(registry)
            leases.append(registry.register(registration("bills", "a"), KEY))
        tokens = [lease.token for lease in leases]
        assert tokens == sorted(set(tokens))

    def test_a_renewed_lease_goes_on(self) -> None:
        """Renewing counts from now, so the others wait for longer."""
        with self.registry() as registry:
            lease = registry.register(registration(), KEY)
            registry.renew(lease)
            with raises(LeaseHeld):
                registry.register(registration(), OTHER_KEY)

    def test_a_lease_that_ended_is_lost(self) -> None:
        """Nothing can be done with it, and the instance is gone."""
        with self.registry() as registry:
            lease = registry.register(registration(), KEY)
            self.let_leases_end(registry)
            for act in (registry.renew, registry.deregister):
                with raises(LeaseLost):
                    act(lease)
            with raises(UnknownInstance):
                registry.get("orders", "a")
            assert registry.snapshot().instances == ()

    def test_only_the_holder_renews_and_gives_back(self) -> None:
        """Another key, another token, or a lease that another took over: each is refused."""
        with self.registry() as registry:
            lease = registry.register(registration(), KEY)
            for stranger in (
                Lease("orders", "a", lease.token, OTHER_KEY, 60.0),
                Lease("orders", "a", lease.token + 1, KEY, 60.0),
                Lease("orders", "b", lease.token, KEY, 60.0),
            ):
                with raises(LeaseLost):
                    registry.renew(stranger)
                with raises(LeaseLost):
                    registry.deregister(stranger)
            self.let_leases_end(registry)
            registry.register(registration(), OTHER_KEY)
            with raises(LeaseLost):
                registry.renew(lease)

    def test_queries_find_by_name_contract_labels_and_status(self) -> None:
        """All that is asked has to fit; what names no contract fits no wish for one."""
        with self.registry() as registry:
            registry.register(registration(instance="old", contract="1.2.0", zone="eu"), KEY)
            lease = registry.register(registration(instance="new", contract="1.4.1", zone="us"), KEY)
            registry.register(registration(instance="none"), KEY)
            registry.register(registration("bills", "new", contract="1.4.1"), KEY)
            registry.renew(lease, "draining")
            found = {
                name: [each.instance for each in registry.snapshot(query).instances] for name, query in _QUERIES.items()
            }
        assert found == {
            "service": ["new", "none", "old"],
            "contract": ["new"],
            "older": ["new", "old"],
            "label": ["old"],
            "status": ["new"],
            "nothing": [],
        }

    def test_changes_tell_the_story_from_any_revision(self) -> None:
        """In order and without a gap; a snapshot and the changes after it are the same as a later snapshot."""
        with self.registry() as registry:
            start = registry.snapshot().revision
            lease = registry.register(registration(), KEY)
            registry.renew(lease)
            registry.renew(lease, "failing")
            middle = registry.snapshot()
            registry.deregister(lease)
            registry.register(registration(instance="b"), KEY)
            self.let_leases_end(registry)
            changes = registry.changes(start)
            later = registry.changes(middle.revision)
        kinds = ["registered", "changed", "deregistered", "registered", "expired"]
        assert [change.kind for change in changes.changes] == kinds
        assert [change.revision for change in changes.changes] == list(range(start + 1, start + 6))
        assert later.changes == changes.changes[2:]
        assert not changes.lost
        assert middle.instances[0].status == "failing"

    def test_who_no_longer_fits_is_told(self) -> None:
        """Whoever follows a label learns that an instance has lost it."""
        with self.registry() as registry:
            registry.register(registration(zone="eu"), KEY)
            start = registry.snapshot().revision
            registry.register(registration(zone="us"), KEY)
            assert len(registry.changes(start, Query(labels={"zone": "eu"})).changes) == 1
            assert registry.changes(start, Query(service="bills")).changes == ()

    def test_waiting_for_changes_ends_when_there_is_one(self) -> None:
        """And not before; other services' changes do not count."""
        with self.registry() as registry:
            start = registry.snapshot().revision
            registry.register(registration("bills"), KEY)
            seen: list[str] = []
            waiter = threading.Thread(
                target=lambda: seen.extend(
                    change.kind for change in registry.changes(start, Query(service="orders"), wait_s=30).changes
                )
            )
            waiter.start()
            registry.register(registration(), KEY)
            waiter.join(30)
            assert seen == ["registered"]

    def test_a_revision_of_another_life_is_lost(self) -> None:
        """Who asks from a revision that never was has to take a snapshot."""
        with self.registry() as registry:
            changes = registry.changes(10_000)
            assert changes.lost
            assert changes.changes == ()

    def test_bad_questions_are_refused_with_what_is_wrong(self) -> None:
        """Before anything is sent or stored."""
        for ask in (
            partial(Query, service="a b"),
            partial(Query, labels={"x y": "1"}),
            partial(Query, contract="new"),
            partial(Query, status=cast(Status, "sick")),
        ):
            with raises(InvalidRequest) as found:
                ask()
            assert found[0].problems
