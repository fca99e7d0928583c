"""Threads: results in order, few of them in memory, and an error that ends them all."""

import threading

import pytest
from hanging import HANGS_S

from diffmst_lib.data.threads import in_order, thread_pool


def test_at_most_so_many_results_wait():
    started, taken = [], 0
    with thread_pool(2) as pool:
        for value in in_order(pool, lambda i: started.append(i) or i, ((i,) for i in range(50)), ahead=4):
            assert value == taken
            assert len(started) <= taken + 4
            taken += 1
    assert taken == 50


def test_an_error_drops_the_jobs_that_have_not_begun():
    dropped = threading.Event()
    with pytest.raises(ZeroDivisionError), thread_pool(1) as pool:
        pool.submit(dropped.wait, HANGS_S)  # the only thread is busy until the other job is dropped
        waiting = pool.submit(int)
        waiting.add_done_callback(lambda _: dropped.set())
        raise ZeroDivisionError
    assert waiting.cancelled()
