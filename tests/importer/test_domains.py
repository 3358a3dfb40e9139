from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tubepost_importer.domains import Unusable, compiled, domain_name, domain_pattern


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("müller.example", "xn--mller-kva.example"),
    ],
)
def test_names(written: str, name: str) -> None:
    assert domain_name(written) == name


@pytest.mark.parametrize(
    "written", ["192.0.43.10", "[IPv6:fd82::1]", "fd82::1", "a b", "-a", "", "*.example.com"]
)
def test_what_is_no_name(written: str) -> None:
    with pytest.raises(Unusable):
        domain_name(written)


@pytest.mark.parametrize(
    ("written", "pattern"),
    [
        (r"/^(aol|yahoo).com$/", "(aol|yahoo).com"),
        (r"/(?:^|[.])example[.](?:com|co[.]uk)$/", ".*(?:^|[.])example[.](?:com|co[.]uk)"),
        (r"/^a$|^b$/", ".*(?:^a$|^b$).*"),
        (r"/mail/", ".*mail.*"),
        (r"/Mail/", "(?i).*Mail.*"),
        (r"/^x\$/", r"x\$.*"),
        (r"/^\D+$/", r"\D+"),
    ],
)
def test_patterns(written: str, pattern: str) -> None:
    assert domain_pattern(written) == pattern


@pytest.mark.parametrize("written", [r"/(?=a)/", r"/(a)\1/", "/(/", "//", "/" + "a" * 300 + "/", "/a b/"])
def test_what_is_no_pattern(written: str) -> None:
    with pytest.raises(Unusable):
        domain_pattern(written)


pieces = st.sampled_from(
    ("a", "b", ".", "[.]", r"\.", "^", "$", "|", "(a|b)", "(?:^|[.])", "b+", "[ab]", "a*")
)


@given(st.lists(pieces, min_size=1, max_size=6).map("".join), st.text(alphabet="ab.", min_size=1, max_size=5))
def test_a_pattern_matches_the_domains_that_were_found(body: str, domain: str) -> None:
    try:
        pattern = domain_pattern(f"/{body}/")
        wanted = re.search(body, domain) is not None
    except (Unusable, re.error):
        assume(False)
        raise
    assert (compiled(pattern).fullmatch(domain) is not None) == wanted, pattern
