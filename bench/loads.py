"""The kinds of traffic that are measured, and what they may cost."""

from dataclasses import dataclass

EVENTS = 500  # of a stream
LAPS = 3


@dataclass(frozen=True)
class Load:
    """One kind of traffic.

    `goal` and `passing_goal` are multiples of nginx: of what is translated, and of what is passed on. `less` is how
    many times less than LiteLLM it may cost. `added` is how many milliseconds may be added to a call that goes to the
    upstream directly, in the median; it makes the upstream itself one of those that are measured.
    """

    name: str
    body: str
    connections: int
    goal: float | None = None
    passing_goal: float | None = None
    less: float | None = None
    added: float | None = None
    pace: int | None = None  # milliseconds between the events of a stream; None: no stream
    events: int = EVENTS
    text: int = 50  # percent of a stream's events; the others are arguments of a tool call
    per: str = "request"  # what the cost is counted by
    seconds: float = 2.0
    litellm: bool = True

    @property
    def stream(self) -> bool:
        return self.pace is not None

    @property
    def laps(self) -> int:
        """In a round. Short ones in turn: a proxy's figure and nginx's beside it feel the same of the machine."""
        return 1 if self.pace else LAPS

    @property
    def setting(self) -> str:
        """The path that prepares the canned upstream."""
        return f"/set?events={self.events}&pace={self.pace or 0}&text={self.text}"


LOADS = (
    Load("small request, 1 connection", "small", 1, added=0.3),
    Load("small request, 50 connections", "small", 50, goal=8, less=100),
    Load("234 KB request, 1 connection", "big", 1, added=1.2),
    Load("234 KB request, 20 connections", "big", 20, goal=6, passing_goal=3, less=40),
    Load("stream of 10 events, 1 connection", "small_stream", 1, added=0.5, pace=0, events=10, litellm=False),
    Load("event, 50 streams, saturated", "small_stream", 50, goal=1, less=100, pace=0, per="event"),
    Load("event of arguments, 50 streams", "small_stream", 50, pace=0, text=0, per="event", litellm=False),
    Load("event, 50 streams, each 20 ms", "small_stream", 50, goal=2.2, less=25, pace=20, per="event", seconds=3),
    Load("event, 250 streams, each 20 ms", "small_stream", 250, goal=2.2, less=25, pace=20, per="event", seconds=3),
    Load("event, 500 streams, each 20 ms", "small_stream", 500, pace=20, per="event", seconds=3, litellm=False),
)

IDLE = Load("idle streams", "small_stream", 1000, pace=1000, per="event", seconds=5)
IDLE_KILOBYTES, IDLE_PERCENT = 30, 8  # of memory per stream; of a core, by all of them
START_SECONDS, REST_MEGABYTES = 0.6, 60
DIALECT_GOAL = 1.3  # times the cost of Chat Completions
WORKERS = Load("small request, 50 connections, by workers", "small", 50)  # the load itself costs the least with these
WORKERS_ALONE, WORKERS_CROWDED = 1.8, 1.6  # where the load has CPUs of its own, and where not

STREAMS = (1, 3, 10, 30, 100, 300, 1000)  # of the curve over streams, each 20 ms but the last ones
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)  # of the curve over bodies, in bytes
