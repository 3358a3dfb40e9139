from __future__ import annotations

import pytest

from tubepost_operator.access import Access, remedy
from tubepost_operator.api import WatchSource
from tubepost_operator.kinds import DEPLOYMENT, PUSH_DOMAIN, SECRET

ONE = WatchSource("secrets in one", SECRET, "one")
TWO = WatchSource("secrets in two", SECRET, "two")


def test_a_refusal_is_that_namespace_s_alone() -> None:
    access = Access()
    access.expect(ONE)
    access.expect(TWO)
    access.completed(TWO)
    assert not access.settled(ONE)
    assert access.refused(ONE, 403, "secrets is forbidden.")
    assert access.settled(ONE)
    assert not access.refused(ONE, 403, "secrets is forbidden."), "no news"
    assert access.refused(ONE, 404, "not found"), "another reason is news"
    assert [refusal.namespace for refusal in access.refusals("one")] == ["one"]
    assert access.refusals("two") == ()
    assert access.names() == ("secrets in one",)
    assert access.why(ONE).startswith("secrets in one cannot be watched: 404 not found. Remedy: ")
    assert access.restored(ONE)
    assert not access.restored(ONE)
    assert access.refusals("one") == ()
    assert access.why(ONE) == ""


def test_what_was_never_brought_may_exist() -> None:
    access = Access()
    assert access.complete("Secret", "one"), "nobody watches it"
    access.expect(ONE)
    access.expect(TWO)
    access.completed(TWO)
    access.refused(ONE, 403, "no")
    assert not access.complete("Secret", "one")
    assert access.complete("Secret", "two")
    assert access.complete("Deployment", "one")


def test_blind_is_who_sees_no_namespace_at_all() -> None:
    access = Access()
    sources = [WatchSource(f"pushdomains in {name}", PUSH_DOMAIN, name) for name in ("one", "two")]
    assert access.blind(PUSH_DOMAIN) == ""
    for source in sources:
        access.expect(source)
    access.refused(sources[0], 403, "no")
    assert access.blind(PUSH_DOMAIN) == ""
    access.refused(sources[1], 403, "no")
    assert access.blind(PUSH_DOMAIN).startswith("pushdomains in one cannot be watched: 403 no. Remedy: ")


@pytest.mark.parametrize(
    ("source", "status", "text"),
    [
        (ONE, 403, "take it out of watch.namespaces"),
        (WatchSource("deployments", DEPLOYMENT, None), 403, "watch deployments.apps"),
        (WatchSource("pushdomains", PUSH_DOMAIN, None), 404, "kubectl apply --server-side -f crds/"),
        (ONE, 500, "log of the API server"),
    ],
)
def test_every_refusal_has_a_remedy(source: WatchSource, status: int, text: str) -> None:
    assert text in remedy(source, status)
