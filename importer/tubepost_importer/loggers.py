"""ApnLoggers, from `apn_logger` scopes."""

from __future__ import annotations

import re
from typing import Final

from tubepost_api.logformat import FormatError, parse_format
from tubepost_importer.delivery import NotConverted, boolean, duration, number, text_of
from tubepost_importer.draft import Draft
from tubepost_importer.needed import slug
from tubepost_importer.report import Account
from tubepost_importer.scopes import Node
from tubepost_importer.syntax import Option

KIND: Final = "ApnLogger"
DIRECTORY: Final = "/var/log/tubepost"
_FLAGS = {"log_delivery": "logDelivery", "log_permfail": "logPermfail", "log_tempfail": "logTempfail"}
_FORMATS = {
    "delivery_format": "delivery",
    "permfail_format": "permfail",
    "permanent_failure_format": "permfail",
    "tempfail_format": "tempfail",
    "transient_failure_format": "tempfail",
    "heartbeat_format": "heartbeat",
}
_NONE = {
    "concurrency": "nothing waits for a log",
    "thread_pool": "nothing waits for a log",
    "pool_name": "nothing waits for a log",
    "namespace": "a PushDomain names its loggers",
    "debug_level": "the level of the dispatcher's own log is PushDomain spec.logLevel",
    "enabled": "true is the default",
}


def loggers(root: Node, draft: Draft, account: Account) -> tuple[str, ...]:
    """Make an ApnLogger of each enabled `apn_logger`; returns their names."""
    names: list[str] = []
    for node in root.of_kind("apn_logger"):
        if not enabled(node, account):
            for stanza in node.stanzas:
                account.all_of(stanza, "enabled = false")
            continue
        name, count = slug(node.name, "apn-logger") or "apn-logger", 2
        while name in names:
            name, count = f"{slug(node.name, 'apn-logger')}-{count}", count + 1
        names.append(name)
        for stanza in node.stanzas:
            draft.set(KIND, name, ("sink", "type"), "Stdout", stanza)
        for option in node.options.values():
            try:
                _option(option, name, draft, account)
            except NotConverted as error:
                account.by_hand(option, error.why)
    return tuple(names)


def enabled(node: Node, account: Account) -> bool:
    """Whether a module is on; says so of what is neither true nor false."""
    option = node.options.get("enabled")
    if option is None:
        return True
    try:
        return boolean(option)
    except NotConverted as error:
        account.by_hand(option, error.why)
        return True


def _option(option: Option, name: str, draft: Draft, account: Account) -> None:
    if option.name in _NONE:
        account.none(option, _NONE[option.name])
    elif option.name == "heartbeat":
        draft.set(KIND, name, ("heartbeat",), duration(number(option)), option)
    elif option.name in _FLAGS:
        draft.set(KIND, name, (_FLAGS[option.name],), boolean(option), option)
    elif option.name in _FORMATS:
        text = text_of(option)
        try:
            parse_format(text)
        except FormatError as error:
            raise NotConverted(f"{error} (character {error.position + 1}): the default is used") from error
        if not text or len(text) > 1_024:
            raise NotConverted("a format has 1 to 1024 characters: the default is used")
        draft.set(KIND, name, ("formats", _FORMATS[option.name]), text, option)
        draft.set(KIND, name, ("compatibility",), "Momentum", option, note="macros and escapes as there")
    elif option.name == "logfile":
        _file(option, name, account)
    elif option.name == "logmode":
        account.by_hand(option, _mode(option))
    else:
        raise NotConverted("no option of an ApnLogger is known for it")


def _file(option: Option, name: str, account: Account) -> None:
    path = text_of(option)
    if "://" in path:
        account.by_hand(
            option,
            f"not a file: ApnLogger {name} writes to standard output; for other readers see sink.webhook",
        )
        return
    base = path.rsplit("/", 1)[-1] or "apn.log"
    account.by_hand(
        option,
        f"ApnLogger {name} writes to standard output, where a cluster looks for logs; for a file set "
        f"sink.type: File and sink.file.path: {DIRECTORY}/{base}",
    )


def _mode(option: Option) -> str:
    text = text_of(option)
    if not re.fullmatch("0?[0-7]{3}", text):
        raise NotConverted(f"{text!r:.20} is not the mode of a file")
    return f'of the file, where you set one: sink.file.mode: "{text}"'
