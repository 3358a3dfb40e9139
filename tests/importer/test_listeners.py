from __future__ import annotations

from typing import Any

import pytest

from tests.importer.samples import APN, imported, line, objects
from tubepost_importer.report import Verdict

DOMAIN = f'\ndomain "a.example" {{ {APN} }}\n'


def listener(body: str, *, extra: str = "") -> dict[str, Any]:
    result = imported(f"esmtp_listener {{\n{body}\n}}\n{extra}{DOMAIN}")
    assert result.report.problems == ()
    found: dict[str, Any] = objects(result)["PushDomain/push"]
    return {"port": found.get("service", {}).get("port"), **found.get("listener", {})}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (":25", {"port": 25, "mcmtReception": "Allow"}),
        ("*:2526", {"port": 2526, "mcmtReception": "Allow"}),
        ("[*]:587", {"port": 587, "mcmtReception": "Allow"}),
        ("/tmp/2025", {"port": None, "mcmtReception": "Allow"}),
        (":9090", {"port": 9090, "mcmtReception": "Allow"}),
        (":99999", {"port": None, "mcmtReception": "Allow"}),
    ],
)
def test_addresses(address: str, expected: dict[str, Any]) -> None:
    found = listener(f'listen "{address}" {{ mcmt_reception = "allow" }}')
    assert {**found, "port": expected["port"]} == expected


def test_the_containers_port_is_the_services_where_that_needs_no_rights() -> None:
    result = imported('esmtp_listener { listen ":2526" { mcmt_reception = allow } }' + DOMAIN)
    made = objects(result)["PushDomain/push"]
    assert (made["listener"]["port"], made["service"]["port"]) == (2526, 2526)


def test_options_fall_back_from_listen_over_pathways_to_the_listener() -> None:
    found = listener(
        """mcmt_reception = "allow"
        max_message_size = 1
        max_recipients_per_message = 2
        idle_time = 600
        listener_sessions = 4
        banner_hostname = "mx.example"
        listen ":25" {
          pathway = "p"
          max_message_size = 5000000
        }""",
        extra='pathway_group "g" { max_receptions_per_connection = 9 pathway "p" { max_recipients_per_message = 7 } }\n',
    )
    assert found == {
        "port": 25,
        "mcmtReception": "Allow",
        "hostname": "mx.example",
        "limits": {
            "maxMessageSize": 5_000_000,
            "maxRecipients": 7,
            "commandTimeout": "10m",
            "maxConnections": 4,
            "maxMessagesPerSession": 9,
        },
    }


def test_starttls_and_auth() -> None:
    body = """listen ":587" {
      mcmt_reception = allow
      tls_certificate = "/etc/l.crt"
      tls_key = "/etc/l.key"
      enable_authentication = true
      authloginparameters = [ uri = "digest:///etc/passwd" ]
    }"""
    assert listener(body) == {
        "port": 587,
        "mcmtReception": "Allow",
        "startTls": {"secretName": "smtp-tls", "mode": "Optional"},
        "auth": {"secretName": "smtp-auth"},
    }


def test_passwords_in_cleartext_are_told() -> None:
    body = 'listen ":25" {\nmcmt_reception = allow\nenable_authentication = true\n}'
    assert listener(body)["auth"] == {"secretName": "smtp-auth", "requireTls": False}
    result = imported(f"esmtp_listener {{\n{body}\n}}{DOMAIN}")
    assert "cleartext" in "".join(line(result, "enable_authentication").notes)


def test_authentication_that_is_off_is_off() -> None:
    body = 'listen ":25" { mcmt_reception = allow enable_authentication = false authplainparameters = [ uri = "x" ] }'
    assert "auth" not in listener(body)


def test_relay_hosts_are_the_allowed_networks() -> None:
    body = 'listen ":25" { mcmt_reception = allow }'
    networks = 'relay_hosts = ( "10.0.0.0/8" 192.0.2.1 "fd82:7796::" "x" )\n'
    assert listener(body, extra=networks)["allowedNetworks"] == [
        "10.0.0.0/8",
        "192.0.2.1/32",
        "fd82:7796::/128",
    ]
    result = imported(f"{networks}esmtp_listener {{ {body} }}{DOMAIN}")
    assert "'x' is no IP network" in "".join(line(result, "relay_hosts").notes)


def test_peers_that_may_send_pushes_are_the_allowed_networks() -> None:
    body = """peer "10.0.0.0/8" {
      mcmt_reception = allow
    }
    listen ":25" {
      peer "192.0.2.7" { mcmt_reception = allow idle_time = 3 }
    }"""
    found = listener(body)
    assert (found["mcmtReception"], found["allowedNetworks"]) == ("Allow", ["192.0.2.7/32", "10.0.0.0/8"])
    result = imported(f"esmtp_listener {{\n{body}\n}}{DOMAIN}")
    assert line(result, "idle_time").verdict is Verdict.BY_HAND


@pytest.mark.parametrize(
    ("body", "reception"),
    [
        ('listen ":25" { mcmt_reception = reject }', "Reject"),
        ('listen ":25" { }', None),
        ('listen ":25" { mcmt_reception = passthru }', None),
    ],
)
def test_without_a_listener_of_pushes_the_first_one_is_taken(body: str, reception: str | None) -> None:
    assert listener(body).get("mcmtReception") == reception


def test_a_push_domain_for_each_port_of_pushes() -> None:
    body = """listen ":25" { mcmt_reception = allow }
    listen "10.0.0.1:25" { mcmt_reception = allow }
    listen ":587" { mcmt_reception = allow }
    listen ":26" {}
    listen ":27" { enable = false mcmt_reception = allow }"""
    result = imported(f'esmtp_listener {{\n{body}\n}}\nesmtp_listener "off" {{ enable = false }}{DOMAIN}')
    assert result.report.problems == ()
    assert {name for name in objects(result) if name.startswith("Push")} == {
        "PushDomain/push",
        "PushDomain/push-587",
    }
    assert any("--push-domain" in note for note in result.report.notes)


@pytest.mark.parametrize(
    ("option", "verdict"),
    [
        ("use_ssl = true", Verdict.BY_HAND),
        ("tls_client_ca = x", Verdict.BY_HAND),
        ("max_message_size = 0", Verdict.BY_HAND),
        ("banner_hostname = -", Verdict.BY_HAND),
        ("mystery = 1", Verdict.BY_HAND),
        ("starttls_injection_policy = reject", Verdict.NO_COUNTERPART),
        ("smtp_extensions = ( STARTTLS )", Verdict.NO_COUNTERPART),
        ("reconfig_message = x", Verdict.NO_COUNTERPART),
    ],
)
def test_what_is_not_taken_over(option: str, verdict: Verdict) -> None:
    result = imported(f'esmtp_listener {{\nlisten ":25" {{\nmcmt_reception = allow\n{option}\n}}\n}}{DOMAIN}')
    assert line(result, option.split(" ", maxsplit=1)[0]).verdict is verdict
