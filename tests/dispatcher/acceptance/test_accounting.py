from __future__ import annotations

import pytest

from tests.dispatcher.delivery.support import notification
from tubepost_dispatcher.acceptance.accounting import Accounting
from tubepost_dispatcher.intake.receive import Push
from tubepost_dispatcher.metrics import Metrics
from tubepost_dispatcher.notification import PushPart
from tubepost_dispatcher.reasons.catalogue import refusal
from tubepost_dispatcher.reply import Reply

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
    push = Push([notification(push=odd), notification()], None, ("message/vnd.msys.smpp",))
    with caplog.at_level("INFO"):
        Accounting(metrics).noted("m1", push)
    labels = {"warning": "unusual-token-length"}
    assert metrics.registry.get_sample_value("tubepost_push_part_warnings_total", labels) == 1
    assert metrics.registry.get_sample_value("tubepost_push_parts_total") == 2
    assert "message m1: push part read with warnings: unusual-token-length" in caplog.text
    assert "message m1: parts of other channels ignored: message/vnd.msys.smpp" in caplog.text
