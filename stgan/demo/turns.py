"""Who is next in the queue: clients take turns, so that one who asks for much does not keep the others waiting."""

from bisect import bisect_right
from collections.abc import Callable, Iterable

from gradio.block_function import BlockFunction
from gradio.queueing import Event, Queue

from stgan.demo.tools import AGENT

FIRST_GUESS = 0.5  # seconds that an event takes, until it is measured; without it Gradio tells no waiting time
# Seconds after which the queue looks for whom to serve, while somebody waits and while nobody does. Gradio looks every
# 0.001 s, which takes a tenth of a core even if nobody is there.
BUSY, IDLE = 0.005, 0.025


def take_turns(queue: Queue, functions: Iterable[BlockFunction]) -> None:
    """Make a queue of Gradio share its time equally between the clients of these functions of a demo."""
    for function in functions:
        queue.create_event_queue_for_fn(function)
        queue.process_time_per_fn[function].add(FIRST_GUESS)

    def look_again() -> None:
        queue.sleep_when_free = BUSY if len(queue) else IDLE

    for waiting in queue.event_queue_per_concurrency_id.values():
        waiting.queue = InTurn(lambda event: queue.process_time_per_fn[event.fn].avg_time, look_again)
    look_again()


class InTurn(list[Event]):
    """The events that wait, the next one first (start-time fair queueing: Goyal et al., SIGCOMM 1996).

    An event's turn comes when the others who wait have had as much time as its client. What a client had before it
    waited does not count: whoever comes, or comes back, is level with the one that is being served.

    Gradio appends events and removes the first one to serve it; it reads the order to tell visitors how long they wait.

    Args:
        seconds_of: how long an event probably takes.
        changed: called after an event came or left.
    """

    def __init__(self, seconds_of: Callable[[Event], float], changed: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.seconds_of, self.changed = seconds_of, changed
        self._served = 0.0  # the turn
        self._next: dict[str, float] = {}  # client to its next turn, where that lies ahead
        self._turns: dict[str, float] = {}  # of the events that wait

    def append(self, event: Event) -> None:
        """Put an event where its client's turn is."""
        if not self:  # nobody waits: what each has had is forgotten
            self._served, self._next = max([self._served, *self._next.values()]), {}
        client = client_of(event)
        turn = max(self._served, self._next.get(client, 0.0))
        self._next[client], self._turns[event._id] = turn + self.seconds_of(event), turn
        self.insert(bisect_right(self, turn, key=lambda each: self._turns[each._id]), event)
        self.changed()

    def remove(self, event: Event) -> None:
        """Take an event out, to serve it or because its client has left; a ValueError if it does not wait."""
        is_served = bool(self) and event is self[0]
        super().remove(event)
        turn = self._turns.pop(event._id)
        if is_served:
            self._served = turn
            self._next = {client: turn for client, turn in self._next.items() if turn > self._served}
        self.changed()


def client_of(event: Event) -> str:
    """The page or ``gradio_client`` session that an event comes from; of a bare request or an agent, its address."""
    if event.request and (agent := event.request.headers.get(AGENT)):  # all agents share a session
        return f"agent {agent}"
    if event.session_hash != event._id:
        return event.session_hash
    address = event.request.client
    return f"address {address.host if address else ''}"
