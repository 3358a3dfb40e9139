from __future__ import annotations

import json

from tests.importer.samples import MANUAL, imported
from tubepost_importer.printer import as_document, as_text, summary


def test_a_source_line_stands_beside_its_fields() -> None:
    text = as_text(imported(MANUAL).report)
    assert (
        "= e.conf:17: delivery_response_timeout = 1000\n"
        "      PushDomain/push spec.domains[0].delivery.responseTimeout: 1s\n"
    ) in text
    assert '- e.conf:10: tls = "required"\n      (connections to APNs always have TLS)\n' in text
    assert "! e.conf:12: tls_verify" in text
    assert "kubectl create secret tls apns-certificate --cert=/path/to/cert --key=/path/to/key" in text


def test_an_error_has_a_caret() -> None:
    report = imported("a = 1\n  b c\n").report
    assert "e.conf:2:3: '=' or '{' is expected" in as_text(report)
    assert "      b c\n      ^" in as_text(report)
    assert "x e.conf:2: b c" in as_text(report)
    assert summary(report).endswith("1 not read. Errors: 1.")


def test_json_has_the_same() -> None:
    report = imported(MANUAL + "x y\n").report
    document = json.loads(json.dumps(as_document(report)))
    assert len(document["lines"]) == len(report.lines) == sum(document["summary"].values())
    assert document["errors"][0]["line"] == 32
    assert document["secrets"][0]["keys"] == {"tls.crt": "/path/to/cert", "tls.key": "/path/to/key"}
    (timeout,) = [one for one in document["lines"] if one["source"].startswith("delivery_response_timeout")]
    assert timeout["fields"] == [
        {
            "kind": "PushDomain",
            "name": "push",
            "field": "spec.domains[0].delivery.responseTimeout",
            "value": "1s",
        }
    ]


def test_a_terminal_is_told_nothing() -> None:
    text = as_text(imported('a = "\x1b[31m"\nb \x07\n').report)
    assert "\x1b" not in text
    assert "\x07" not in text
