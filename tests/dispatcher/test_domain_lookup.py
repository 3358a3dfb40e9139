from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tubepost_api.config import DeliveryConfig, EntryConfig
from tubepost_dispatcher.domain_lookup import CACHE_SIZE, DomainLookup, canonical_domain


def named(name: str) -> EntryConfig:
    return EntryConfig(name=name, routes=("r",), delivery=DeliveryConfig())


def matching(pattern: str) -> EntryConfig:
    return EntryConfig(pattern=pattern, routes=("r",), delivery=DeliveryConfig())


@pytest.mark.parametrize(
    ("domain", "canonical"),
    [
        ("APN_Example.COM", "apn_example.com"),
        ("example.com.", "example.com"),
        ("localhost", "localhost"),
        ("_dmarc.x-y.example", "_dmarc.x-y.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
        ("faß.example", "xn--fa-hia.example"),
        ("www\u3002bücher\uff0eexample\u3002", "www.xn--bcher-kva.example"),
        ("apn_bücher.example", "xn--apn_bcher-u9a.example"),
        ("\uff45\uff58ample.com", "example.com"),
        ("a" * 63 + ".b", "a" * 63 + ".b"),
        ("a\u200bb", "ab"),  # UTS #46 maps the zero width space to nothing
    ],
)
def test_canonical_domains(domain: str, canonical: str) -> None:
    assert canonical_domain(domain) == canonical
    assert canonical_domain(canonical) == canonical


@pytest.mark.parametrize(
    "domain",
    [
        "", ".", "a..b", ".a", "a..", "-a.b", "a-.b", "a b", "a@b", "[192.0.2.1]", "a\r\nb", "a\0", "a/b",
        "a" * 64, "ü" * 63, "_" + "ü" * 60, "a." * 127 + "b", "x" * 2_000, "☃\u0338.example", "\ud800.example",
        "-ü.b", "\u0300a.b", "_\u0378",
    ],
)  # fmt: skip
def test_what_is_no_domain(domain: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_domain(domain)
    assert DomainLookup([matching(".*")]).find(domain) is None


def test_exact_names_come_first_then_patterns_in_order() -> None:
    domains = DomainLookup(
        [
            matching(r".*\.example\.com"),
            named("a.example.com"),
            matching(r"[ab]\.Example\.com"),
            matching(r"x.*"),
            named("Bücher.example"),
        ]
    )
    assert domains.find("A.example.com.") == 1
    assert domains.find("b.example.com") == 0
    assert domains.find("X.example.org") == 3
    assert domains.find("xn--bcher-kva.example") == 4
    assert domains.find("BÜCHER.example") == 4
    assert domains.find("example.com") is None
    assert domains.find("b.example.com.org") is None


def test_patterns_match_the_whole_name_whatever_the_case() -> None:
    domains = DomainLookup([matching(r"APN|push\.example")])
    assert domains.find("apn") == 0
    assert domains.find("PUSH.example") == 0
    assert domains.find("apn.push.example") is None
    assert domains.find("apnpush.example") is None


@pytest.mark.parametrize(
    "entries",
    [
        [matching("(")],
        [matching(r"(?=a)b")],
        [named("a..b")],
        [named("a.example"), named("A.example.")],
        [EntryConfig(routes=(), delivery=DeliveryConfig())],
        [EntryConfig(name="a", pattern="b", routes=(), delivery=DeliveryConfig())],
    ],
)
def test_bad_entries_are_refused(entries: list[EntryConfig]) -> None:
    with pytest.raises(ValueError, match=r"entry|entries|label|domain"):
        DomainLookup(entries)


def test_an_expensive_pattern_stays_linear() -> None:
    domains = DomainLookup([matching(r"(a*)*(a*)*(a*)*b")])
    assert domains.find(".".join(["a" * 62] * 4)) is None


def test_what_senders_ask_for_does_not_pile_up() -> None:
    domains = DomainLookup([named("a.example")])
    for number in range(CACHE_SIZE + 10):
        assert domains.find(f"x{number}.example") is None
    assert domains._find_cached.cache_info().currsize == CACHE_SIZE
    assert domains.find("a.example") == 0


@settings(deadline=None)  # shared machines stall
@given(st.text(max_size=40) | st.text("aüß_-.\u3002\uff21xN\u200d\u0644", max_size=20))
def test_canonical_domains_are_ascii_stable_and_never_raise_else(domain: str) -> None:
    try:
        name = canonical_domain(domain)
    except ValueError:
        return
    assert name.isascii()
    assert name == name.lower()
    assert canonical_domain(name) == name
