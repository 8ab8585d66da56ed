"""Who is next in the queue: clients take turns, so that one who asks for much does not keep the others waiting."""

from bisect import bisect_right
from typing import Any

from gradio.queueing import Event, Queue

POLLING = 0.005  # seconds; Gradio looks every 0.001 s for whom to serve, which takes a tenth of a core


def take_turns(queue: Queue, functions: Any) -> None:
    """Make a queue of Gradio serve the clients of these functions of a demo in turn."""
    for function in functions:
        queue.create_event_queue_for_fn(function)
    for waiting in queue.event_queue_per_concurrency_id.values():
        waiting.queue = InTurn()
    queue.sleep_when_free = POLLING


class InTurn(list[Event]):
    """The events that wait, the next one first (start-time fair queueing: Goyal et al., SIGCOMM 1996).

    The first event of every client comes before the second of any, and so on. Turns go on where they are: a client who
    comes back starts with the turn that is being served, and neither waits for what others have had nor catches up.
    Gradio appends events and removes the first one to serve it; it reads the order to tell visitors how long they wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self._served = 0  # the turn
        self._next: dict[str, int] = {}  # client to its next turn, where that lies ahead
        self._turns: dict[str, int] = {}  # of the events that wait

    def append(self, event: Event) -> None:
        """Put an event where its client's turn is."""
        client = client_of(event)
        turn = max(self._served, self._next.get(client, 0))
        self._next[client], self._turns[event._id] = turn + 1, turn
        self.insert(bisect_right(self, turn, key=lambda each: self._turns[each._id]), event)

    def remove(self, event: Event) -> None:
        """Take an event out, to serve it or because its client has left; a ValueError if it does not wait."""
        is_served = bool(self) and event is self[0]
        super().remove(event)
        turn = self._turns.pop(event._id)
        if is_served:
            self._served = turn
            self._next = {client: turn for client, turn in self._next.items() if turn > self._served}


def client_of(event: Event) -> str:
    """The page or ``gradio_client`` session that an event comes from; of a bare request, its network address."""
    if event.session_hash != event._id:
        return event.session_hash
    address = event.request.client
    return f"address {address.host if address else ''}"
