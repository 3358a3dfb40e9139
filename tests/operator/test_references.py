from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.operator.objects import logger, push_domain, route
from tubepost_operator.references import References, references


def test_everything_that_a_push_domain_names() -> None:
    found = references(
        push_domain(
            domains=[{"name": "a", "routes": ["one", "two"]}, {"pattern": "b"}],
            routes=["three"],
            loggers=["log"],
            listener={"startTls": {"secretName": "tls"}, "auth": {"secretName": "users"}},
            passthru={"host": "x", "authSecretName": "relay"},
            bounces={"relay": {"host": "x", "authSecretName": "reports", "ca": {"secretName": "ca"}}},
            policy={"configMapName": "hooks"},
            rest={"tls": {"secretName": "rest"}, "tokens": {"secretName": "clients"}},
        )
    )
    assert found.routes == {"one", "two", "three"}
    assert found.loggers == {"log"}
    assert found.secrets == {"tls", "users", "relay", "reports", "ca", "rest", "clients"}
    assert found.config_maps == {"hooks"}


def test_everything_that_a_route_names() -> None:
    found = references(
        route(
            token={"secretName": "token"},
            tls={"ca": {"secretName": "ca"}},
            proxy={"url": "http://p:1", "auth": {"secretName": "proxy", "key": "k"}},
        )
    )
    assert found.secrets == {"token", "ca", "proxy"}
    assert references(logger()) == References()


def test_everything_that_a_logger_names() -> None:
    webhook = {
        "url": "https://a.example",
        "authorization": {"secretName": "a", "key": "k"},
        "signature": {"secretName": "b", "key": "k"},
        "ca": {"secretName": "c"},
    }
    found = references(logger(sink={"type": "Webhook", "webhook": webhook}))
    assert found == References(secrets=frozenset("abc"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "routes",
                    "domains",
                    "loggers",
                    "listener",
                    "startTls",
                    "secretName",
                    "passthru",
                    "tls",
                    "policy",
                    "configMapName",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["PushDomain", "ApnRoute", "ApnLogger"]))
def test_whatever_stands_there_is_read(spec: Any, kind: str) -> None:
    references({"kind": kind, "spec": spec})
