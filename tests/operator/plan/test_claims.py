"""What becomes of claims, as a table, and what holds of any of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tubepost_operator.plan.claims import AT_A_TIME, Claims, Leftover, QueueClaim, plan_claims
from tubepost_operator.plan.moves import QueuePod

CLAIM = QueueClaim(3)


def drain(left: int | None = None, trouble: str = "") -> QueuePod:
    return QueuePod("alerts-drain-3-x", "StatefulSet", 3, left=left, trouble=trouble)


def decided(
    *claims: QueueClaim,
    taken: int = 1,
    going: frozenset[int] = frozenset(),
    delete: bool = False,
    abandon: bool = False,
) -> Claims:
    return plan_claims(claims, taken=taken, going=going, delete=delete, abandon=abandon)


@pytest.mark.parametrize(
    ("claim", "becomes"),
    [
        (CLAIM, Claims(left=(Leftover(3, True, None, "its drain pod is not there yet"),))),
        (replace(CLAIM, refused="quota"), Claims(left=(Leftover(3, True, None, "quota"),))),
        (replace(CLAIM, drain=drain(7), refused="quota"), Claims(left=(Leftover(3, True, 7),))),
        (replace(CLAIM, drain=drain(7)), Claims(left=(Leftover(3, True, 7),))),
        (
            replace(CLAIM, drain=drain(trouble="Unschedulable: no node")),
            Claims(left=(Leftover(3, True, None, "Unschedulable: no node"),)),
        ),
        (replace(CLAIM, drain=drain(0)), Claims(mark=(3,), emptied=(3,))),
        (replace(CLAIM, marked=True), Claims()),
        (replace(CLAIM, marked=True, drain=drain(0)), Claims()),
        (replace(CLAIM, phase="Pending"), Claims()),
        (replace(CLAIM, phase="Lost"), Claims(left=(Leftover(3, False, None, "its volume is gone"),))),
        (replace(CLAIM, deleting=True), Claims()),
        (
            replace(CLAIM, pod="alerts-3"),
            Claims(left=(Leftover(3, False, None, "waits until Pod alerts-3 has ended"),)),
        ),
        (
            replace(CLAIM, ours=False),
            Claims(left=(Leftover(3, False, None, "somebody else owns it, and it is left alone"),)),
        ),
        (QueueClaim(0), Claims()),
        (QueueClaim(0, marked=True), Claims(unmark=(0,))),
    ],
)
def test_what_becomes_of_a_claim(claim: QueueClaim, becomes: Claims) -> None:
    assert decided(claim) == becomes


def test_what_is_known_to_be_empty_is_marked_before_its_pod_goes() -> None:
    claims = (QueueClaim(0), QueueClaim(1, pod="alerts-1"), QueueClaim(2, pod="alerts-2"))
    assert decided(*claims, taken=3, going=frozenset({2})) == Claims(mark=(2,))
    marked = replace(claims[2], marked=True)
    assert decided(*claims[:2], marked, taken=3, going=frozenset({2})) == Claims()
    assert decided(*claims[:2], marked, taken=3) == Claims(unmark=(2,)), "a change of mind"
    unbound = replace(claims[2], phase="Pending")
    assert decided(unbound, taken=3, going=frozenset({2})) == Claims()


def test_only_what_is_empty_and_has_no_pod_is_deleted() -> None:
    marked = replace(CLAIM, marked=True)
    assert decided(marked, delete=True) == Claims(delete=(3,))
    assert decided(replace(CLAIM, phase="Pending"), delete=True) == Claims(delete=(3,))
    for kept in (
        replace(marked, pod="alerts-3"),
        replace(marked, drain=drain(0)),
        replace(marked, ours=False),
        replace(marked, deleting=True),
        CLAIM,
        replace(CLAIM, phase="Lost"),
    ):
        assert decided(kept, delete=True).delete == ()


def test_by_the_users_word_it_is_left_alone() -> None:
    assert decided(CLAIM, abandon=True) == Claims(given_up=(3,))
    assert decided(replace(CLAIM, marked=True), abandon=True) == Claims()


def test_not_all_are_drained_at_the_same_time() -> None:
    claims = [QueueClaim(number) for number in range(AT_A_TIME + 2)]
    found = plan_claims(claims, taken=0, going=(), delete=False, abandon=False)
    assert found.drains == tuple(range(AT_A_TIME))
    assert [one.why for one in found.left if not one.drained] == ["waits for its turn"] * 2


CLAIMS = st.builds(
    QueueClaim,
    st.integers(0, 6),
    st.sampled_from(["Pending", "Bound", "Lost"]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "alerts-x"]),
    st.sampled_from([None, drain(), drain(0), drain(4)]),
)


@given(
    st.lists(CLAIMS, unique_by=lambda claim: claim.ordinal),
    st.integers(0, 6),
    st.frozensets(st.integers(0, 6)),
    st.booleans(),
    st.booleans(),
)
def test_no_claim_goes_unsaid_and_none_is_deleted_with_a_queue(
    claims: list[QueueClaim], taken: int, going: frozenset[int], delete: bool, abandon: bool
) -> None:
    found = plan_claims(claims, taken=taken, going=going, delete=delete, abandon=abandon)
    told = {one.ordinal for one in found.left} | set(found.given_up)
    for claim in claims:
        number = claim.ordinal
        empty = (
            claim.marked or claim.phase == "Pending" or (claim.drain is not None and claim.drain.left == 0)
        )
        if number in found.delete:
            assert claim.marked or claim.phase == "Pending"
            assert claim.ours
            assert not claim.pod
            assert number >= taken
            assert claim.drain is None
        if number in found.drains:
            assert number >= taken
            assert claim.ours
            assert not claim.pod
            assert not empty
        if number < taken and claim.marked and number not in going and not claim.deleting:
            assert number in found.unmark
        if not (claim.deleting or number < taken or number in going or empty):
            assert number in told
