from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.importer.samples import APN, LISTENER, MANUAL, imported, line
from tubepost_importer.files import InMemory, read_configuration
from tubepost_importer.report import UNKNOWN, Account, Verdict

NAMES = (
    "domain",
    "esmtp_listener",
    "listen",
    "binding",
    "peer",
    "apn",
    "apn_logger",
    "x",
    "routes",
    "pathway",
)
OPTIONS = (
    "delivery_method",
    "routes",
    "tls_key",
    "idle_timeout",
    "mcmt_reception",
    "enable",
    "enabled",
    "zz",
    "tls",
)
VALUES = ("apn", '"/a|b$/"', "( a b )", "[ a = 1 ]", "true", "10", '"apn://gateway.push.apple.com?port=2195"')


@st.composite
def configurations(draw: st.DrawFn, depth: int = 0) -> str:
    lines = []
    for _ in range(draw(st.integers(0, 4))):
        if depth < 3 and draw(st.booleans()):
            argument = draw(
                st.sampled_from(("", '"a.example"', '"/b$/"', '":25"', '"default"', "10.0.0.0/8"))
            )
            name = draw(st.sampled_from(NAMES))
            lines.append(f"{name} {argument} {{\n{draw(configurations(depth + 1))}\n}}")
        else:
            lines.append(f"{draw(st.sampled_from(OPTIONS))} = {draw(st.sampled_from(VALUES))}")
    return "\n".join(lines)


@given(configurations())
def test_every_line_is_accounted_for(text: str) -> None:
    result = imported(text + "\nbroken line\n")
    covered = {n for one in result.report.lines for n in range(one.first, one.last + 1)}
    written = {n for n, one in enumerate(text.splitlines(), 1) if one.strip().strip("}")}
    assert written <= covered
    assert result.manifests == ""
    assert result.report.count(Verdict.NOT_READ) == 1
    for one in result.report.lines:
        assert one.verdict is Verdict.CONVERTED or one.notes
        assert one.verdict is not Verdict.CONVERTED or one.fields or one.notes


def test_the_worst_verdict_stays_and_nothing_is_said_twice() -> None:
    configuration = read_configuration("e", InMemory({"e": b"a = 1"}))
    (statement,) = configuration.files["e"].statements
    account = Account()
    account.by_hand(statement, "look")
    account.converted(statement)
    account.none(statement, "look")
    (found,) = account.lines(configuration)
    assert (found.verdict, found.notes) == (Verdict.BY_HAND, ("look",))


def test_what_nobody_has_said_anything_of_needs_a_hand() -> None:
    configuration = read_configuration("e", InMemory({"e": b"a {\nb = 1\n}"}))
    assert [(one.verdict, one.notes) for one in Account().lines(configuration)] == [
        (Verdict.BY_HAND, (UNKNOWN,))
    ] * 2


def test_the_manuals_sample_line_by_line() -> None:
    report = imported(MANUAL).report
    assert (report.faults, report.problems) == ((), ())
    verdicts = {one.source.split(" ")[0]: one.verdict for one in report.lines}
    by_hand = {name for name, verdict in verdicts.items() if verdict is Verdict.BY_HAND}
    assert by_hand == {"tls_verify", "logfile", "logmode"}
    none = {name for name, verdict in verdicts.items() if verdict is Verdict.NO_COUNTERPART}
    assert none == {"tls", "delivery_method", "...", "apn"}
    assert len(verdicts) == 19


def test_statements_on_one_line_are_told_apart() -> None:
    result = imported(f'{LISTENER}domain "a.example" {{ {APN} apn_expiry = 60 }}')
    assert line(result, "apn_expiry").source == "apn_expiry = 60"
    assert line(result, "apn_expiry").fields[0].path == "spec.domains[0].delivery.expiry"


def test_a_line_that_could_not_be_read_shows_no_password() -> None:
    (found,) = imported("my password hunter2\n").report.lines
    assert (found.verdict, found.source) == (Verdict.NOT_READ, "***")
