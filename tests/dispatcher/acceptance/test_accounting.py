from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import notification
from tubepost_dispatcher.acceptance.accounting import Accounting
from tubepost_dispatcher.intake.receive import Mail, Push
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.transaction import Recipient

TO = Recipient("s@apn_example.com", "apn_example.com", None)

YES = Reply(250, "2.0.0", "Delivered")


@pytest.mark.parametrize(
    ("reply", "abandoned", "result"),
    [
        (YES, False, "accepted"),
        (refusal("Suspended"), False, "deferred"),
        (refusal("NoPushPart"), False, "rejected"),
        (YES, True, "abandoned"),
    ],
)
def test_each_message_is_counted_in_and_out(reply: Reply, abandoned: bool, result: str) -> None:
    metrics = Metrics()
    accounting = Accounting(metrics)
    accounting.opened()
    assert (accounting.open, metrics.registry.get_sample_value("tubepost_in_flight")) == (1, 1)
    accounting.closed("push", reply, abandoned=abandoned)
    assert (accounting.open, metrics.registry.get_sample_value("tubepost_in_flight")) == (0, 0)
    labels = {"kind": "push", "result": result}
    assert metrics.registry.get_sample_value("tubepost_messages_total", labels) == 1


def test_warnings_are_counted_and_logged_with_the_message_id(caplog: pytest.LogCaptureFixture) -> None:
    metrics = Metrics()
    odd = PushPart(b"ab", b"{}", warnings=("unusual-token-length",))
    push = Push([notification(push=odd), notification()], [TO], None, ("message/vnd.msys.smpp",))
    with caplog.at_level("INFO"):
        Accounting(metrics).noted("m1", push)
    labels = {"warning": "unusual-token-length"}
    assert metrics.registry.get_sample_value("tubepost_push_part_warnings_total", labels) == 1
    assert metrics.registry.get_sample_value("tubepost_push_parts_total") == 2
    assert "message m1: push part read with warnings: unusual-token-length" in caplog.text
    assert "message m1: parts of other channels ignored: message/vnd.msys.smpp" in caplog.text


def test_a_part_counts_once_for_all_of_its_recipients() -> None:
    metrics = Metrics()
    odd = PushPart(b"ab", b"{}", warnings=("unusual-token-length",))
    push = Push([notification(push=odd) for _ in range(3)], [TO] * 3, None, ())
    Accounting(metrics).noted("m1", push)
    assert metrics.registry.get_sample_value("tubepost_push_parts_total") == 1


def test_dropped_parts_leave_a_bounded_line_and_are_counted_by_channel(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    accounting = Accounting(metrics)
    types = ("message/vnd.msys.smpp", "multipart/vnd.msys.mm7", *[f"x/{n}" + "y" * 500 for n in range(900)])
    with caplog.at_level("INFO"):
        accounting.noted("m1", Push([notification()], [TO], None, types))
        accounting.noted_mail("m2", Mail(b"", types[:1], ("boundary-rfc2231",)))
        accounting.email_dropped("m3")
    value = metrics.registry.get_sample_value
    counted = {
        channel: value("tubepost_dropped_parts_total", {"channel": channel})
        for channel in ("sms", "mms", "email", "other")
    }
    assert counted == {"sms": 2, "mms": 1, "email": 1, "other": 900}
    assert value("tubepost_push_part_warnings_total", {"warning": "boundary-rfc2231"}) == 1
    assert "and 897 more" in caplog.text
    assert max(len(line) for line in caplog.text.splitlines()) < 1_000
    for message in ("m1", "m2", "m3"):
        assert f"message {message}: " in caplog.text
