from __future__ import annotations

import threading
import time

from annotator.model.turns import Turns


def _wait_for(turns: Turns, n_waiting: int) -> None:
    until = time.monotonic() + 5
    while len(turns._waiting) < n_waiting:
        assert time.monotonic() < until
        time.sleep(0.001)


def test_who_waits_comes_before_who_has_just_finished() -> None:
    turns, order = Turns(), []

    def work(name: str, times: int) -> None:
        for _ in range(times):
            with turns:
                order.append(name)

    short = threading.Thread(target=work, args=("short", 1))
    with turns:
        short.start()
        _wait_for(turns, 1)
    work("long", 3)
    short.join()

    assert order == ["short", "long", "long", "long"]


def test_waiters_are_served_in_the_order_in_which_they_came() -> None:
    turns, order = Turns(), []

    def work(number: int) -> None:
        with turns:
            order.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    with turns:
        for n, thread in enumerate(threads, start=1):
            thread.start()
            _wait_for(turns, n)
    for thread in threads:
        thread.join()

    assert order == [0, 1, 2, 3, 4, 5]


def test_a_failure_passes_the_turn_on() -> None:
    turns = Turns()

    for _ in range(2):
        try:
            with turns:
                raise ValueError
        except ValueError:
            pass

    assert not turns._taken
