"""The pages that explain: their figures are the code's, and what they compare with is what other pages measured."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.pages import documents, page
from tests.test_howto_pages import rows
from tubepost_api.config import DeliveryConfig
from tubepost_dispatcher.apns import breaker, connector, health, liveness, tokens
from tubepost_dispatcher.apns.pool import answers, policy

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("sentence", "figures"),
    [
        ("when requests have waited for {} ms, at most\n{} at a time", (policy.PATIENCE * 1000, policy.MOST_DIALS)),
        ("a limit below {} counts as {}", (policy.LEAST_STREAMS, policy.LEAST_STREAMS)),
        ("at once, up to {} times", (answers.MAX_MOVES,)),
        ("With `delivery.responseTimeout` at {} s", (DeliveryConfig().response_timeout,)),
        (
            "without an answer for {} s, on a connection from which nothing was\nread for half a second, makes a PING; {} s of",
            (
                liveness.PING_SHARE * DeliveryConfig().response_timeout,
                liveness.PING_ANSWER_SHARE * DeliveryConfig().response_timeout,
            ),
        ),
        ("asked after\n{} s of silence, and has {} s to answer", (liveness.IDLE_PING, liveness.IDLE_PING_ANSWER)),
        ("After {} s a second attempt", (policy.HEDGE,)),
        ("{} s to\n{} s, with a random part", (connector._DELAYS.first, connector._DELAYS.most)),
        ("replaced at growing intervals, up to {} s", (health._REPLACEMENTS.most,)),
        ("then after {} s, 4 s, 8 s and every\n{} s", (health._PROBES.first, health._PROBES.most)),
        ("probed after {} s, doubling up to {} s", (breaker.HOLD_FIRST, breaker.HOLD_MOST)),
        ("`Retry-After` is kept, {} s of\nit at most", (health.MOST_REST,)),
        ("change more often than every {} minutes", (tokens.KEEP / 60,)),
        ("steps of {} minutes of the clock, and a token is used from {} minutes", (tokens.STEP / 60, tokens.LAG / 60)),
    ],
)  # fmt: skip
def test_figures_of_the_page_about_pools_are_the_codes(sentence: str, figures: tuple[float, ...]) -> None:
    assert sentence.format(*(f"{figure:g}" for figure in figures)) in page("pools.md")


def test_half_a_second_is_the_share_of_the_usual_timeout() -> None:
    assert liveness.QUIET_SHARE * DeliveryConfig().response_timeout == 0.5
    assert connector.FAILURES_BEFORE_REFUSING == 3  # "From the third failure on"


def test_figures_of_the_page_about_httpx_are_the_decisions() -> None:
    decision = page("decisions/0001-an-http2-engine-of-our-own.md")
    measured = {row[0]: row for row in rows(decision, 4)}
    for name in ("httpx 0.28", "aioapns 4.0", "Go apns2 0.25"):
        (row,) = [row for row in rows(page("httpx.md"), 3) if row[0].startswith(name)]
        assert row[2] == measured[name][1]
        assert row[1] == f"{measured[name][2]} us"
    assert "4 of 5, 19 of 20 and 109 of 150" in decision
    assert "of 5, 20 and 150 requests in flight, 4, 19 and 109 hang" in page("httpx.md")


@pytest.mark.parametrize("name", ["safe.md", "pools.md", "httpx.md", "security.md"])
def test_tests_that_a_page_calls_as_witnesses_exist(name: str) -> None:
    for path in re.findall(r"tests/[\w/]+\.py", page(name)):
        assert (ROOT / path).is_file(), path


def test_the_closed_push_domain_closes_everything_by_default() -> None:
    namespace, policy_, *ours = documents("security.md")
    assert namespace["metadata"]["name"] == policy_["metadata"]["namespace"]
    assert policy_["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    assert {one["metadata"]["namespace"] for one in ours} == {"push"}
    assert [one["kind"] for one in ours] == ["PushDomain", "ApnRoute"]
