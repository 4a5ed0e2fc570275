"""Addresses of the internet, and only those: for calls whose host a caller chose.

A name can lead anywhere, and lead elsewhere the next moment. So addresses are looked at after a name was resolved, and
exactly those that were looked at are connected to.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from dragoman.messages.errors import ApiError

_INSIDE = (
    # Azure's own for its machines. https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    ip_network("168.63.129.16/32"),
    # For protocols, and for Oracle's metadata (192.0.0.192). https://www.rfc-editor.org/rfc/rfc6890#section-2.2.2
    ip_network("192.0.0.0/24"),
)
"""What some clouds use inside, although the standard library takes it for addresses of the internet."""

_TRANSLATED = ip_network("64:ff9b::/96")
"""IPv4 addresses in IPv6 ones. https://www.rfc-editor.org/rfc/rfc6052#section-2.1"""


def is_public(address: str) -> bool:
    """Whether `address` is one of the internet: not of this machine, of a local network, or of a cloud's metadata.

    IPv4 inside of IPv6 counts as what it is. What is no address is not public.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inner = _inner(found)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast and not any(found in network for network in _INSIDE)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to `address` would come to."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    if address.teredo is not None:
        return address.teredo[1]
    return address.ipv4_mapped or address.sixtofour


def refuse(host: str) -> ApiError:
    """What is told about `host`, which is not of the internet."""
    text = f"{host[:200]} has an address that is not public. To allow it all the same, name it in server.endpoints."
    return ApiError("permission", text, should_retry=False)
