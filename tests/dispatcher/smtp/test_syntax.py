from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_dispatcher.reply import Reply
from tubepost_dispatcher.smtp.syntax import (
    FAST_MAIL,
    FAST_RCPT,
    Mail,
    Rcpt,
    parse_mail,
    parse_rcpt,
    plain_domain,
    plain_mail,
    plain_rcpt,
    xtext_decode,
    xtext_encode,
)

TOKEN = "ab" * 100


@pytest.mark.parametrize(
    ("argument", "address"),
    [
        ("FROM:<a@b.example>", "a@b.example"),
        ("from:<a@b.example>", "a@b.example"),
        ("FROM: <a@b.example>", "a@b.example"),
        ("FROM:<>", ""),
        ("FROM:<@relay.example,@other.example:a@b.example>", "a@b.example"),
        ('FROM:<"a b"@c.example>', '"a b"@c.example'),
        ('FROM:<"a\\"b@c"@d.example>', '"a\\"b@c"@d.example'),
        ('FROM:<"a>b"@d.example>', '"a>b"@d.example'),
        ("FROM:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
        ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("FROM:<a@[x-tag:whatever]>", "a@[x-tag:whatever]"),
        ("FROM:<a@with_underscore.example>", "a@with_underscore.example"),
        ("FROM:<a@b.example.>", "a@b.example."),
        ("FROM:<a..b.@c.example>", "a..b.@c.example"),
        (f"FROM:<{TOKEN}@b.example>", f"{TOKEN}@b.example"),
    ],
)
def test_sender_addresses(argument: str, address: str) -> None:
    assert parse_mail(argument.encode()) == Mail(address)


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("FROM:a@b.example", Mail("a@b.example", bare=True)),
        ("FROM: a@b.example", Mail("a@b.example", bare=True)),
        ("FROM:a@b.example SIZE=5 BODY=8BITMIME", Mail("a@b.example", 5, "8BITMIME", bare=True)),
        ('FROM:"a b"@c.example', Mail('"a b"@c.example', bare=True)),
        ('FROM:"a>b\\""@c.example SIZE=1', Mail('"a>b\\""@c.example', 1, bare=True)),
        ("FROM:a@[IPv6:2001:db8::1]", Mail("a@[IPv6:2001:db8::1]", bare=True)),
        ("FROM:@relay.example:a@b.example", Mail("a@b.example", bare=True)),
        ("TO:a@B.example", Rcpt("a@B.example", "b.example", bare=True)),
        ("TO: a@b.example NOTIFY=NEVER", Rcpt("a@b.example", "b.example", {"NOTIFY": "NEVER"}, bare=True)),
        ("TO:postmaster", Rcpt("postmaster", "", bare=True)),
    ],
)
def test_an_address_without_angle_brackets_is_understood(argument: str, expected: Mail | Rcpt) -> None:
    line = argument.encode()
    found = parse_mail(line) if argument.startswith("FROM") else parse_rcpt(line, smtputf8=False)
    assert found == expected


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "FROM",
        "FROM:",
        "FROM:a b@c.example",
        "FROM:a@b.example>",
        "FROM:App <a@b.example>",
        'FROM:"a b@c.example',
        "FROM:a@b.example SIZE=x",
        "FROM:a",
        "FROM: SIZE=1",
        "TO:<a@b.example>",
        "FROM:<a@b.example",
        "FROM:<a>",
        "FROM:<a@>",
        "FROM:<@b.example>",
        "FROM:<a@b@c.example>",
        "FROM:<a b@c.example>",
        "FROM:<a@b c.example>",
        "FROM:<a@b..example>",
        "FROM:<a@.example>",
        "FROM:<a@-b.example>",
        f"FROM:<a@{'x' * 64}.example>",
        f"FROM:<a@{'.'.join(['x' * 60] * 5)}>",
        'FROM:<"a@b.example>',
        'FROM:<"a\\"@b.example>',
        "FROM:<a@[192.0.2.256]>",
        "FROM:<a@[IPv6:zz]>",
        "FROM:<a@[]>",
        "FROM:<<a@b.example>>",
        "FROM:<postmaster>",
        "FROM:<a@b.example>SIZE=1",
        "FROM:<a@b.example> SIZE=",
        "FROM:<a@b.example> SIZE=x",
        "FROM:<a@b.example> SIZE=-1",
        f"FROM:<a@b.example> SIZE={'9' * 21}",
        "FROM:<a@b.example> SIZE=1 SIZE=2",
        "FROM:<a@b.example> size=1 SIZE=1",
        "FROM:<a@b.example> BODY=BINARYMIME",
        "FROM:<a@b.example> SMTPUTF8=yes",
        "FROM:<a@b.example> RET=SOME",
        "FROM:<a@b.example> ENVID=+0D",
        "FROM:<a@b.example> ENVID=a+2",
        f"FROM:<a@b.example> ENVID={'x' * 101}",
        "FROM:<a@b.example> AUTH=+zz",
        "FROM:<a@b.example> =1",
    ],
)
def test_malformed_senders_are_refused_with_501(argument: str) -> None:
    rejection = parse_mail(argument.encode())
    assert isinstance(rejection, Reply)
    assert rejection.code == 501


def test_unknown_parameters_are_refused_with_555() -> None:
    for rejection in (
        parse_mail(b"FROM:<a@b.example> HOLDFOR=5"),
        parse_rcpt(b"TO:<a@b.example> RRVS=x", smtputf8=False),
    ):
        assert isinstance(rejection, Reply)
        assert (rejection.code, rejection.enhanced) == (555, "5.5.4")


def test_mail_parameters() -> None:
    line = (
        b"FROM:<a@b.example> SIZE=1000 BODY=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+3D1 AUTH=e+3Dmc2@example.com"
    )
    assert parse_mail(line) == Mail(
        "a@b.example", 1000, "8BITMIME", True, {"RET": "hdrs", "ENVID": "QQ+3D1"}, "e=mc2@example.com"
    )
    assert parse_mail(b"FROM:<> AUTH=<>") == Mail("")


def test_dsn_parameters_of_a_recipient_are_kept_as_given() -> None:
    line = b"TO:<a@B.Example> NOTIFY=success,FAILURE ORCPT=rfc822;A+2Bb@b.example"
    assert parse_rcpt(line, smtputf8=False) == Rcpt(
        "a@B.Example", "b.example", {"NOTIFY": "success,FAILURE", "ORCPT": "rfc822;A+2Bb@b.example"}
    )
    never = parse_rcpt(b"TO:<a@b.example> NOTIFY=NEVER", smtputf8=False)
    assert isinstance(never, Rcpt)


@pytest.mark.parametrize(
    "argument",
    [
        "TO:<>",
        "TO:<a>",
        "TO:a@b.example>",
        "TO:Device <a@b.example>",
        "TO:a",
        "TO:<a@b.example> NOTIFY=NEVER,DELAY",
        "TO:<a@b.example> NOTIFY=DELAY,DELAY",
        "TO:<a@b.example> NOTIFY=",
        "TO:<a@b.example> ORCPT=a@b",
        "TO:<a@b.example> ORCPT=rfc822;+0A",
        f"TO:<a@b.example> ORCPT=rfc822;{'x' * 500}",
    ],
)
def test_malformed_recipients_are_refused_with_501(argument: str) -> None:
    rejection = parse_rcpt(argument.encode(), smtputf8=False)
    assert isinstance(rejection, Reply)
    assert rejection.code == 501


def test_postmaster_needs_no_domain() -> None:
    assert parse_rcpt(b"TO:<Postmaster>", smtputf8=False) == Rcpt("Postmaster", "")


def test_internationalised_addresses_need_smtputf8() -> None:
    line = "TO:<jürgen@bücher.example>".encode()
    assert parse_rcpt(line, smtputf8=True) == Rcpt("jürgen@bücher.example", "bücher.example")
    rejection = parse_rcpt(line, smtputf8=False)
    assert isinstance(rejection, Reply)
    assert (rejection.code, rejection.enhanced) == (553, "5.6.7")
    assert parse_mail("FROM:<ü@ü.example> SMTPUTF8".encode()) == Mail("ü@ü.example", smtputf8=True)
    without = parse_mail("FROM:<ü@ü.example>".encode())
    assert isinstance(without, Reply)
    assert without.code == 553
    assert isinstance(parse_mail(b"FROM:<\xff@b.example> SMTPUTF8"), Reply)


@pytest.mark.parametrize("forger", ["\x85", "\u2028", "\u202e", "\xa0"])
def test_characters_that_could_forge_a_log_line_are_refused(forger: str) -> None:
    assert isinstance(parse_mail(f"FROM:<a{forger}@b.example> SMTPUTF8".encode()), Reply)
    assert isinstance(parse_rcpt(f"TO:<a@b{forger}.example>".encode(), smtputf8=True), Reply)
    orcpt = f"TO:<a@b.example> ORCPT=utf-8;a{forger}@b".encode()
    assert isinstance(parse_rcpt(orcpt, smtputf8=True), Reply)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_xtext_survives_a_round_trip(text: str) -> None:
    assert xtext_decode(xtext_encode(text)) == (text or None)


@given(st.binary(max_size=200))
def test_no_input_raises(argument: bytes) -> None:
    for prefix in (b"", b"FROM:<", b"TO:<", b"FROM:<a@b.example> ", b"TO:<a@b.example> "):
        assert isinstance(parse_mail(prefix + argument), Mail | Reply)
        assert isinstance(parse_rcpt(prefix + argument, smtputf8=True), Rcpt | Reply)


_addresses = st.from_regex(r"\A[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,12}@[A-Za-z0-9_.-]{1,16}\Z")


@given(_addresses, st.sampled_from(["", " SIZE=0", " SIZE=17", " size=17 body=8BITMIME", " BODY=7BIT"]))
def test_both_readers_of_mail_agree(address: str, parameters: str) -> None:
    line = f"MAIL FROM:<{address}>{parameters}".encode()
    plain = FAST_MAIL(line)
    assert plain is not None
    read = parse_mail(line[5:])
    if plain_domain(plain[2]) is None:
        assert isinstance(read, Reply)
    else:
        size, body = int(plain[3] or 0), (plain[4] or b"").decode()
        assert read == Mail(plain[1].decode(), size, body)


@given(_addresses)
def test_both_readers_of_rcpt_agree(address: str) -> None:
    line = f"RCPT TO:<{address}>".encode()
    plain = FAST_RCPT(line)
    assert plain is not None
    domain = plain_domain(plain[2])
    read = parse_rcpt(line[5:], smtputf8=False)
    if domain is None:
        assert isinstance(read, Reply)
    else:
        assert read == Rcpt(address, domain)


@given(_addresses, st.sampled_from(["", " SIZE=17", " size=17 body=8BITMIME"]))
def test_a_line_that_is_known_reads_as_the_first_time(address: str, parameters: str) -> None:
    line = f"MAIL FROM:<{address}>{parameters}".encode()
    read = parse_mail(line[5:])
    expected = None if isinstance(read, Reply) else (read.address, read.size, read.body)
    assert [plain_mail(line), plain_mail(line)] == [expected, expected]
    line = f"RCPT TO:<{address}>".encode()
    rcpt = parse_rcpt(line[5:], smtputf8=False)
    known = None if isinstance(rcpt, Reply) else (rcpt.address, rcpt.domain)
    assert [plain_rcpt(line), plain_rcpt(line)] == [known, known]


def test_known_lines_are_bounded() -> None:
    from tubepost_dispatcher.smtp import syntax

    assert plain_mail(b"MAIL FROM:<>") == ("", 0, "")
    for number in range(2_000):
        assert plain_rcpt(b"RCPT TO:<u%d@apn.example>" % number) == (f"u{number}@apn.example", "apn.example")
        assert plain_mail(b"MAIL FROM:<u%d@b.example>" % number) == (f"u{number}@b.example", 0, "")
    assert plain_mail(b"MAIL FROM:<%b@b.example>" % (b"a" * 200)) is not None
    for known in (syntax._plain_mails, syntax._plain_rcpts):
        assert 0 < len(known) <= 1_024
        assert max(map(len, known)) <= 128


@given(st.text(string.printable, max_size=40))
def test_the_fast_reader_takes_nothing_that_the_other_refuses(text: str) -> None:
    line = f"RCPT TO:<{text}>".encode()
    plain = FAST_RCPT(line)
    if plain is not None and plain_domain(plain[2]) is not None:
        assert isinstance(parse_rcpt(line[5:], smtputf8=False), Rcpt)


def test_known_domains_are_bounded() -> None:
    for number in range(5_000):
        assert plain_domain(f"D{number}.example".encode()) == f"d{number}.example"
    from tubepost_dispatcher.smtp import syntax

    assert len(syntax._plain_domains) <= 4_096
