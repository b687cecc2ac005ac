"""Where a webhook may be, and which address its host really has at the moment of a call.

Whoever runs the portal names the hosts (WEBHOOK_HOSTS). A host's name may lead anywhere, and
somewhere else a second later: so each call asks for its addresses once, refuses all that are inside
the network but not named (WEBHOOK_NETWORKS), and connects to the one that it looked at.
"""

import socket
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import SplitResult, urlsplit

from apps.integrations.errors import PermanentError, TemporaryError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolver = Callable[..., Sequence[tuple[Any, ...]]]
# IPv6 addresses that a translator turns into the IPv4 address of their last 32 bits (RFC 6052)
TRANSLATED = ip_network("64:ff9b::/96")
# The only IPv6 addresses that are given out to be public (RFC 4291); Python calls others so too.
PUBLIC_IPV6 = ip_network("2000::/3")
MOST_CHARACTERS = 500


class NotAllowed(PermanentError):
    """A webhook may not be there. The text says why."""


@dataclass(frozen=True)
class Allowed:
    """Where webhooks may be. hosts: lower-case names; ".example.com" for all below it. networks:
    inside addresses that they may have. plain: whether http may be used, to those addresses alone.
    """

    hosts: Collection[str] = ()
    networks: Sequence[Network] = ()
    plain: bool = False

    def has(self, host: str) -> bool:
        """Tell whether this host is named."""
        return any(host == name or (name[:1] == "." and host.endswith(name)) for name in self.hosts)


def checked(url: str, allowed: Allowed) -> SplitResult:
    """Return an address in its parts. Raises NotAllowed where it is none that a webhook may have,
    whatever its host's addresses are.
    """
    problem = _problem(url, allowed)
    if problem:
        raise NotAllowed(problem)
    return urlsplit(url)


def _problem(url: str, allowed: Allowed) -> str:
    schemes = ("https", "http") if allowed.plain else ("https",)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "That is no address."
    if parts.scheme not in schemes or not parts.hostname or len(url) > MOST_CHARACTERS:
        return f"A webhook's address begins with {schemes[0]}:// and has at most 500 characters."
    if any(ord(character) <= 32 or ord(character) > 126 for character in url):
        return "A webhook's address is written without spaces, and in ASCII."
    if parts.username is not None or parts.password is not None or parts.fragment or port == 0:
        return "A webhook's address has no user, no password and no part after a #."
    if not allowed.has(parts.hostname):
        return f"Webhooks may not be at {parts.hostname}: whoever runs the portal names the hosts."
    return ""


def address_of(
    parts: SplitResult, allowed: Allowed, *, resolve: Resolver = socket.getaddrinfo
) -> str:
    """Return the address to connect to, as it is now: the first of the host's, all of which must be
    allowed. Raises TemporaryError where the host has none now; NotAllowed.
    """
    host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise TemporaryError(f"{host} has no address now.") from None
    addresses = [ip_address(str(row[4][0]).partition("%")[0]) for row in found]
    if not addresses:
        raise TemporaryError(f"{host} has no address now.")
    for address in addresses:
        _permit(address, parts, allowed)
    return str(addresses[0])


def _permit(address: Address, parts: SplitResult, allowed: Allowed) -> None:
    """Raise NotAllowed for an address inside the network that nobody named, or for plain http to
    any other.
    """
    meant = list(_meant(address))
    is_named = all(_is_in(one, allowed.networks) for one in meant)
    if not is_named and not all(_is_public(one) for one in meant):
        raise NotAllowed(
            f"{parts.hostname} leads to an address inside the network, where no webhook may be."
        )
    if parts.scheme != "https" and not is_named:
        raise NotAllowed("Plain http is for addresses of this machine alone: use https.")


def _meant(address: Address) -> Iterable[Address]:
    """Yield an address, and the IPv4 addresses that it stands for."""
    yield address
    if isinstance(address, IPv4Address):
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in TRANSLATED:
        inner.append(IPv4Address(int(address) & 0xFFFFFFFF))
    yield from (one for one in inner if one is not None)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and not _is_in(address, (PUBLIC_IPV6, TRANSLATED)):
        return False
    return address.is_global and not address.is_multicast


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
