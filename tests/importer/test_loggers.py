from __future__ import annotations

import pytest

from tests.importer.samples import APN, LISTENER, imported, line, objects
from tubepost_importer.report import Verdict

DOMAIN = f'{LISTENER}domain "a.example" {{ {APN} }}\n'


def test_a_logger_with_everything() -> None:
    result = imported(
        DOMAIN
        + """apn_logger "Apn_Logger 1" {
          heartbeat = 0
          log_delivery = no
          log_permfail = true
          log_tempfail = 0
          delivery_format = "%t@D@%i"
          permanent_failure_format = "%e"
          tempfail_format = "%S"
          heartbeat_format = "%t@M"
          concurrency = 1
          namespace = "apn_logger"
        }
        """
    )
    made = objects(result)
    assert made["PushDomain/push"]["loggers"] == ["apn-logger-1"]
    assert made["ApnLogger/apn-logger-1"] == {
        "sink": {"type": "Stdout"},
        "heartbeat": "0s",
        "logDelivery": False,
        "logPermfail": True,
        "logTempfail": False,
        "formats": {"delivery": "%t@D@%i", "permfail": "%e", "tempfail": "%S", "heartbeat": "%t@M"},
        "compatibility": "Momentum",
    }
    assert line(result, "concurrency").verdict is Verdict.NO_COUNTERPART


@pytest.mark.parametrize(
    ("option", "note"),
    [
        ('logfile = "/var/log/ecelerity/apnlog.ec"', "/var/log/tubepost/apnlog.ec"),
        ('logfile = "jlog:///var/log/x=>master"', "sink.webhook"),
        ("logmode = 0640", 'mode: "0640"'),
        ("logmode = 0999", "not the mode"),
        ('delivery_format = "%q"', "%q is not a macro"),
        ("heartbeat = often", "not a whole number"),
        ("log_delivery = perhaps", "neither true nor false"),
        ("surprise = 1", "no option"),
    ],
)
def test_what_needs_a_hand(option: str, note: str) -> None:
    found = line(imported(DOMAIN + f'apn_logger "x" {{\n{option}\n}}\n'), option)
    assert found.verdict is Verdict.BY_HAND
    assert note in "".join(found.notes)


def test_loggers_have_names_of_their_own_and_one_that_is_off_has_none() -> None:
    result = imported(
        DOMAIN
        + 'apn_logger "A" {}\napn_logger "a" {}\napn_logger "b" {\nenabled = false\nheartbeat = 1\n}\napn_logger {}'
    )
    assert objects(result)["PushDomain/push"]["loggers"] == ["a", "apn-logger"]
    assert line(result, "heartbeat").verdict is Verdict.NO_COUNTERPART
