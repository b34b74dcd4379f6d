"""Jobs in a thread beside the caller: their order, their errors, and that none is lost."""

from __future__ import annotations

import threading
import time

import pytest

import sea.optimize.background as background_module
from sea.optimize.background import Background


def test_results_come_in_order_and_in_the_callers_thread():
    taken = []
    with Background(lambda result: taken.append((result, threading.get_ident()))) as background:
        for number in range(5):
            # The later, the faster: beside each other they would end in another order.
            background.do(lambda number=number: time.sleep(0.02 * (4 - number)) or (number, threading.get_ident()))
    numbers, threads = zip(*(result for result, _ in taken), strict=True)
    assert numbers == (0, 1, 2, 3, 4)
    assert len(set(threads)) == 1 and threads[0] != threading.get_ident()
    assert {caller for _, caller in taken} == {threading.get_ident()}


def test_the_caller_goes_on_meanwhile_and_waits_for_the_job_before_the_last():
    taken, may_end = [], threading.Event()
    with Background(taken.append) as background:
        background.do(lambda: may_end.wait(60))
        background.collect()
        assert taken == []  # came back while the job was under way
        threading.Timer(0.05, may_end.set).start()
        background.do(lambda: 2)  # holds two at most
        assert taken[0] is True


def test_an_error_comes_up_without_waiting_and_later_jobs_are_done_all_the_same():
    taken, failed = [], threading.Event()

    def fails():
        failed.set()
        raise OSError("disk full")

    def work():
        with Background(taken.append) as background:
            background.do(fails)
            failed.wait(60)
            background.do(lambda: "later")

    with pytest.raises(OSError, match="disk full"):
        work()
    assert taken == ["later"]


def test_collect_raises_what_a_job_raised():
    with Background(lambda result: None) as background:
        background.do(lambda: 1 / 0)
        background._jobs[0].exception(60)  # until it is over
        with pytest.raises(ZeroDivisionError):
            background.collect()
        background.collect()  # once is enough


def test_an_error_of_the_last_job_comes_up_at_the_end():
    with pytest.raises(ZeroDivisionError), Background(lambda result: None) as background:
        background.do(lambda: 1 / 0)


def test_an_interruption_of_the_caller_loses_no_job():
    taken, may_end = [], threading.Event()

    def interrupted():
        with Background(taken.append) as background:
            background.do(lambda: may_end.wait(60))
            threading.Timer(0.05, may_end.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert taken == [True]


def test_a_second_interruption_does_not_let_go_before_the_last_job_is_done(monkeypatch):
    """Whoever holds the run's lock around the block would free it while the thread still writes."""
    taken, may_end, real, waits = [], threading.Event(), background_module.wait, []

    def impatient(jobs):
        waits.append(len(jobs))
        if len(waits) == 1:
            may_end.set()
            raise KeyboardInterrupt
        return real(jobs)

    def interrupted():
        with Background(taken.append) as background:
            background.do(lambda: may_end.wait(60))
            monkeypatch.setattr(background_module, "wait", impatient)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert taken == [True]
