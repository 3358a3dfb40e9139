"""SMTP senders that go on while the dispatcher is changed under them, and count exactly what they were told."""

from __future__ import annotations

import contextlib
import json
import smtplib
import threading
import time
from dataclasses import dataclass, field
from typing import Self

from tests.support.mcmt import mail


def message(identity: str) -> bytes:
    return mail(json.dumps({"aps": {"alert": "load"}, "id": identity}).encode())


@dataclass
class Ledger:
    """What senders were told. Every identity is sent until it is accepted or refused for good."""

    accepted: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    deferred: list[str] = field(default_factory=list)
    connections_refused: int = 0
    sessions_told_to_leave: int = 0
    """421 between two transactions: the session is over, the message was not begun."""
    unanswered: set[str] = field(default_factory=set)
    """The connection ended between the end of DATA and the reply: sent again."""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Senders:
    """`persistent` senders that keep their session, `reconnecting` ones that open one for each message.

    Together they send `rate` messages a second for `seconds`.
    """

    def __init__(self, port: int, persistent: int, reconnecting: int, rate: float, seconds: float) -> None:
        self.ledger = Ledger()
        self._port = port
        self._end = time.monotonic() + seconds
        self._interval = (persistent + reconnecting) / rate
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(f"s{number}", number < persistent), daemon=True)
            for number in range(persistent + reconnecting)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.join()

    def stop(self) -> None:
        self._stop.set()

    def join(self, timeout: float = 120.0) -> None:
        end = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.1, end - time.monotonic()))
            assert not thread.is_alive(), "a sender hangs"

    def _run(self, name: str, persistent: bool) -> None:
        smtp: smtplib.SMTP | None = None
        number, due = 0, time.monotonic()
        while time.monotonic() < self._end and not self._stop.is_set():
            identity = f"{name}-{number}"
            number += 1
            while identity is not None and not self._stop.is_set():
                if smtp is None:
                    smtp = self._connect()
                    if smtp is None:
                        self._stop.wait(0.05)
                        continue
                done, keep = self._send(smtp, identity)
                if not keep or not persistent:
                    with contextlib.suppress(smtplib.SMTPException, OSError):
                        smtp.quit() if keep else smtp.close()
                    smtp = None
                if done:
                    break
            due += self._interval
            self._stop.wait(max(0.0, due - time.monotonic()))
        if smtp is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                smtp.quit()

    def _connect(self) -> smtplib.SMTP | None:
        try:
            smtp = smtplib.SMTP("127.0.0.1", self._port, timeout=60)
            smtp.ehlo()
        except ConnectionRefusedError:
            with self.ledger.lock:
                self.ledger.connections_refused += 1
            return None
        except smtplib.SMTPResponseException as error:
            with self.ledger.lock:
                if error.smtp_code == 421:
                    self.ledger.sessions_told_to_leave += 1
                else:
                    self.ledger.connections_refused += 1
            return None
        except (smtplib.SMTPException, OSError):
            with self.ledger.lock:
                self.ledger.connections_refused += 1
            return None
        return smtp

    def _send(self, smtp: smtplib.SMTP, identity: str) -> tuple[bool, bool]:
        """Send one message: (is it settled, is the session still good)."""
        ledger = self.ledger
        in_data = False
        try:
            code, text = smtp.mail("a@b.example")
            if code == 250:
                code, text = smtp.rcpt("x@apn_example.com")
            if code == 250:
                in_data = True
                code, text = smtp.data(message(identity))
        except smtplib.SMTPServerDisconnected:
            with ledger.lock:
                if in_data:
                    ledger.unanswered.add(identity)
                else:
                    ledger.sessions_told_to_leave += 1
            return False, False
        except (smtplib.SMTPException, OSError):
            with ledger.lock:
                ledger.unanswered.add(identity)
            return False, False
        said = f"{identity}: {code} {text.decode(errors='replace')}"
        with ledger.lock:
            if code == 250:
                ledger.accepted.add(identity)
                return True, True
            if code == 421:
                ledger.sessions_told_to_leave += 1
                return False, False
            if code >= 500:
                ledger.refused.append(said)
                return True, True
            ledger.deferred.append(said)
        return False, True
