"""How PostgreSQL prints network addresses as text."""

from __future__ import annotations

import ipaddress


def inet_text(text: str) -> str | None:
    """Give ``inet::text`` of an address, which always has a mask; ``None`` when it is not one."""
    try:
        found = ipaddress.ip_interface(text.strip())
    except ValueError:
        return None
    return f"{_address(found.ip)}/{found.network.prefixlen}"


def cidr_text(text: str) -> str | None:
    """Give ``cidr::text`` of a network; ``None`` when it is not one (bits to the right of the mask included)."""
    try:
        found = ipaddress.ip_network(text.strip())
    except ValueError:
        return None
    return f"{_address(found.network_address)}/{found.prefixlen}"


def _address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Print an address; IPv4 inside of IPv6 keeps its dots, as there."""
    number = int(address)
    embedded = address.version == 6 and (number >> 32 == 0xFFFF or (number >> 32 == 0 and number > 0xFFFF))
    if not embedded:
        return str(address)
    return ("::ffff:" if number >> 32 else "::") + str(ipaddress.IPv4Address(number & 0xFFFFFFFF))
