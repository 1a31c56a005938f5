"""The judgement over a journal: for every message, what became of it in the store and at each
client.

ok          stored once under the numbers that were acknowledged; shown once, in turn
lost        acknowledged and not stored; or stored and never shown to a client that was to see it
duplicate   stored, or shown to a client, more than once; or acknowledged as two messages
reordered   shown behind a later one; or numbered before one that was acknowledged before this one
            was sent
unexpected  stored or shown, and nobody sent it so; refused for good; numbers that do not agree

And `unacknowledged`: sent, and nobody vouched for it. Stored or not, both are right.
"""

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtest.chaos.journal import Line

KINDS = ("lost", "duplicate", "reordered", "unexpected")
STORE = "the store"


@dataclass
class Verdict:
    """How many of each; `findings` tells the first ones in words."""

    #: (who, kind) → how many; kind is one of KINDS, `ok` or `unacknowledged`.
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    who: list[str] = field(default_factory=list)
    #: By client: seconds from the acknowledgement of each message to its being shown, ascending.
    #: What was shown before it was acknowledged counts as 0.
    waits: dict[str, list[float]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all is ok, and there was anything to judge."""
        bad = any(count for (_, kind), count in self.counts.items() if kind in KINDS)
        return not bad and self.counts[STORE, "ok"] > 0

    def find(self, who: str, kind: str, text: str) -> None:
        self.counts[who, kind] += 1
        if len(self.findings) < 100:
            self.findings.append(f"{kind}: {who}: {text}")


@dataclass
class Sent:
    """What one client sent once, or several times under one id."""

    room: str
    at: float
    #: The answers, as (message id, seq), and when the first one came.
    acks: set[tuple[str, int]] = field(default_factory=set)
    acked_at: float = float("inf")
    refused: str = ""


def judge(lines: Iterable[Line]) -> Verdict:
    """Reads a whole journal."""
    verdict = Verdict(who=[STORE])
    sent: dict[str, Sent] = {}
    #: By room: (seq, message id, client_msg_id) in the order in which the fresh client read them.
    stored: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    #: By client: room → the seq from which on everything is to be shown.
    starts: dict[str, dict[str, int]] = {}
    #: By client: where it takes part.
    rooms_of: dict[str, set[str]] = {}
    shown: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    came: list[tuple[str, str, float]] = []
    paged: dict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for line in lines:
        what, who = line["what"], line["who"]
        if what == "send":
            sent[line["id"]] = Sent(line["room"], line["t"])
        elif what == "ack":
            one = sent[line["id"]]
            one.acks.add((line["message"], line["seq"]))
            one.acked_at = min(one.acked_at, line["t"])
        elif what == "refused":
            sent[line["id"]].refused = line["code"]
        elif what == "is":
            rooms_of[who] = set(line["rooms"])
        elif what == "start":
            starts.setdefault(who, {}).update(line["positions"])
        elif what == "got":
            came.append((who, line["id"], line["t"]))
            shown[who, line["room"]].append((line["seq"], line["message"], line["id"]))
        elif what == "paged":
            paged[who, line["room"]].append((line["seq"], line["message"], line["id"]))
        elif what == "stored":
            stored[line["room"]].append((line["seq"], line["message"], line["id"]))
        elif what == "failed to heal":
            verdict.find(STORE, "unexpected", line["text"])
        elif what == "sent away":
            verdict.find(who, "unexpected", f"told by {line['code']} not to come back")
        elif what == "miscounted":
            verdict.find(who, "unexpected", f"sync_complete of {line['room']}: {line['text']}")
    _judge_store(verdict, sent, stored)
    for who, id, moment in came:
        if id in sent and sent[id].acks:
            wait = max(0.0, moment - sent[id].acked_at)
            bisect.insort(verdict.waits.setdefault(who, []), wait)
    for who in sorted(starts.keys() | rooms_of.keys()):
        verdict.who.append(who)
        begun = starts.get(who, {})
        for room in sorted(rooms_of.get(who, set()) - begun.keys()):
            verdict.find(who, "unexpected", f"never came to {room}")
        for room, start in begun.items():
            expected = [entry for entry in stored[room] if entry[0] > start]
            _judge_client(verdict, who, room, expected, shown[who, room], paged[who, room])
            known = {entry[1] for entry in stored[room]}
            for seq, message, id in shown[who, room] + paged[who, room]:
                if message not in known:
                    verdict.find(who, "unexpected", f"{id} ({message}, {seq}) is not stored")
    return verdict


def _judge_store(
    verdict: Verdict, sent: dict[str, Sent], stored: dict[str, list[tuple[int, str, str]]]
) -> None:
    places: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for room, entries in stored.items():
        for before, entry in zip([(0, "", ""), *entries], entries, strict=False):
            seq, message, id = entry
            if id not in sent or sent[id].room != room:
                verdict.find(STORE, "unexpected", f"nobody sent {id} ({message}) to {room}")
            if seq <= before[0]:
                verdict.find(STORE, "reordered", f"{room}: {before} stands before {entry}")
            places[id].append((message, seq, room))
    for id, one in sent.items():
        found = places[id]
        if len(one.acks) > 1:
            verdict.find(STORE, "duplicate", f"{id} was acknowledged as {sorted(one.acks)}")
        if len(found) > 1:
            verdict.find(STORE, "duplicate", f"{id} is stored as {found}")
        elif one.acks and not found:
            verdict.find(STORE, "lost", f"{id} was acknowledged as {sorted(one.acks)}")
        elif one.acks and found[0][:2] not in one.acks:
            verdict.find(STORE, "unexpected", f"{id} is {found[0]}, and said {sorted(one.acks)}")
        elif one.refused:
            verdict.find(STORE, "unexpected", f"{id} was refused for good: {one.refused}")
        elif not one.acks:
            verdict.counts[STORE, "unacknowledged"] += 1
        elif len(one.acks) == 1:
            verdict.counts[STORE, "ok"] += 1
    for entries in stored.values():
        _judge_time(verdict, sent, entries)


def _judge_time(
    verdict: Verdict, sent: dict[str, Sent], entries: list[tuple[int, str, str]]
) -> None:
    """What was acknowledged before another was sent must have the lower number."""
    known = [(sent[id], seq, id) for seq, _, id in entries if id in sent]
    done = sorted((one.acked_at, seq) for one, seq, _ in known)
    highest: list[int] = []  # of all acknowledged up to then
    for _, seq in done:
        highest.append(max(seq, highest[-1] if highest else 0))
    for one, seq, id in known:
        # `bisect` by the time alone: -1 is below every number.
        before = bisect.bisect_left(done, (one.at, -1))
        if before and highest[before - 1] > seq:
            verdict.find(STORE, "reordered", f"{id} has {seq}; {highest[before - 1]} was there")


def _judge_client(
    verdict: Verdict,
    who: str,
    room: str,
    expected: list[tuple[int, str, str]],
    shown: list[tuple[int, str, str]],
    paged: list[tuple[int, str, str]],
) -> None:
    seen: dict[str, int] = {}
    wrong: set[str] = set()
    last = 0
    for seq, message, id in shown:
        if message in seen:
            verdict.find(who, "duplicate", f"{room}: {id} ({message}, {seq}) came again")
            wrong.add(message)
        elif seq < last:
            verdict.find(who, "reordered", f"{room}: {id} ({seq}) came behind {last}")
            wrong.add(message)
        seen[message] = seq
        last = max(last, seq)
    seen.update({message: seq for seq, message, _ in paged})
    for seq, message, id in expected:
        if message not in seen:
            verdict.find(who, "lost", f"{room}: {id} ({message}, {seq}) was never shown")
        elif seen[message] != seq:
            verdict.find(
                who, "unexpected", f"{room}: {id} is {seq} and was shown as {seen[message]}"
            )
        elif message not in wrong:
            verdict.counts[who, "ok"] += 1
