"""The life of what serves, as a server tells it: begin, and close at the end. Between them garbage is collected less.

https://asgi.readthedocs.io/en/latest/specs/lifespan.html
"""

import gc
from typing import Protocol

from starlette.types import Receive, Send

# Of the garbage collector: fewer walks, and none over what never dies. Requests leave no circles (tests hold that), but
# libraries may: what lives as long as a stream dies in the second generation, so that one is looked at often.
_THRESHOLDS = (50_000, 2, 10)


class Living(Protocol):
    """What has a life. `begin` is called once the event loop runs, `close` awaited once, after the last request."""

    def begin(self) -> None: ...

    async def close(self) -> None: ...


async def live(living: Living, receive: Receive, send: Send) -> None:
    """Answer the lifespan's two messages."""
    thresholds = gc.get_threshold()
    await receive()
    living.begin()
    settle()
    gc.set_threshold(*_THRESHOLDS)
    await send({"type": "lifespan.startup.complete"})
    try:
        await receive()
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        await living.close()
    await send({"type": "lifespan.shutdown.complete"})


def settle() -> None:
    """Free what is dead, and let the garbage collector leave alone what stays."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
