from __future__ import annotations

import os

import pytest

from kdsl.cli.forks import mapped


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_results_come_in_the_order_of_the_items(processes):
    assert list(mapped(lambda n: n * n, range(7), processes)) == [n * n for n in range(7)]


def test_items_are_done_by_several_processes():
    found = list(mapped(lambda _: os.getpid(), range(4), 2))
    assert found[0] == found[2] == os.getpid()
    assert found[1] == found[3] != os.getpid()


def test_no_items_give_no_results():
    assert list(mapped(str, [], 2)) == []


def test_an_error_in_a_child_is_raised_here_with_its_own_type():
    def refuse_one(n):
        if n == 1:
            raise LookupError(f"no {n}")
        return n

    found = mapped(refuse_one, range(4), 2)
    assert next(found) == 0
    with pytest.raises(LookupError, match="no 1"):
        next(found)


def test_what_cannot_be_sent_is_made_here():
    makers = list(mapped(lambda n: lambda: n, range(4), 2))
    assert [make() for make in makers] == [0, 1, 2, 3]


def test_a_child_that_dies_is_made_up_for():
    parent = os.getpid()

    def die_elsewhere(n):
        if os.getpid() != parent:
            os._exit(9)
        return n

    assert list(mapped(die_elsewhere, range(5), 3)) == [0, 1, 2, 3, 4]


def test_results_that_fill_a_pipe_get_through():
    sizes = [len(data) for data in mapped(lambda n: bytes(n << 20), range(4), 2)]
    assert sizes == [0, 1 << 20, 2 << 20, 3 << 20]


def test_no_child_is_left_when_the_reader_goes_away(monkeypatch):
    started = []
    fork = os.fork

    def recorded():
        started.append(fork())
        return started[-1]

    monkeypatch.setattr(os, "fork", recorded)
    found = mapped(lambda n: bytes(1 << 20), range(9), 3)
    next(found)
    found.close()
    assert len(started) == 2
    for child in started:
        with pytest.raises(ChildProcessError):
            os.waitpid(child, os.WNOHANG)
