"""A way to a unix socket over a network of its own, that can be cut as a cable is.

With the rights for it this is a network namespace behind a pair of virtual interfaces: cut, packets
are lost without a word in both directions, whoever sends them. Without those rights it is a proxy
that hands nothing on.
"""

import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.child import Child
from tests.support.proxy import Proxy

PORT = 6_390
RELAY = """
import asyncio, sys

async def copy(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    writer.close()

async def serve(reader, writer):
    up, down = await asyncio.open_unix_connection(sys.argv[1])
    await asyncio.gather(copy(reader, down), copy(up, writer))

async def main():
    async with await asyncio.start_server(serve, sys.argv[2], int(sys.argv[3])) as server:
        print("relays", flush=True)
        await server.serve_forever()

asyncio.run(main())
"""


class Cable:
    """`host` and `port` lead to the unix socket, until `cut` and from `heal` on."""

    def __init__(self, socket: Path) -> None:
        self.host, self.port = "127.0.0.1", 0
        self._proxy: Proxy | None = None
        self._name = f"anmei{secrets.token_hex(3)}"
        self._relay: Child | None = None
        if not self._lay(socket):
            self._proxy = Proxy(socket)
            self.port = self._proxy.port

    @property
    def is_real(self) -> bool:
        """Whether it is a network."""
        return self._proxy is None

    def cut(self) -> None:
        if self._proxy is not None:
            self._proxy.pause()
        else:
            _ip("-n", self._name, "link", "set", "eth0", "down")

    def heal(self) -> None:
        if self._proxy is not None:
            self._proxy.resume()
        else:
            _ip("-n", self._name, "link", "set", "eth0", "up")

    def close(self) -> None:
        if self._proxy is not None:
            self._proxy.close()
        if self._relay is not None:
            self._relay.kill9()
            self._relay.close()
            _ip("netns", "del", self._name)  # the interfaces go with it

    def _lay(self, socket: Path) -> bool:
        if os.geteuid() or shutil.which("ip") is None or not _ip("netns", "add", self._name):
            return False
        net = f"10.213.{secrets.randbelow(250)}"
        link = ("link", "add", self._name, "type", "veth", "peer", "name", "eth0")
        if not (
            _ip(*link, "netns", self._name)
            and _ip("addr", "add", f"{net}.1/30", "dev", self._name)
            and _ip("link", "set", self._name, "up")
            and _ip("-n", self._name, "addr", "add", f"{net}.2/30", "dev", "eth0")
            and _ip("-n", self._name, "link", "set", "eth0", "up")
        ):
            _ip("netns", "del", self._name)
            return False
        self.host, self.port = f"{net}.2", PORT
        program = [sys.executable, "-c", RELAY, str(socket), self.host, str(PORT)]
        self._relay = Child(["ip", "netns", "exec", self._name, *program], cwd=socket.parent)
        self._relay.wait_for_line("relays")
        return True


def _ip(*words: str) -> bool:
    done = subprocess.run(["ip", *words], capture_output=True, timeout=10, check=False)
    return done.returncode == 0
