"""A real Postfix on loopback as a relay: it takes mail for every domain, and keeps that of some in a Maildir.

It needs no installation, only root: its daemons give up privileges by themselves. Accounts that every Debian
has stand in for its own.
"""

from __future__ import annotations

import email
import email.policy
import grp
import json
import os
import pwd
import re
import subprocess
import tempfile
import time
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self, cast

from benchmarks.processes import free_port
from tests.peers.process import START, Process
from tests.peers.tools import require, require_root

OWNER, GROUP = "daemon", "mail"
HOSTNAME = "relay.example"
REFUSED = "refused@sender.example"
"""Nobody of this address exists: RCPT is answered 550."""

_MAIN = """\
compatibility_level = 3.6
queue_directory = {directory}/spool
data_directory = {directory}/data
daemon_directory = {daemons}
shlib_directory = {libraries}
mail_owner = {owner}
setgid_group = {group}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG LD_LIBRARY_PATH
maillog_file = {directory}/maillog
maillog_file_prefixes = {directory}
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = {hostname}
mynetworks = 127.0.0.0/8
mydestination =
command_directory = {commands}
alias_maps =
local_recipient_maps =
virtual_mailbox_domains = {domains}
virtual_mailbox_base = {directory}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ {refused} = REJECT no such user }} }}
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
scache unix - - n - 1 scache
pickup unix n - n 1 1 pickup
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
virtual unix - n n - - virtual
postlog unix-dgram n - n - 1 postlogd
"""
_QUEUES = [
    "active",
    "bounce",
    "corrupt",
    "defer",
    "deferred",
    "flush",
    "hold",
    "incoming",
    "private",
    "saved",
    "trace",
]


class Postfix(Process):
    """A Postfix; ended with the `with` block.

    Args:
        domains: whose mail goes into the mailbox.
        port: where it listens on loopback; 0: a free one.
        main: further lines of main.cf.
        master: further lines of master.cf.
    """

    def __init__(
        self, domains: Sequence[str] = ("sender.example",), port: int = 0, main: str = "", master: str = ""
    ) -> None:
        require_root()
        program = require("master")
        # Not in a directory of pytest's: no other account may enter those.
        self._scratch = tempfile.TemporaryDirectory(prefix="tubepost-postfix-")
        directory = self.directory = Path(self._scratch.name)
        self._domains = domains
        self._main, self._master = main, master
        self._listens = port or free_port()
        super().__init__([str(program), "-d", "-c", str(directory / "etc")])
        self._program = program

    def __enter__(self) -> Self:
        self._prepare()
        return super().__enter__()

    def _prepare(self) -> None:
        self.directory.chmod(0o755)
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        daemons = _daemons(self._program)
        values = {
            "directory": self.directory,
            "daemons": daemons,
            "libraries": daemons.parent,
            "commands": self.commands,
            "owner": OWNER,
            "group": GROUP,
            "hostname": HOSTNAME,
            "domains": " ".join(self._domains),
            "uid": owner.pw_uid,
            "gid": group.gr_gid,
            "refused": REFUSED,
        }
        for name in ("etc", "data", "mail", "spool"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        (self.directory / "etc" / "main.cf").write_text(_MAIN.format(**values) + self._main)
        (self.directory / "etc" / "master.cf").write_text(_MASTER.format(port=self._listens) + self._master)
        for name in ("data", "mail"):
            os.chown(self.directory / name, owner.pw_uid, group.gr_gid)
        for name in _QUEUES:
            path = self.directory / "spool" / name
            path.mkdir(mode=0o700, exist_ok=True)
            os.chown(path, owner.pw_uid, 0)
        (self.directory / "spool" / "pid").mkdir(exist_ok=True)
        for name, mode in (("public", 0o710), ("maildrop", 0o730)):
            path = self.directory / "spool" / name
            path.mkdir(exist_ok=True)
            os.chown(path, owner.pw_uid, group.gr_gid)
            path.chmod(mode)

    @property
    def commands(self) -> Path:
        """The directory of `sendmail` and its like."""
        return _daemons(self._program).parents[2] / "sbin"

    def environment(self) -> dict[str, str]:
        """What `sendmail` needs to hand mail to this Postfix."""
        libraries = re.findall(rb'LD_LIBRARY_PATH="([^"$]*)', self._program.read_bytes())
        unpacked = os.fsdecode(libraries[0]) if self._program.read_bytes()[:2] == b"#!" else ""
        return {
            "MAIL_CONFIG": str(self.directory / "etc"),
            "LD_LIBRARY_PATH": unpacked or str(_daemons(self._program).parent),
        }

    def stop(self) -> None:
        """End it, and forget its mail."""
        super().stop()
        self._scratch.cleanup()

    def ready(self) -> None:
        """Wait until it listens."""
        assert self.listening() == self._listens
        self.port = self._listens

    def mails(self) -> list[EmailMessage]:
        """What is in the mailbox, in the order in which it came."""
        found = sorted(
            (self.directory / "mail" / "box" / "new").glob("*"), key=lambda path: path.stat().st_mtime
        )
        return [
            cast("EmailMessage", email.message_from_bytes(path.read_bytes(), policy=email.policy.SMTPUTF8))
            for path in found
        ]

    def mails_when(self, count: int, timeout: float = START) -> list[EmailMessage]:
        """`mails` once there are so many.

        Raises:
            AssertionError: there were not, after so many seconds.
        """
        deadline = time.monotonic() + timeout
        while len(found := self.mails()) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} mails\n{self.log()}"
            time.sleep(0.05)  # nothing announces a file in a Maildir
        return found

    def log(self) -> str:
        """Its log."""
        path = self.directory / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""


def _daemons(master: Path) -> Path:
    """The directory of its daemons: what a wrapper of the cache starts, or where the program is."""
    if master.read_bytes()[:2] == b"#!":
        (line,) = [line for line in master.read_text().splitlines() if line.startswith("exec ")]
        return Path(line.split('"')[1]).parent
    return master.resolve().parent


def read_report(content: bytes) -> dict[str, Any]:
    """A report as the parser of enmime sees it, see `tests/peers/go/dsnreader`."""
    done = subprocess.run(
        [str(require("dsnreader"))], input=content, capture_output=True, timeout=30, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found
