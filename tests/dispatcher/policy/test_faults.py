from __future__ import annotations

from typing import Any

import pytest

from tubepost_dispatcher.policy.faults import Fault, ended_how, read_fault


def test_a_fault_names_hook_and_line() -> None:
    assert (
        str(Fault("exception", "ValueError: no", 3, "apn_request_eval"))
        == "apn_request_eval, line 3: ValueError: no"
    )
    assert str(Fault("died", "gone")) == "gone"


@pytest.mark.parametrize(
    ("code", "text"),
    [(-9, "ended by SIGKILL"), (-11, "ended by SIGSEGV"), (3, "with status 3"), (-999, "with status -999")],
)
def test_how_a_process_ended(code: int, text: str) -> None:
    assert text in ended_how(code)


@pytest.mark.parametrize(
    ("facts", "kind", "line"),
    [
        ({"kind": "exception", "text": "x", "line": 3, "hook": "h"}, "exception", 3),
        ({"kind": "unheard", "text": None, "line": -1, "hook": None}, "result", 0),
        ({"kind": "exit", "text": "a\nb", "line": "7", "hook": 5}, "exit", 0),
    ],
)
def test_what_a_process_tells_is_cleaned(facts: Any, kind: str, line: int) -> None:
    fault = read_fault(facts)
    assert fault is not None
    assert (fault.kind, fault.line) == (kind, line)
    assert fault.text.isprintable()


@pytest.mark.parametrize("facts", [None, [], "x", 5])
def test_no_fault(facts: Any) -> None:
    assert read_fault(facts) is None
