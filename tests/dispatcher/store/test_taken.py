from __future__ import annotations

from tubepost_dispatcher.store.taken import MOST_PLACES, Taken


class Index:
    def __init__(self, *places: tuple[float, int]) -> None:
        self.places = sorted(places)
        self.looked_at = 0

    def due(self, after: tuple[float, int], now: float, limit: int, lane: int = 0) -> list[tuple[float, int]]:
        found = [place for place in self.places if after < place and place[0] <= now][:limit]
        self.looked_at += len(found)
        return found


def read(taken: Taken, index: Index, now: float, limit: int) -> list[int]:
    keys = taken.due(index, now, limit)
    taken.add(keys)
    return keys


def test_what_is_taken_is_passed_over_once() -> None:
    index = Index(*((float(key), key) for key in range(1_000)))
    taken = Taken()
    taken.add(range(900))
    assert read(taken, index, 2_000.0, 10) == list(range(900, 910))
    index.looked_at = 0
    assert read(taken, index, 2_000.0, 10) == list(range(910, 920))
    assert index.looked_at <= 20


def test_what_is_given_back_before_the_place_is_found() -> None:
    index = Index((1.0, 1), (2.0, 2), (3.0, 3))
    taken = Taken()
    assert read(taken, index, 9.0, 9) == [1, 2, 3]
    index.places = [(2.0, 2), (3.0, 1), (3.0, 3)]
    taken.give_back(1, 3.0)
    assert taken.next_due(index) == 3.0
    assert read(taken, index, 9.0, 9) == [1]
    taken.drop([2])
    taken.look_again()
    assert read(taken, index, 9.0, 9) == [2]


def test_without_anything_there_is_no_next_time() -> None:
    taken = Taken()
    assert taken.next_due(Index()) is None
    assert 1 not in taken


def test_places_are_a_lanes_own_and_bounded() -> None:
    index = Index(*((float(key), key) for key in range(20)))
    taken = Taken()
    assert read(taken, index, 99.0, 9) == list(range(9))
    for lane in range(1, MOST_PLACES + 5):
        taken.due(index, -1.0, 9, lane)
    assert len(taken._places) <= MOST_PLACES
    assert read(taken, index, 99.0, 99) == list(range(9, 20))
