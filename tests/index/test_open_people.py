"""Who is closed when there are more people than room."""

from __future__ import annotations

import random
import threading

import pytest

from ragperso.index.open_people import BASE_BYTES, OpenPeople, people_for_files


def visit(people: OpenPeople[str], name: str, nbytes: int = 0) -> list[str]:
    with people.using(name, lambda: nbytes):
        pass
    return people.make_room(lambda _: True)


def test_the_longest_unused_goes_first_when_there_are_too_many() -> None:
    people = OpenPeople[str](max_bytes=10**12, max_people=2)
    assert visit(people, "ana") == visit(people, "ben") == []
    assert visit(people, "ana") == []
    assert visit(people, "cyd") == ["ben"]
    assert visit(people, "dot") == ["ana"]
    assert len(people) == 2


def test_bytes_are_bounded_and_are_those_of_the_last_use() -> None:
    people = OpenPeople[str](max_bytes=3 * BASE_BYTES + 100, max_people=9)
    assert visit(people, "ana", 40) == visit(people, "ben", 40) == []
    assert people.nbytes == 2 * BASE_BYTES + 80
    assert visit(people, "ben", 60) == []
    assert people.nbytes == 2 * BASE_BYTES + 100
    assert visit(people, "cyd", 1) == ["ana"]
    assert people.nbytes == 2 * BASE_BYTES + 61


def test_several_go_for_a_large_one_which_stays_whatever_it_takes() -> None:
    people = OpenPeople[str](max_bytes=5 * BASE_BYTES, max_people=9)
    for name in ("ana", "ben", "cyd"):
        visit(people, name)
    assert visit(people, "dot", 100 * BASE_BYTES) == ["ana", "ben", "cyd"]
    assert len(people) == 1
    assert visit(people, "ana") == ["dot"]


def test_nobody_in_use_is_closed() -> None:
    people = OpenPeople[str](max_bytes=10**12, max_people=1)
    with people.using("ana", lambda: 0), people.using("ana", lambda: 0):
        assert visit(people, "ben") == []
        assert visit(people, "cyd") == ["ben"]
    people.enter("ana")
    assert visit(people, "dot") == ["cyd"]
    people.leave("ana", 0)
    assert people.make_room(lambda _: True) == ["dot"]


def test_who_was_closed_by_themselves_is_forgotten_also_when_that_was_meanwhile() -> None:
    people = OpenPeople[str](max_bytes=10**12, max_people=1)
    visit(people, "ana")
    people.closed("ana")
    people.closed("never seen")
    assert (len(people), people.nbytes) == (0, 0)
    people.enter("ben")
    people.closed("ben")
    people.leave("ben", 5)
    assert (len(people), people.nbytes) == (0, 0)
    assert visit(people, "cyd") == []


def test_who_cannot_be_closed_now_stays_and_the_next_one_goes() -> None:
    people = OpenPeople[str](max_bytes=10**12, max_people=2)
    for name in ("ana", "ben", "cyd"):
        with people.using(name, lambda: 0):
            pass
    assert people.make_room(lambda name: name != "ana") == ["ben"]
    assert people.make_room(lambda _: False) == []
    assert len(people) == 2


def test_closing_may_say_so_itself() -> None:
    people = OpenPeople[str](max_bytes=0, max_people=1)

    def close(name: str) -> bool:
        people.closed(name)
        return True

    visit(people, "ana")
    people.enter("ben")
    assert people.make_room(close) == ["ana"]
    assert people.nbytes == BASE_BYTES


def test_a_failure_while_in_use_ends_the_use() -> None:
    people = OpenPeople[str](max_bytes=0, max_people=1)
    with pytest.raises(RuntimeError), people.using("ana", lambda: 0):
        raise RuntimeError
    assert visit(people, "ben") == ["ana"]


@pytest.mark.parametrize(
    ("files", "people"), [(0, 8), (96, 8), (108, 9), (256, 21), (1024, 85), (10**6, 512)]
)
def test_people_are_bounded_by_the_files_a_process_may_open(files: int, people: int) -> None:
    assert people_for_files(files) == people


def test_sums_hold_under_threads() -> None:
    people = OpenPeople[int](max_bytes=40 * BASE_BYTES, max_people=20)
    in_use: dict[int, int] = {}
    guard = threading.Lock()
    wrong: list[int] = []

    def close(name: int) -> bool:
        with guard:
            wrong.extend([name] * in_use.get(name, 0))
        return name % 7 != 0

    def work(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(500):
            name = chance.randrange(60)
            people.enter(name)
            with guard:
                in_use[name] = in_use.get(name, 0) + 1
            people.make_room(close)
            with guard:
                in_use[name] -= 1
            people.leave(name, chance.randrange(BASE_BYTES))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    people.make_room(lambda _: True)
    assert wrong == []
    assert len(people) <= 20
    assert people.nbytes <= 40 * BASE_BYTES
    assert people.nbytes == sum(people._sizes.values())
