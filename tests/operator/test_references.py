from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.operator.objects import logger, push_domain, route
from tubepost_operator.references import references


def test_everything_that_a_push_domain_names() -> None:
    found = references(
        push_domain(
            domains=[{"name": "a", "routes": ["one", "two"]}, {"pattern": "b"}],
            routes=["three"],
            loggers=["log"],
            listener={"startTls": {"secretName": "tls"}, "auth": {"secretName": "users"}},
            passthru={"host": "x", "authSecretName": "relay"},
        )
    )
    assert found.routes == {"one", "two", "three"}
    assert found.loggers == {"log"}
    assert found.secrets == {"tls", "users", "relay"}


def test_everything_that_a_route_names() -> None:
    found = references(
        route(
            token={"secretName": "token"},
            tls={"ca": {"secretName": "ca"}},
            proxy={"url": "http://p:1", "auth": {"secretName": "proxy", "key": "k"}},
        )
    )
    assert found.secrets == {"token", "ca", "proxy"}
    assert references(logger()).secrets == frozenset()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["routes", "domains", "loggers", "listener", "startTls", "secretName", "passthru", "tls"]
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
