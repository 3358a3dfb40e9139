"""Configurations of Momentum, from bytes to manifests and a report.

Every line that holds more than a comment is in the report, with a reason where it is not converted; there is
a fault for what cannot be read, at a place of the text, and then no manifests; the manifests are YAML of our
kinds that compile; no line of the report or of the manifests holds a character that a terminal obeys.
"""

from __future__ import annotations

import yaml

from tests.fuzz.target import Target
from tests.importer.samples import APN, LISTENER, MANUAL
from tubepost_api.compile import compile_manifests, push_domain_names
from tubepost_api.problems import Manifest
from tubepost_importer.convert import Wishes, import_configuration
from tubepost_importer.files import InMemory
from tubepost_importer.printer import as_text
from tubepost_importer.report import Report, Verdict

_INCLUDED = b'domain "included.example" { delivery_method = "apn" }\n'


def run(data: bytes) -> None:
    """Byte 0: whether there is a queue. Then the text of the file, which may include `other.conf`."""
    files = InMemory({"e.conf": data[1:], "other.conf": _INCLUDED})
    imported = import_configuration("e.conf", files, Wishes(queued=data[:1] >= b"\x80"))
    text = as_text(imported.report)
    assert all(c.isprintable() or c in "\n\t" for c in text + imported.manifests)
    _check_report(imported.report, data[1:].count(b"\n") + 1)
    if imported.manifests:
        assert not imported.report.faults
        _check_manifests(imported.manifests)


def _check_report(report: Report, lines: int) -> None:
    for line in report.lines:
        assert line.verdict is Verdict.CONVERTED or any(line.notes), line
        assert 1 <= line.first <= line.last <= lines, line
    if report.count(Verdict.NOT_READ):
        assert report.faults
    for fault in report.faults:
        assert fault.place.line <= lines
        assert fault.remedy


def _check_manifests(text: str) -> None:
    documents = [document for document in yaml.safe_load_all(text) if document]
    manifests = [Manifest("e", index, document) for index, document in enumerate(documents)]
    names = push_domain_names(manifests)
    assert names
    for name in names:
        result = compile_manifests(manifests, push_domain=name)
        assert result.config is not None, result.problems


TARGET = Target(
    run,
    2_048,
    (
        b"\0" + MANUAL.encode(),
        b"\xff"
        + f'{LISTENER}include "other.conf"\nretry_interval = 60\ndomain "/a|b$/" {{ {APN} }}'.encode(),
        b'\0esmtp_listener { peer "10.0.0.0/8" { mcmt_reception = allow } listen ":2526" { tls_key = "/k" } }\n'
        + f'binding "default" {{ domain a.example {{ {APN} idle_timeout = 100 }} }}'.encode(),
        b'\0apn_logger "x" { delivery_format = "%t@D" logfile = "jlog://x" } a = [ b = ( 1 2 ) ] /* c */ what is "this',
        b"\0" + f"{APN} blackhole = inline outbound_throttle_messages = 1/60 {LISTENER}".encode(),
    ),
    (
        b'domain "',
        b"/^a$/ {",
        b"esmtp_listener {",
        b'listen ":25" {',
        b"peer ",
        b'binding "default" {',
        b"binding_group ",
        b"pathway",
        b"include ",
        b'"other.conf"',
        b"delivery_method = apn",
        b"mcmt_reception = allow",
        b"routes = (",
        b"apn://gateway.push.apple.com?port=2195",
        b"tls_certificate = ",
        b"tls_ciphers = ",
        b"relay_hosts = (",
        b"enable_authentication = true",
        b"apn_logger ",
        b"delivery_format = ",
        b"%vctx_mess{x}",
        b"max_message_size = ",
        b"idle_timeout = ",
        b"/*",
        b"*/",
        b"#",
        b"...",
        b"\\",
        b"\xe2\x80\xa8",
        b"\xff",
    ),
)
