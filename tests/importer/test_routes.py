from __future__ import annotations

import pytest

from tests.importer.samples import LISTENER, imported, line, objects
from tubepost_importer.report import Verdict


def domain(body: str, name: str = "a.example") -> str:
    return f'domain "{name}" {{\ndelivery_method = "apn"\n{body}\n}}\n'


@pytest.mark.parametrize(
    ("route", "field", "value"),
    [
        ("apn://gateway.push.apple.com?port=2195", "environment", "Production"),
        ("http://gateway.push.apple.com?port=2195", "environment", "Production"),
        ("apn://gateway.sandbox.push.apple.com?port=2195", "environment", "Sandbox"),
        ("gateway.push.apple.com", "environment", "Production"),
        ("apn://GATEWAY.push.apple.com?port=2195&pref=10", "environment", "Production"),
        ("apn://apns.corp.example?port=8443", "endpoint", "https://apns.corp.example:8443"),
        ("http://[fd00::1]:8443", "endpoint", "https://[fd00::1]:8443"),
        ("apn://:x", "environment", "Production"),
    ],
)
def test_where_a_route_leads(route: str, field: str, value: str) -> None:
    result = imported(LISTENER + domain(f'routes = ( "{route}" )\ntls_certificate = "/c.pem"'))
    assert result.report.problems == ()
    (made,) = [spec for name, spec in objects(result).items() if name.startswith("ApnRoute/")]
    assert made[field] == value
    wanted = Verdict.CONVERTED if "gateway" in route.lower() else Verdict.BY_HAND
    assert line(result, "routes").verdict is wanted


def test_a_later_route_of_another_environment_is_left_out_and_told() -> None:
    routes = '"apn://gateway.push.apple.com?port=2195" "apn://gateway.sandbox.push.apple.com?port=2195"'
    result = imported(LISTENER + domain(f'routes = ( {routes} )\ntls_certificate = "/c.pem"'))
    assert objects(result)["PushDomain/push"]["routes"] == ["apns"]
    assert "Sandbox is left out" in "".join(line(result, "routes").notes)


def test_domains_with_one_way_share_a_route_and_others_have_their_own() -> None:
    way = 'routes = ( "apn://gateway.push.apple.com?port=2195" )\n'
    result = imported(
        LISTENER
        + way
        + domain('tls_certificate = "/one.pem"')
        + domain('tls_certificate = "/one.pem"', "b.example")
        + domain('tls_certificate = "/two.pem"\ntls_key = "/two.key"', "c.example")
    )
    made = objects(result)
    assert [d["routes"] for d in made["PushDomain/push"]["domains"]] == [["apns"], ["apns"], ["apns-two"]]
    assert made["ApnRoute/apns-two"]["certificate"] == {"secretName": "apns-certificate-two"}
    assert [dict(s.keys)["tls.key"] for s in result.report.secrets] == ["/one.pem", "/two.key"]


@pytest.mark.parametrize(
    ("option", "expected", "verdict"),
    [
        ('tls_ciphers = "DEFAULT:!LOW"', {"ciphers": "DEFAULT:!LOW"}, Verdict.CONVERTED),
        ('tls_ciphers = "NORMAL"', None, Verdict.BY_HAND),
        ('tls_ciphers = "DEFAULT\0"', None, Verdict.BY_HAND),
        ('tls_verify = "host"', {"verify": True}, Verdict.CONVERTED),
        ('tls_verify = "ca"', {"verify": True}, Verdict.CONVERTED),
        ('tls_verify = "no"', None, Verdict.BY_HAND),
        ('tls_ca = "/ca.pem"', {"ca": {"secretName": "apns-ca"}}, Verdict.CONVERTED),
        ('tls_protocols = "+ALL:-SSLv3"', None, Verdict.NO_COUNTERPART),
        ("tls = required", None, Verdict.NO_COUNTERPART),
    ],
)
def test_tls(option: str, expected: object, verdict: Verdict) -> None:
    body = f'routes = ( "apn://gateway.push.apple.com?port=2195" )\ntls_certificate = "/c.pem"\n{option}'
    result = imported(LISTENER + domain(body))
    assert objects(result)["ApnRoute/apns"].get("tls") == expected
    assert line(result, option).verdict is verdict


def test_what_a_domain_lacks_is_told_at_the_domain() -> None:
    result = imported(LISTENER + domain('tls_certificate = "none"'))
    notes = "".join(line(result, "domain").notes)
    assert "no routes: Production is assumed" in notes
    assert "no tls_certificate" in notes
    assert objects(result)["ApnRoute/apns"] == {
        "environment": "Production",
        "certificate": {"secretName": "apns-certificate"},
    }
