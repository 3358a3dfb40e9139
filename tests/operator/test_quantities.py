from __future__ import annotations

import pytest

from tubepost_operator.quantities import amount


@pytest.mark.parametrize(
    ("one", "other"),
    [("0.5", "500m"), ("1Gi", "1024Mi"), ("1k", "1000"), ("1e3", "1k"), ("2P", "2000T"), ("1u", "1000n")],
)
def test_equal_amounts_are_equal_however_they_are_written(one: str, other: str) -> None:
    assert amount(one) is not None
    assert amount(one) == amount(other)


@pytest.mark.parametrize("text", ["", "a", "1 Gi", "1_0", "1mi", "Infinity", "NaN", "10.0.0.1"])
def test_what_is_no_quantity_has_no_amount(text: str) -> None:
    assert amount(text) is None
