"""Durable messages between members of conversations, with the time of every one of them.

A message carries the moment at which it was sent, or in an open loop was to be sent, so a client
that falls behind counts as waiting time and is not left out.
"""

import re
import secrets
import time
from collections import deque
from collections.abc import Callable

from loadtest.device import Device, SwarmError
from loadtest.dialects import Anmei
from loadtest.stats import percentiles
from loadtest.swarm import Swarm

PATIENCE_SECONDS = 30
#: A client that has fallen behind sends no more than this before it reads again; or its devices
#: would be the slow ones.
BURST = 8
_ACK = b'"type":"ack"'
_ERROR = re.compile(rb'\{[^{}]*"type":"error".{0,300}')


class Traffic:
    """Sends, and meters acknowledgements and deliveries."""

    def __init__(self, swarm: Swarm, dialect: Anmei, conversations: int, size: int = 120):
        self.acked = 0
        self.delivered = 0
        #: Devices at the end of the swarm that are not expected to receive.
        self.absent = 0
        #: Seconds from send to acknowledgement, and to each delivery.
        self.ack_times: list[float] = []
        self.delivery_times: list[float] = []
        self._swarm = swarm
        self._dialect = dialect
        self._conversations = conversations
        self._size = size
        self._sent = [0] * conversations
        self._waiting: list[deque[int]] = [deque() for _ in swarm.devices]
        self._tag = f"@{secrets.token_hex(3)}#"
        self._stamps = re.compile(self._tag.encode() + rb"(\d+);")
        self._sending = False
        self._before = [device.received for device in swarm.devices]

    @property
    def sent(self) -> int:
        return sum(self._sent)

    def closed_loop(self, seconds: float, senders: int, show: Callable[[str], None]) -> float:
        """Each sender sends its next message when the last is acknowledged. Returns messages/s.

        The first fifth is for warming up; times before are forgotten, and so is what comes after.
        """
        self._sending = True
        for device in self._swarm.devices[:senders]:
            self._send(device, time.perf_counter_ns())
        self._run(seconds / 5, show)
        self.forget()
        began, acked = time.perf_counter(), self.acked
        self._run(seconds * 4 / 5, show)
        rate = (self.acked - acked) / (time.perf_counter() - began)
        self._sending = False
        self.finish()
        return rate

    def open_loop(
        self, rate: float, seconds: float, senders: int, show: Callable[[str], None]
    ) -> None:
        """`rate` messages/s from the senders in turn, whatever comes back."""
        began = time.perf_counter_ns()
        step = 1e9 / rate
        total = int(rate * seconds)
        number = 0
        while number < total:
            now = time.perf_counter_ns()
            last = min(total, number + BURST)
            while number < last and (due := began + int(number * step)) <= now:
                self._send(self._swarm.devices[number % senders], due)
                number += 1
            wait = (began + number * step - time.perf_counter_ns()) / 1e9
            self._swarm.pump(self.feed, max(0.0, wait))
            self._check_connections()
            show(f"{number:,} of {total:,} messages")
        self.finish()

    def finish(self) -> None:
        """Wait for what is under way, and a moment for what should not come."""
        members = len(self._swarm.devices) // self._conversations - self.absent
        self._swarm.pump_until(
            lambda: self.acked >= self.sent and self.delivered >= self.sent * members,
            self.feed,
            PATIENCE_SECONDS,
        )
        self._swarm.rest(0.2, self.feed)
        self._check_connections()

    def forget(self) -> None:
        """Drop the times so far, not the counts."""
        self.ack_times.clear()
        self.delivery_times.clear()

    def summary(self) -> dict[str, object]:
        """Percentiles, and what was lost or came twice, over everything that was sent."""
        differences = [
            device.received - before - self._sent[device.index % self._conversations]
            for device, before in zip(self._swarm.devices, self._before, strict=True)
        ][: len(self._swarm.devices) - self.absent]
        return {
            **percentiles(self.ack_times, "ack"),
            **percentiles(self.delivery_times, "receive"),
            "sent": self.sent,
            "unacknowledged": self.sent - self.acked,
            "lost": -sum(min(0, difference) for difference in differences),
            "doubled": sum(max(0, difference) for difference in differences),
        }

    def feed(self, device: Device, data: bytes) -> None:
        stamps = self._stamps.findall(data)
        acks = data.count(_ACK)
        now = time.perf_counter_ns()
        if stamps:
            device.received += len(stamps)
            self.delivered += len(stamps)
            self.delivery_times += [(now - int(stamp)) / 1e9 for stamp in stamps]
        if acks:
            self.acked += acks
            waiting = self._waiting[device.index]
            for _ in range(acks):
                self.ack_times.append((now - waiting.popleft()) / 1e9)
                if self._sending:
                    self._send(device, now)
        if b'"type":"error"' in data and (found := _ERROR.search(data)):
            raise SwarmError(f"the server answered {found[0].decode(errors='replace')}")

    def _send(self, device: Device, stamp: int) -> None:
        self._sent[device.index % self._conversations] += 1
        self._waiting[device.index].append(stamp)
        content = f"{self._tag}{stamp};".ljust(self._size, "x")
        device.send(self._dialect.publish(content, device.index))

    def _run(self, seconds: float, show: Callable[[str], None]) -> None:
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._swarm.pump(self.feed, min(left, 0.5))
            show(f"{self.acked:,} acknowledged")
            self._check_connections()

    def _check_connections(self) -> None:
        for index, reason in self._swarm.lost.items():
            if index < len(self._swarm.devices) - self.absent:
                raise SwarmError(f"device {index} was lost: {reason}")
