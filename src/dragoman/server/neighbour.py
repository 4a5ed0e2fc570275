"""Who is at the other end of a connection inside this machine, as Linux tells it.

A proxy on this machine may look like its user in every header: nginx does since 1.29.7. But it runs as another user.
https://nginx.org/en/CHANGES and https://docs.kernel.org/networking/proc_net_tcp.html
"""

import os
import struct
from ipaddress import ip_address
from pathlib import Path

TABLES = Path("/proc/net")

Place = tuple[str, int]  # address, port


def is_mine(other: Place, here: Place, tables: Path = TABLES, user: int | None = None) -> bool:
    """Whether `user`, by default that of this process, has the end `other` of the connection that ends at `here`.

    True as well where the system does not tell, which is everywhere but on Linux.
    """
    addresses = ip_address(other[0]), ip_address(here[0])
    table = tables / ("tcp" if addresses[0].version == 4 else "tcp6")
    try:
        lines = table.read_text("ascii").splitlines()[1:]
    except OSError:
        return True
    mine = os.getuid() if user is None else user
    ends = [_shown(address.packed, port) for address, port in zip(addresses, (other[1], here[1]), strict=True)]
    # number, its own end, the other end, state, queues, timer, retransmissions, user, ...
    return any(fields[1:3] == ends and fields[7] == str(mine) for fields in map(str.split, lines) if len(fields) > 7)


def _shown(address: bytes, port: int) -> str:
    """As the table has it: words of four bytes in the machine's own order, in hexadecimal."""
    words = struct.unpack(f"={len(address) // 4}I", address)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
