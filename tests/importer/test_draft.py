from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.importer.samples import MANUAL, imported
from tubepost_importer.draft import Draft, comment, dotted, plain
from tubepost_importer.report import Account

scalars = (
    st.text(max_size=12) | st.integers(0, 10**9) | st.booleans() | st.lists(st.text(max_size=5), max_size=3)
)
paths = st.lists(st.sampled_from(("a", "b", "c d", "1")), min_size=1, max_size=3).map(tuple)


@given(scalars)
def test_a_value_is_written_as_yaml_reads_it(value: Any) -> None:
    assert yaml.safe_load(plain(value)) == value


@given(st.dictionaries(paths, scalars, max_size=6), st.text(max_size=20))
def test_what_is_drawn_up_is_what_yaml_reads(fields: dict[tuple[str, ...], Any], heading: str) -> None:
    draft = Draft(Account(), "ns")
    taken: set[tuple[str, ...]] = set()
    for path, value in fields.items():
        if any(path[: len(one)] == one or one[: len(path)] == path for one in taken):
            continue
        taken.add(path)
        key = tuple("k" + step.replace(" ", "") for step in path)
        draft.set("ApnRoute", "x", key, value, None, note=heading)
    documents = [one for one in yaml.safe_load_all(draft.yaml(heading)) if one]
    assert documents == [d for d in draft.documents() if taken]


def test_every_field_has_its_line_beside_it() -> None:
    text = imported(MANUAL).manifests
    assert '    - name: apn_example.com  # e.conf:6: domain "apn_example.com"\n' in text
    assert "        maxOutboundConnections: 20  # e.conf:16: max_outbound_connections = 20\n" in text
    assert "kubectl create secret tls apns-certificate --cert=/path/to/cert --key=/path/to/key" in text


@pytest.mark.parametrize("text", ["a\nkind: Secret", "a\rb", "a\u2028b", "x" * 500])
def test_a_comment_stays_on_its_line(text: str) -> None:
    assert yaml.safe_load(f"a: 1 # {comment(text)}") == {"a": 1}
    assert len(comment(text)) <= 100


def test_paths_are_written_as_problems_write_them() -> None:
    assert dotted(("domains", 0, "name")) == "spec.domains[0].name"
