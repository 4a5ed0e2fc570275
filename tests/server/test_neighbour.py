"""Who is at the other end of a connection on this machine."""

import os
import socket
import sys
from pathlib import Path

import pytest

from dragoman.server.neighbour import is_mine

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
FOUR = "   1: 0100007F:D431 0100007F:1F92 01 00000000:00000000 00:00000000 00000000    33        0 12345 1 0 20 4\n"
SIX = f"   0: {'0' * 24}01000000:D431 {'0' * 24}01000000:1F92 01 0:0 0:0 0    33        0 12345 1 0 20 4\n"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell")
little = pytest.mark.skipif(sys.byteorder != "little", reason="the lines were written on such a machine")


@needs_linux
@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_an_own_connection(family: socket.AddressFamily, host: str) -> None:
    with socket.socket(family) as listener:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"{host} is not there")
        listener.listen()
        with socket.create_connection(listener.getsockname()[:2]) as caller:
            here, there = caller.getpeername()[:2], caller.getsockname()[:2]
            assert is_mine(there, here)
            assert not is_mine(there, here, user=os.getuid() + 1)
            assert not is_mine((there[0], 1), here)


@little
@pytest.mark.parametrize(("table", "host", "line"), [("tcp", "127.0.0.1", FOUR), ("tcp6", "::1", SIX)])
def test_somebody_elses(tmp_path: Path, table: str, host: str, line: str) -> None:
    (tmp_path / table).write_text(HEAD + "cut\n" + line, "ascii")
    assert is_mine((host, 54321), (host, 8082), tmp_path, 33)
    assert not is_mine((host, 54321), (host, 8082), tmp_path, 1000)
    assert not is_mine((host, 8082), (host, 54321), tmp_path, 33)


def test_a_system_that_does_not_tell(tmp_path: Path) -> None:
    assert is_mine(("127.0.0.1", 54321), ("127.0.0.1", 8082), tmp_path, 33)
