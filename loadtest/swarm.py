"""Many WebSocket clients in one process: epoll, raw sockets, and as little Python as possible.

What the devices receive is handed to a *feed*, a function of (device, bytes). The bytes are never
cut inside a marker (see `Device.cut`), so a feed may count markers with `bytes.count`.
"""

import errno
import os
import resource
import select
import socket
import time
from collections.abc import Callable

from loadtest.device import CHUNK_BYTES, Device, SwarmError
from loadtest.dialects import Dialect
from loadtest.progress import Progress

#: Handshakes under way at once, so that the server's listen queue never overflows.
OPENING_AT_ONCE = 256
#: One source address has some 28,000 ports.
DEVICES_PER_ADDRESS = 25_000
EVENTS_AT_ONCE = 4_096

Feed = Callable[[Device, bytes], None]


def ignore(device: Device, data: bytes) -> None:
    """The feed for what does not matter."""


class Swarm:
    """The devices of one scenario, and the loop that reads for them."""

    def __init__(self, port: int, dialect: Dialect, progress: Progress):
        self.dialect = dialect
        self.devices: list[Device] = []
        #: For each device whose connection ended: why.
        self.lost: dict[int, str] = {}
        #: Where not 0: instead of waiting in epoll, look every so many seconds. Then a delivery
        #: does not wake this process, which a server pays for whose clients are on its own machine
        #: and no other.
        self.nap = 0.0
        self._port = port
        self._by_fd: dict[int, Device] = {}
        self._epoll = select.epoll()
        self._progress = progress

    def open(
        self,
        count: int,
        feed: Feed = ignore,
        on_ready: Callable[[Device], None] | None = None,
        timeout: float = 120.0,
    ) -> None:
        """Connect `count` more devices and wait until all are ready. Raises SwarmError.

        `on_ready` is called with each when it is, and `feed` gets what it receives from then on.
        """
        first = len(self.devices)
        _allow_sockets(first + count)
        deadline = time.monotonic() + timeout
        ready = 0
        while ready < count:
            begun = len(self.devices) - first
            for _ in range(min(count - begun, OPENING_AT_ONCE - (begun - ready))):
                self._connect()
            for fd, _ in self._epoll.poll(1.0, EVENTS_AT_ONCE):
                device = self._by_fd[fd]
                if device.ready:
                    self._read(device, feed)
                elif not device.requested:
                    device.request(self.dialect, f"127.0.0.1:{self._port}")
                    self._epoll.modify(fd, select.EPOLLIN)
                else:
                    device.shake_hands(self.dialect)
                    if device.ready:
                        ready += 1
                        if on_ready is not None:
                            on_ready(device)
                        if device.tail:
                            feed(device, device.cut(b""))
            self._progress.show(f"connected {ready:,} of {count:,}")
            if time.monotonic() > deadline:
                raise SwarmError(f"{ready} of {count} devices were ready after {timeout:.0f} s")

    def pump(self, feed: Feed, timeout: float) -> None:
        """Wait up to `timeout` seconds for anything, and read what is there."""
        if self.nap and timeout:
            time.sleep(min(self.nap, timeout))
            timeout = 0
        for fd, _ in self._epoll.poll(timeout, EVENTS_AT_ONCE):
            self._read(self._by_fd[fd], feed)

    def pump_until(self, done: Callable[[], bool], feed: Feed, timeout: float) -> bool:
        """Read until `done()` or until the time is over; whether it was done."""
        deadline = time.monotonic() + timeout
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.pump(feed, min(left, 0.5))
        return True

    def rest(self, seconds: float, feed: Feed = ignore) -> None:
        """Let time pass, answering heartbeats."""
        self.pump_until(lambda: False, feed, seconds)

    def pause(self, device: Device) -> None:
        """Stop reading from a device, as a phone that has gone to sleep does."""
        self._epoll.unregister(device.fd)

    def unpause(self, device: Device) -> None:
        self._epoll.register(device.fd, select.EPOLLIN)

    def close(self) -> None:
        """Drop every connection; the swarm may be opened again."""
        for device in self.devices:
            device.socket.close()
        self.devices.clear()
        self.lost.clear()
        self._by_fd.clear()

    def _connect(self) -> None:
        index = len(self.devices)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if index >= DEVICES_PER_ADDRESS:
            sock.bind((f"127.0.0.{1 + index // DEVICES_PER_ADDRESS}", 0))
        result = sock.connect_ex(("127.0.0.1", self._port))
        if result not in (0, errno.EINPROGRESS):
            raise SwarmError(f"device {index}: {os.strerror(result)}")
        device = Device(index, sock)
        self.devices.append(device)
        self._by_fd[device.fd] = device
        self._epoll.register(device.fd, select.EPOLLOUT)

    def _read(self, device: Device, feed: Feed) -> None:
        try:
            data = os.read(device.fd, CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(device, str(error))
            return
        if not data:
            self._lose(device, "closed by the server")
            return
        if self.dialect.heartbeat in data:
            device.send(self.dialect.heartbeat_reply)
        # 125 is "}" and 93 is "]": nearly every chunk ends with one, at the end of a JSON frame.
        if device.tail or (data[-1] != 125 and data[-1] != 93):
            data = device.cut(data)
        feed(device, data)

    def _lose(self, device: Device, reason: str) -> None:
        self.lost[device.index] = reason
        del self._by_fd[device.fd]
        device.socket.close()


def _allow_sockets(count: int) -> None:
    """Raise the limit of open files as far as needed. Raises SwarmError when it is not enough."""
    need = count + 100
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and need > hard:
        raise SwarmError(f"{count} devices need {need} open files; `ulimit -Hn` allows {hard}")
    if soft != resource.RLIM_INFINITY and need > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
