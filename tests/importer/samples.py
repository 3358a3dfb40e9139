"""Configurations that tests import."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from tubepost_importer.convert import Imported, Wishes, import_configuration
from tubepost_importer.files import InMemory
from tubepost_importer.report import Line

MANUAL = """\
esmtp_listener {
  listen ":25"{
    mcmt_reception = "allow"
  }
}
domain "apn_example.com" {
  # TLS
  # Currently the "tls" option is ignored by APN
  # but explicitly configure it anyway
  tls = "required"
  # Set other TLS options
  tls_verify = "no"
  tls_certificate = "/path/to/cert"
  tls_key = "/path/to/key"
  tls_ciphers = "DEFAULT"
  max_outbound_connections = 20
  delivery_response_timeout = 1000
  delivery_method = "apn"
  routes = ("apn://gateway.push.apple.com?port=2195")
  # set any other options here
  ...
}

# The APN server
apn {}
# optional apn_logger module
apn_logger "apn_logger1" {
  logmode = 0644
  logfile = "/var/log/ecelerity/apnlog.ec"
  heartbeat = 60
}
"""
"""Example 3.1 of Momentum's manual, "Configuring for APNs"."""

APN = 'delivery_method = "apn" routes = ("apn://gateway.push.apple.com?port=2195") tls_certificate = "/c.pem"'
LISTENER = 'esmtp_listener { listen ":25" { mcmt_reception = "allow" } }\n'


def imported(text: str, wishes: Wishes | None = None, **others: str) -> Imported:
    """Import a text, with other files by name (`_` for a dot)."""
    files = {name.replace("_", "."): body.encode() for name, body in others.items()}
    return import_configuration("e.conf", InMemory({"e.conf": text.encode(), **files}), wishes)


def objects(result: Imported) -> Mapping[str, Any]:
    """The specs of the manifests, by KIND/NAME."""
    documents = [d for d in yaml.safe_load_all(result.manifests) if d]
    return {f"{d['kind']}/{d['metadata']['name']}": d["spec"] for d in documents}


def spec(text: str, wishes: Wishes | None = None, **others: str) -> dict[str, Any]:
    """The PushDomain's spec that a text becomes."""
    result = imported(text, wishes, **others)
    assert result.report.problems == ()
    found: dict[str, Any] = objects(result)["PushDomain/push"]
    return found


def line(result: Imported, begins: str) -> Line:
    """The one line of the report that begins with a text."""
    (found,) = [one for one in result.report.lines if one.source.startswith(begins)]
    return found
