"""Where the server may go when a stranger names an address: to the public internet, nowhere else.

A name says nothing about where it leads: it is the resolved address that is judged, and the one
that was judged is the one that is connected to (`actors.fetcher`). So there is nothing between the
judgement and the connection that could change.
"""

import re
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urljoin, urlsplit

import msgspec

WEB_PORTS = frozenset({80, 443})
MAX_URL_LENGTH = 2_048

_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_.])?\Z")
_PATH = "/:@!$&'()*+,;=~-._%"

#: What is not the public internet, by the registries of special-purpose addresses, and addresses
#: under which clouds tell a machine its secrets.
_NOT_PUBLIC_4 = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",  # this machine
        "168.63.129.16/32",  # a cloud's own services, at a public address
        "169.254.0.0/16",  # this link, and the metadata of clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocols
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
#: Of IPv6 only this is public: no mapped or translated IPv4, no unique-local or link-local one.
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols, among them Teredo, which carries an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which carries an IPv4 address
        "3fff::/20",  # documentation
    )
)
#: The middle of an ISATAP address, which carries an IPv4 address behind it.
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


class Refused(Exception):
    """An address that the server does not go to; the text says why."""


class Target(msgspec.Struct, frozen=True):
    """An address of the web, taken apart."""

    scheme: str
    host: str
    port: int
    #: Path and query, as they stand in a request.
    path: str

    @property
    def shown_host(self) -> str:
        """The value of the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return host if usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.shown_host}{self.path}"


def read_url(url: str, ports: Container[int] = WEB_PORTS) -> Target:
    """An http or https address without a user, on one of `ports`. Raises Refused."""
    if len(url) > MAX_URL_LENGTH or not url.isprintable() or " " in url or "\\" in url:
        raise Refused(f"an address is at most {MAX_URL_LENGTH} printable characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("it is no address") from None
    if parts.scheme not in ("http", "https"):
        raise Refused("only http and https are fetched")
    if not host or "@" in parts.netloc:
        raise Refused("expected a host, and no user")
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if port not in ports:
        raise Refused(f"port {port} is none of the web")
    path = quote(parts.path, safe=_PATH) or "/"
    if parts.query:
        path += "?" + quote(parts.query, safe=_PATH + "?")
    return Target(parts.scheme, _read_host(host), port, path)


def follow(target: Target, location: str, ports: Container[int] = WEB_PORTS) -> Target:
    """Where a redirect leads. Raises Refused."""
    try:
        return read_url(urljoin(target.url, location.strip()), ports)
    except ValueError:
        raise Refused("a redirect to no address") from None


def is_public(text: str) -> bool:
    """Whether an IP address is one of the public internet."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    return (
        address.scope_id is None
        and address in _PUBLIC_6
        and not any(address in network for network in _NOT_PUBLIC_6)
        and int(address) >> 32 & 0xFFFF_FFFF not in _ISATAP
    )


def _read_host(host: str) -> str:
    if ":" in host and "%" not in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise Refused("it is no address") from None
    try:
        name = host if host.isascii() else host.encode("idna").decode().lower()
    except UnicodeError:
        raise Refused("it is no host name") from None
    if not _NAME.match(name):
        raise Refused("it is no host name")
    return name
