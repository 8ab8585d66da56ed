"""The demo's queue: clients take turns, in the order that Gradio serves."""

from collections import Counter
from types import SimpleNamespace

import pytest

gradio = pytest.importorskip("gradio")

from gradio.queueing import Event  # noqa: E402

from stgan.demo.page import build_demo  # noqa: E402
from stgan.demo.turns import InTurn  # noqa: E402


@pytest.fixture
def queue(editor, model_folder):
    return build_demo(editor, str(model_folder)).queue(max_size=256)._queue


def event(queue, session, address="1.2.3.4"):
    function = next(each for each in queue.blocks.fns.values() if each.api_name == "edit")
    return Event(session, function, SimpleNamespace(headers={}, client=SimpleNamespace(host=address)), None)


def serve(queue):
    """The next event, as Gradio takes it."""
    ((served,), _, concurrency) = queue.get_events()
    assert concurrency == "model"
    return served


def test_a_greedy_client_gets_no_more_than_each_of_the_others(queue):
    waiting = queue.event_queue_per_concurrency_id["model"].queue
    assert len(queue.event_queue_per_concurrency_id) > 1
    for _ in range(150):
        waiting.append(event(queue, "greedy"))
    for number in range(49):
        waiting.append(event(queue, f"visitor {number}"))
    assert len(queue) == 199 < queue.max_size
    served = []
    for _ in range(500):
        served.append(serve(queue).session_hash)
        if served[-1] != "greedy":  # asks for the next picture when it has one
            waiting.append(event(queue, served[-1]))
    assert set(Counter(served).values()) == {10}
    assert served[:50] == ["greedy", *(f"visitor {number}" for number in range(49))]


def test_whoever_comes_late_or_back_is_next_and_does_not_catch_up():
    waiting, served = InTurn(lambda event: 1.0), []
    for name in ("a1", "a2", "a3", "a4", "a5", "b1"):
        waiting.append(SimpleNamespace(_id=name, session_hash=name[0], request=None))

    def serve(count):
        for _ in range(count):
            served.append(waiting[0]._id)
            waiting.remove(waiting[0])

    serve(4)
    for name in ("b2", "b3", "b4", "c1"):
        waiting.append(SimpleNamespace(_id=name, session_hash=name[0], request=None))
    waiting.remove(next(each for each in waiting if each._id == "a5"))  # its client gave up
    serve(5)
    assert served == ["a1", "b1", "a2", "a3", "b2", "c1", "a4", "b3", "b4"]
    assert waiting == []
    served.clear()
    for name in ("b5", "d1", "b6", "d2"):  # nobody waited: it does not count that b was served last
        waiting.append(SimpleNamespace(_id=name, session_hash=name[0], request=None))
    serve(4)
    assert served == ["b5", "d1", "b6", "d2"]


def test_a_long_request_counts_for_as_many_short_ones_as_it_takes_time(queue):
    waiting = queue.event_queue_per_concurrency_id["model"].queue
    endpoints = {each.api_name: each for each in queue.blocks.fns.values()}
    for name, seconds in (("edit", 1.0), ("edit_all", 3.0)):
        times = queue.process_time_per_fn[endpoints[name]]
        times.add(2 * seconds - times.avg_time)
        assert times.avg_time == seconds
    for name, count in (("edit_all", 4), ("edit", 12)):
        for _ in range(count):
            request = event(queue, name)
            request.fn = endpoints[name]
            waiting.append(request)
    served = [serve(queue).session_hash for _ in range(16)]
    assert served == 4 * ["edit_all", "edit", "edit", "edit"]


def test_requests_without_a_session_share_the_turn_of_their_address(queue):
    waiting = queue.event_queue_per_concurrency_id["model"].queue
    for address in ("1.1.1.1", "1.1.1.1", "2.2.2.2"):
        waiting.append(event(queue, None, address))
    assert [serve(queue).request.client.host for _ in range(3)] == ["1.1.1.1", "2.2.2.2", "1.1.1.1"]
