from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.dispatcher.bundles import SECRETS, bundle, prepared
from tubepost_api.config import AcceptanceConfig, AcceptanceMode, DeliveryConfig, QueueConfig, ServingWorkload
from tubepost_api.config_logger import LoggerConfig
from tubepost_credentials.throwaway import make_apns_certificate, make_ca
from tubepost_dispatcher.config.bundle import Prepared, prepare
from tubepost_dispatcher.supervisor.config_change import Level, compare


def _renewed() -> dict[str, dict[str, bytes]]:
    made = make_apns_certificate(make_ca(), ("com.example.app",))
    return {**SECRETS, "cert": {"tls.crt": made.certificate_pem, "tls.key": made.private_key_pem}}


def _level(new: Prepared, old_workers: int = 1, new_workers: int = 1) -> tuple[Level, tuple[str, ...]]:
    change = compare(prepared(), new, old_workers, new_workers)
    return change.level, change.what


def test_the_same_contents_under_another_number_are_no_change() -> None:
    assert _level(prepared(generation=7)) == (Level.NONE, ())


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"loggers": (LoggerConfig(name="log"),)}, "loggers"),
        ({"log_level": "Debug"}, "log_level"),
        ({"workers": 2}, "workers"),
        ({"acceptance": AcceptanceConfig(mode=AcceptanceMode.QUEUED)}, "acceptance"),
        ({"queue": QueueConfig(persistent=True)}, "queue"),
        ({"serving": (ServingWorkload(kind="StatefulSet", replicas=1),)}, "serving"),
    ],
)
def test_options(changes: dict[str, Any], what: str) -> None:
    assert _level(prepared(**changes)) == (Level.OPTIONS, (what,))


def test_an_override_is_an_option() -> None:
    entry = bundle().config.entries[0].model_copy(update={"delivery": DeliveryConfig(response_timeout=9.0)})
    assert _level(prepared(entries=(entry,))) == (Level.OPTIONS, ("entries",))


def test_a_renewed_credential_is_a_pool_and_says_which_secret() -> None:
    assert _level(prepared(secrets=_renewed())) == (Level.POOL, ("route apns", "Secret cert"))


def test_another_certificate_of_the_same_secret_is_a_pool_although_no_file_changed() -> None:
    ca, begin = make_ca(), datetime(2026, 1, 1, tzinfo=UTC)
    old = make_apns_certificate(ca, ("com.example.app",), days=100, start=begin)
    new = make_apns_certificate(ca, ("com.example.app",), days=300, start=begin + timedelta(days=50))
    both = {
        "tls.crt": old.certificate_pem + new.certificate_pem,
        "tls.key": old.private_key_pem + new.private_key_pem,
    }
    given = bundle(secrets={**SECRETS, "cert": both})
    before, _ = prepare(given, (begin + timedelta(days=10)).timestamp())
    after, _ = prepare(given, (begin + timedelta(days=60)).timestamp())
    assert before.digest == after.digest
    assert before.chosen_until == (begin + timedelta(days=50)).timestamp()
    change = compare(before, after, 1, 1)
    assert (change.level, change.what) == (Level.POOL, ("route apns",))
    assert compare(after, after, 1, 1).level is Level.NONE


def test_another_certificate_of_the_listener_is_an_option() -> None:
    change = compare(prepared(), replace(prepared(), certificates=("other",)), 1, 1)
    assert (change.level, change.what) == (
        Level.OPTIONS,
        ("the listener's certificate, of several in its Secret",),
    )


def test_an_endpoint_is_a_pool() -> None:
    routes = {"apns": bundle().config.routes["apns"].model_copy(update={"port": 2}), "token": _token()}
    assert _level(prepared(routes=routes)) == (Level.POOL, ("route apns",))


def test_a_default_of_a_route_is_an_option() -> None:
    routes = {"apns": bundle().config.routes["apns"].model_copy(update={"topic": "t"}), "token": _token()}
    assert _level(prepared(routes=routes)) == (Level.OPTIONS, ("route apns options",))


def test_routes_that_come_and_go_are_pools() -> None:
    without = prepared(routes={"apns": bundle().config.routes["apns"]})
    assert _level(without) == (Level.POOL, ("route token removed",))
    assert compare(without, prepared(), 1, 1).what == ("route token added",)


def test_worker_count_and_port_concern_workers() -> None:
    level, what = _level(prepared(), 1, 2)
    assert (level, what) == (Level.WORKERS, ("workers 1 -> 2",))
    listener = bundle().config.listener.model_copy(update={"port": 2526})
    level, what = _level(prepared(listener=listener))
    assert level is Level.WORKERS
    assert what[0] == "listener.port"


def _token() -> Any:
    return bundle().config.routes["token"]
