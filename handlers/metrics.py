"""`/metrics`: the counters of this process as Prometheus reads them.

Every label has a closed set of values, and none of them names a user, a tenant or a conversation.
"""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from anmei import __version__
from anmei.close_codes import CloseCode
from handlers.api import ApiHandler
from handlers.services import Services

#: Counters without a label: the field of `Counters`, and what it counts.
TOTALS = {
    "connections": "Connections accepted and authenticated.",
    "frames": "Frames received from clients.",
    "messages": "Messages acknowledged.",
    "duplicates": "Messages acknowledged that were repeats of a stored one.",
    "archive_batches": "Transactions of the archive.",
    "archive_writes": "Writes in the transactions of the archive.",
    "store_failures": "Batches that failed because the database could not be reached.",
    "indexed": "Messages entered into the search index.",
    "encodes": "Events encoded for delivery.",
    "deliveries": "Frames delivered to devices.",
    "flushes": "Sends that carried the deliveries.",
    "shed": "Typing and presence events left out for slow devices.",
    "holes": "Missing numbers read from the store.",
    "late": "Events dropped because a later one had gone out.",
    "replayed": "Events replayed to devices that had missed them.",
    "resets": "Conversations answered with a reset since too much was missed.",
    "resends": "Replays to live devices that did not acknowledge in time.",
    "bus_envelopes": "Envelopes sent to other nodes.",
    "bus_publishes": "Publishes that carried them.",
    "bus_bytes": "Bytes of these publishes.",
    "bus_failures": "Flushes that Redis did not take.",
    "bus_unheard": "Publishes that no connection heard.",
    "bus_dropped": "Envelopes that found no room to wait.",
    "bus_received": "Packets of other nodes.",
    "bus_repeats": "Packets dropped since they came before.",
    "bus_refused": "Packets dropped since they are not from one of our nodes.",
    "bus_connects": "Subscriptions that began.",
    "bus_gaps": "Gaps announced: something may have been missed.",
    "outside": "Messages of backends that were delivered.",
    "outside_refused": "Messages of backends that were refused.",
    "previews": "Pages asked for a link preview that gave one.",
    "previews_failed": "Pages that gave none.",
    "previews_dropped": "Links that found no room to wait.",
    "crashes": "Supervised tasks that ended with an exception.",
}
#: Close codes of the protocol itself; any other of a client's choosing is `other`.
_STANDARD = frozenset({1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011})
_KNOWN = _STANDARD | {int(code) for code in CloseCode}


class Gauges(Collector):
    """Reads the parts of the running server at the moment it is asked."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        counters = self._services.counters
        for field, doc in TOTALS.items():
            yield CounterMetricFamily(f"anmei_{field}", doc, value=getattr(counters, field))
        errors = CounterMetricFamily("anmei_errors", "Errors answered.", labels=["code"])
        for code, count in sorted(counters.errors.items()):
            errors.add_metric([code], count)
        yield errors
        closes = CounterMetricFamily("anmei_closes", "Connections ended.", labels=["code"])
        for label, count in sorted(self._closes().items()):
            closes.add_metric([label], count)
        yield closes
        services = self._services
        router = services.router
        for name, doc, value in (
            ("connections_open", "Connections that are open.", router.connections),
            ("users_online", "Users with a connection here, or in grace.", len(router.users)),
            (
                "sequencers",
                "Conversations and inboxes of people here.",
                len(router.sequencers),
            ),
            ("archive_waiting", "Writes that wait for a transaction.", services.archive.waiting),
            ("archive_down", "1 while the database cannot be reached.", services.archive.down),
            ("nodes", "Nodes that this one knows, itself included.", services.bus.others + 1),
            ("revocations", "Revocations in force.", len(services.revocations)),
            ("draining", "1 while clients are sent to other nodes.", router.draining),
        ):
            yield GaugeMetricFamily(f"anmei_{name}", doc, value=value)
        # The node says which of the processes behind one port has answered.
        for name, label, text in (
            ("build_info", "version", __version__),
            ("node_info", "node", router.node_id),
        ):
            info = GaugeMetricFamily(f"anmei_{name}", "Always 1.", labels=[label])
            info.add_metric([text], 1)
            yield info

    def _closes(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for code, count in self._services.counters.closes.items():
            label = str(int(code)) if code in _KNOWN else "other"
            found[label] = found.get(label, 0) + count
        return found


def make_registry(services: Services) -> CollectorRegistry:
    """All metrics of one server; of its own, so that two in a process do not meet."""
    registry = CollectorRegistry()
    registry.register(Gauges(services))
    ProcessCollector(registry=registry)
    return registry


class Metrics(ApiHandler):
    """`/metrics`"""

    needs = None

    def initialize(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def get(self) -> None:
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(self._registry))
