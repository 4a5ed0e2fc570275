"""Can the hosts of providers be reached: a TCP connection, and TLS where it is spoken. Nothing is asked or sent."""

import asyncio
import os
import ssl
from collections.abc import Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from dragoman.config.settings import Config, Provider
from dragoman.upstream.proxies import proxy_for

LIMIT = 3.0  # seconds


class Reached(Struct, frozen=True):
    """One provider's host. `why` is for people."""

    provider: str
    good: bool
    why: str


async def reach(config: Config, providers: Sequence[Provider], limit: float = LIMIT) -> list[Reached]:
    """All at once, in the order of `providers`."""
    return list(await asyncio.gather(*(one(config, each.name, each.template.base_url, limit) for each in providers)))


async def one(config: Config, name: str, url: str, limit: float = LIMIT) -> Reached:
    """The host of one URL. `name`: whose it is."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    proxy = proxy_for(parts.scheme, host, port, config.proxies, config.no_proxy)
    way = ""
    secure = parts.scheme == "https"
    if proxy is not None:
        through = urlsplit(proxy)
        host, port = through.hostname or "", through.port or (443 if through.scheme == "https" else 80)
        secure, way = through.scheme == "https", ", the proxy"
    place = f"{host}:{port}{way}"
    try:
        async with asyncio.timeout(limit):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context() if secure else None)
            writer.close()
    except TimeoutError:
        return Reached(name, False, f"{place} did not answer within {limit:.0f} s: is there a firewall?")
    except ssl.SSLCertVerificationError as error:
        advice = "set SSL_CERT_FILE to your company's certificates"
        return Reached(name, False, f"{place}: certificate refused ({error.verify_message}): {advice}")
    except ssl.SSLError as error:
        return Reached(name, False, f"{place} speaks no TLS ({error.strerror}): is base_url right?")
    except OSError as error:
        return Reached(
            name, False, f"{place}: {os.strerror(error.errno) if error.errno and error.errno > 0 else error}"
        )
    return Reached(name, True, place)
