"""That things are freed when they are over: the garbage collector comes late where much is going on."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def all_freed(*kinds: type) -> AsyncIterator[None]:
    """What is made of these kinds inside is freed after it, although no garbage is collected."""

    def alive() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, kinds)]

    gc.collect()
    before = len(alive())
    gc.disable()
    try:
        yield
        for _ in range(200):
            if len(alive()) <= before:
                break
            await asyncio.sleep(0.01)
        left = alive()
        assert len(left) <= before, left
    finally:
        gc.enable()
