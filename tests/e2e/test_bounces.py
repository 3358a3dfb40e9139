"""Reports reach their senders through a real Postfix, and a parser written by others understands them.

`TUBEPOST_BOUNCES` makes the run with kills larger.
"""

from __future__ import annotations

import collections
import json
import os
import smtplib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks.processes import free_port
from tests.e2e.app import Dispatcher, tubepost, wait_until
from tests.e2e.queue_site import QueueSite, kill_all
from tests.peers.postfix import REFUSED, Postfix, read_report
from tests.peers.servers import GoPeer
from tests.support.mcmt import message, part

pytestmark = [pytest.mark.peer, pytest.mark.xdist_group("queue"), pytest.mark.timeout(300)]

TOKEN = "c0ffee" * 11
MANY = int(os.environ.get("TUBEPOST_BOUNCES", "120"))


def mcmt(identity: str = "1", headers: Sequence[bytes] = ()) -> bytes:
    payload = json.dumps({"aps": {"alert": "SECRET-ALERT"}, "id": identity}).encode()
    own = [b"To: x@apn_example.com", b"Subject: push", f"Message-ID: <{identity}@sender.example>".encode()]
    return message(part(payload, token=TOKEN.encode()), headers=[*own, *headers])


def send(
    port: int,
    content: bytes | None = None,
    sender: str = "app@sender.example",
    mail_options: Sequence[str] = (),
    rcpt_options: Sequence[str] = (),
) -> tuple[int, str]:
    """One message; the reply to DATA."""
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.ehlo()
        assert client.mail(sender, mail_options)[0] == 250
        assert client.rcpt("user@apn_example.com", rcpt_options)[0] == 250
        code, text = client.data(content or mcmt())
        return code, text.decode()


@pytest.fixture
def site(tmp_path: Path) -> QueueSite:
    made = QueueSite(tmp_path)
    made.spec["bounces"] = {"relay": {"host": "127.0.0.1", "port": free_port(), "timeout": "5s"}}
    return made


def relay_port(site: QueueSite) -> int:
    return int(site.spec["bounces"]["relay"]["port"])


@pytest.fixture
def peer(site: QueueSite) -> Iterator[GoPeer]:
    with site.peer() as peer:
        yield peer


@pytest.fixture
def postfix(site: QueueSite) -> Iterator[Postfix]:
    with Postfix(port=relay_port(site)) as postfix:
        yield postfix


def dead(peer: GoPeer, count: int = 1) -> None:
    peer.get("/answer", {"status": 410, "reason": "Unregistered", "count": count})


def bounces(dispatcher: Dispatcher, kind: str, result: str) -> float:
    name = f'tubepost_bounces_total{{kind="{kind}",result="{result}"}}'
    return dispatcher.metrics().get(name, 0.0)


def test_a_bounce_goes_through_postfix_and_is_understood(
    site: QueueSite, peer: GoPeer, postfix: Postfix
) -> None:
    with site.dispatcher() as dispatcher:
        dead(peer)
        code, text = send(
            dispatcher.port,
            mail_options=["RET=FULL", "ENVID=row+2042"],
            rcpt_options=["NOTIFY=FAILURE", "ORCPT=rfc822;device+2B7@sender.example"],
        )
        assert (code, text.startswith("2.0.0 Queued as ")) == (250, True)
        message_id = text.split()[3]
        (mail,) = postfix.mails_when(1)
        wait_until(lambda: bounces(dispatcher, "bounce", "sent") == 1)
        traced = tubepost(
            "queue", "trace", message_id, "--admin", f"http://127.0.0.1:{dispatcher.found['admin']}"
        )
    assert "bounce to app@sender.example: the relay took it" in traced.stdout
    assert mail["Return-Path"] == "<>"
    assert "from=<>" in postfix.log()
    content = mail.as_bytes()
    assert TOKEN.encode() not in content
    assert b"SECRET-ALERT" not in content
    report = read_report(content)
    assert report["Errors"] == []
    assert report["Failed"] == [True]
    (about,), (recipient,) = report["Message"], report["Recipients"]
    assert about["Original-Envelope-Id"] == ["row 42"]
    assert about["X-Tubepost-Message-Id"] == [message_id]
    assert recipient["Original-Recipient"] == ["rfc822; device+7@sender.example"]
    assert recipient["Final-Recipient"] == ["rfc822; user@apn_example.com"]
    assert recipient["Status"] == ["5.1.6"]
    assert recipient["Diagnostic-Code"] == ["X-APNs; 410 Unregistered"]
    assert recipient["Remote-Mta"] == ["dns; localhost"]
    assert "APNs (localhost) answered: 410 Unregistered" in report["Explanation"]
    assert report["ThirdType"] == "text/rfc822-headers"
    assert "Message-ID: <1@sender.example>" in report["Third"]


def test_success_and_delay_where_they_are_wanted(site: QueueSite, peer: GoPeer, postfix: Postfix) -> None:
    site.spec["bounces"] |= {"delayNotices": True, "delayAfter": "1s"}
    with site.dispatcher() as dispatcher:
        send(dispatcher.port, rcpt_options=["NOTIFY=SUCCESS"])
        (success,) = postfix.mails_when(1)
        peer.get("/answer", {"status": 503, "reason": "ServiceUnavailable", "count": 1})
        send(dispatcher.port)
        *_, delay = postfix.mails_when(2, timeout=60.0)
        wait_until(lambda: bounces(dispatcher, "delay", "sent") == 1)
    told = read_report(success.as_bytes())
    assert told["Recipients"][0]["Action"] == ["relayed"]
    assert told["Errors"] == []
    told = read_report(delay.as_bytes())
    assert told["Errors"] == []
    (recipient,) = told["Recipients"]
    assert recipient["Action"] == ["delayed"]
    assert recipient["Status"] == ["4.3.2"]
    assert recipient["Diagnostic-Code"] == ["X-APNs; 503 ServiceUnavailable"]
    assert recipient["Will-Retry-Until"]


def test_nothing_answers_a_bounce_an_automatic_reply_or_a_report_for_nobody(
    site: QueueSite, peer: GoPeer, postfix: Postfix
) -> None:
    with site.dispatcher() as dispatcher:
        dead(peer, 4)
        send(dispatcher.port, sender="")
        send(dispatcher.port, mcmt(headers=[b"Auto-Submitted: auto-replied"]))
        send(dispatcher.port, rcpt_options=["NOTIFY=NEVER"])
        # The bounce of a bounce: what the relay sends back has the null sender, and is no push.
        code, _ = send(dispatcher.port, b"Subject: Undelivered\r\n\r\nx\r\n", sender="")
        assert code >= 500
        send(dispatcher.port, mcmt("last"))
        (mail,) = postfix.mails_when(1)
        wait_until(
            lambda: sum(one for name, one in dispatcher.metrics().items() if "queue_ended" in name) == 4
        )
        assert len(postfix.mails()) == 1
    assert b"<last@sender.example>" in mail.as_bytes()


def test_a_relay_that_is_down_gets_them_when_it_is_back(site: QueueSite, peer: GoPeer) -> None:
    with site.dispatcher() as dispatcher:
        dead(peer, 20)
        for number in range(20):
            assert send(dispatcher.port, mcmt(str(number)))[0] == 250
        wait_until(lambda: bounces(dispatcher, "bounce", "deferred") >= 2)
        assert "relay for bounces: Relay cannot be reached" in dispatcher.output()
        listed = tubepost("queue", "list", "--admin", f"http://127.0.0.1:{dispatcher.found['admin']}")
        assert listed.stdout.count(" bounce ") == 20
        with Postfix(port=relay_port(site)) as postfix:
            mails = postfix.mails_when(20, timeout=120.0)
            wait_until(lambda: bounces(dispatcher, "bounce", "sent") == 20)
        assert "relay for bounces: it takes mail again" in dispatcher.output()
    assert len({mail["Message-ID"] for mail in mails}) == 20


def test_a_relay_that_refuses_them_ends_them(site: QueueSite, peer: GoPeer, postfix: Postfix) -> None:
    with site.dispatcher() as dispatcher:
        dead(peer)
        send(dispatcher.port, sender=REFUSED)
        wait_until(lambda: bounces(dispatcher, "bounce", "rejected") == 1)
        assert f"the bounce to {REFUSED} is given up (RelayRejected): 554 5.7.1" in dispatcher.output()
        wait_until(lambda: sum(v for n, v in dispatcher.metrics().items() if "queue_entries" in n) == 0)
    assert postfix.mails() == []


def test_direct_reports_by_mail_before_the_250(site: QueueSite, peer: GoPeer) -> None:
    site.spec |= {"acceptance": {"mode": "Direct"}}
    del site.spec["queue"]
    site.spec["bounces"]["direct"] = "Mail"
    with site.dispatcher() as dispatcher:
        dead(peer, 2)
        code, text = send(dispatcher.port)
        assert (code, "Unregistered" in text) == (550, True)  # there is no relay yet
        with Postfix(port=relay_port(site)) as postfix:
            wait_until(lambda: bounces(dispatcher, "bounce", "rejected") == 1)
            code, text = wait_until(lambda: (said := send(dispatcher.port))[0] == 250 and said, 60.0)
            (mail,) = postfix.mails_when(1)
    assert text.startswith("2.0.0 Not delivered (Unregistered), reported by mail")
    assert read_report(mail.as_bytes())["Failed"] == [True]


def test_kill_9_leaves_nobody_without_a_report(site: QueueSite, peer: GoPeer, postfix: Postfix) -> None:
    accepted: list[str] = []
    dead(peer, MANY * 4)
    dispatcher = site.dispatcher().__enter__()
    try:
        for kill in range(3):
            for number in range(MANY // 3):
                identity = f"{kill}-{number}"
                if send(dispatcher.port, mcmt(identity))[0] == 250:
                    accepted.append(identity)
            kill_all(dispatcher)
            dispatcher = site.dispatcher().__enter__()
        wait_until(
            lambda: sum(v for n, v in dispatcher.metrics().items() if "queue_entries" in n) == 0, 120.0
        )
        assert dispatcher.stop() == 0
    finally:
        dispatcher.__exit__()
    told: collections.Counter[str] = collections.Counter()
    deadline = time.monotonic() + 60.0
    while True:
        mails = postfix.mails()
        told = collections.Counter(str(mail["In-Reply-To"]) for mail in mails)
        if len(told) == len(accepted) or time.monotonic() > deadline:
            break
        time.sleep(0.2)  # nothing announces a file in a Maildir
    missing = {f"<{identity}@sender.example>" for identity in accepted} - told.keys()
    assert not missing, f"{len(missing)} of {len(accepted)} have no report"
    print(f"{len(accepted)} accepted, {sum(told.values())} reports, 3 kills")  # noqa: T201 - the figures
    assert max(told.values()) <= 3
