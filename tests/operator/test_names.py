from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tubepost_operator.names import Names


def test_the_order_of_secrets_does_not_count() -> None:
    assert Names.config_map("a", ["x", "y"]) == Names.config_map("a", ["y", "x"])
    assert Names.config_map("a", ["x", "y"]) != Names.config_map("a", ["x"])
    assert Names.config_map("a", []) != Names.config_map("a", ["x"])


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789.-", min_size=1, max_size=253))
def test_volumes_have_names_that_volumes_may_have(secret: str) -> None:
    name = Names.secret_volume(secret)
    assert len(name) <= 63
    assert name.replace("-", "").isalnum()


def test_selectors_are_part_of_the_labels() -> None:
    labels = Names.labels("alerts")
    assert Names.pod_selector("alerts").items() <= labels.items()
    for part in Names.CHILD_SELECTOR.split(","):
        key, _, value = part.partition("=")
        assert labels[key] == value
