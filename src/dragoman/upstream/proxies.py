"""Which proxy a call goes through, decided from values: scheme, host and port in, proxy URL or None out.

Loopback never goes through a proxy: a user's HTTP_PROXY must not swallow a model server on the same machine.
`NO_PROXY` as curl and Go read it: https://pkg.go.dev/golang.org/x/net/http/httpproxy#Config
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network


def proxy_for(
    scheme: str, host: str, port: int | None, proxies: Mapping[str, str], no_proxy: Sequence[str]
) -> str | None:
    """`proxies`: scheme (or "all") -> proxy URL. `host`: without brackets."""
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or is_loopback(host):
        return None
    host = host.lower().rstrip(".")
    if any(_covers(entry.strip().lower(), host, port) for entry in no_proxy):
        return None
    return proxy


def is_loopback(host: str) -> bool:
    """True for localhost, its subdomains (RFC 6761), 127.0.0.0/8 and ::1."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    if "/" in entry:
        return _in_network(entry, host)
    name, number = _split_port(entry)
    if number and number != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _split_port(entry: str) -> tuple[str, str]:
    if entry.startswith("["):
        name, _, rest = entry[1:].partition("]")
        return name, rest.removeprefix(":")
    if entry.count(":") == 1:
        name, _, number = entry.partition(":")
        return name, number
    return entry, ""


def _in_network(entry: str, host: str) -> bool:
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return False
