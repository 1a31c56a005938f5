"""Packets between nodes: what one node seals another opens, and nobody else can make one."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anmei.codec import encode
from anmei.envelope import ALL, MAX_BYTES, BadPacket, Packet, Seal, Signer, fits, parts

SECRET, OLDER = "s" * 32, "o" * 32
ENVELOPES = [{"kind": "change", "data": {"content": "héllo 你好"}}, {"kind": "whisper", "n": None}]


def sealed(envelopes=ENVELOPES, *, secrets=(SECRET,), sender="node_a", to="node_b", number=7):
    encoded = [encode(envelope) for envelope in envelopes]
    return Seal(secrets).close(sender, to, number, encoded)


def forged(text: bytes) -> bytes:
    """A packet with this text, made by somebody who holds the key."""
    key = hmac.new(SECRET.encode(), b"anmei nodes 1", hashlib.sha256).digest()
    return hmac.new(key, text, hashlib.sha256).hexdigest().encode() + text


def test_what_is_sealed_opens_as_it_was():
    assert Seal([SECRET]).open(sealed()) == Packet("node_a", "node_b", 7, ENVELOPES)


def test_a_packet_to_all_and_an_empty_one_open():
    assert Seal([SECRET]).open(sealed([], to=ALL)) == Packet("node_a", ALL, 7, [])


def test_a_packet_is_an_hmac_and_json_text():
    data = sealed()
    text = {"from": "node_a", "to": "node_b", "n": 7, "envelopes": ENVELOPES}
    assert json.loads(data[64:]) == text
    assert forged(data[64:]) == data


def test_secrets_are_changed_one_node_after_the_other():
    both = Seal([SECRET, OLDER])
    assert both.open(sealed(secrets=[OLDER])).number == 7
    assert Seal([SECRET]).open(sealed(secrets=[SECRET, OLDER])).number == 7
    with pytest.raises(BadPacket, match="HMAC"):
        Seal([SECRET]).open(sealed(secrets=[OLDER]))


def test_a_key_for_one_use_is_none_for_another():
    text = b"{}"
    assert not Signer([SECRET], b"a").holds(text, Signer([SECRET], b"b").sign(text))


def test_without_a_secret_there_is_no_seal():
    with pytest.raises(ValueError, match="one secret at least"):
        Seal([])


@given(st.data())
def test_a_packet_with_any_byte_changed_is_refused(data):
    packet = bytearray(sealed())
    place = data.draw(st.integers(0, len(packet) - 1))
    packet[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadPacket):
        Seal([SECRET]).open(bytes(packet))


@given(st.binary(max_size=300))
def test_whatever_bytes_come_nothing_but_bad_packet_is_raised(garbage):
    for data in (garbage, forged(garbage)):
        with pytest.raises(BadPacket):
            Seal([SECRET]).open(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(["from", "to", "n", "envelopes"], json_values))
)
def test_a_packet_of_another_shape_is_refused(value):
    try:
        packet = Seal([SECRET]).open(forged(json.dumps(value).encode()))
    except BadPacket:
        return
    assert isinstance(packet.sender, str)
    assert packet.number > 0
    assert all(isinstance(envelope["kind"], str) for envelope in packet.envelopes)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b"1" * 10_000,
        b'{"from":"node_a","to":"node_b","n":0,"envelopes":[]}',
        b'{"from":"node_a","to":"node_b","n":true,"envelopes":[]}',
        b'{"from":"node_a","to":"node_b","n":1e300,"envelopes":[]}',
        b'{"from":"node:*","to":"node_b","n":1,"envelopes":[]}',
        b'{"from":"node_a","to":"a b","n":1,"envelopes":[]}',
        b'{"from":"node_a","to":"node_b","n":1,"envelopes":[{}]}',
        b'{"from":"node_a","to":"node_b","n":1,"envelopes":[{"kind":1}]}',
        b'{"from":"node_a","to":"node_b","n":1,"envelopes":["x"]}',
    ],
)
def test_even_with_the_key_only_packets_open(text):
    with pytest.raises(BadPacket):
        Seal([SECRET]).open(forged(text))


def test_what_is_too_long_is_refused_before_anything_is_computed():
    with pytest.raises(BadPacket, match="at most"):
        Seal([SECRET]).open(b"0" * (MAX_BYTES + 1))


def test_the_largest_envelope_that_fits_makes_a_packet_that_opens():
    envelope = {"kind": "k", "data": ""}
    envelope["data"] = "x" * (MAX_BYTES - 512 - len(encode(envelope)))
    assert fits(encode(envelope))
    assert not fits(encode(envelope) + b" ")
    assert Seal([SECRET]).open(sealed([envelope])).envelopes == [envelope]


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=40), st.integers(1, 100))
def test_parts_keep_everything_in_order_and_are_not_too_large(encoded, most):
    pieces = parts(encoded, most)
    assert [envelope for piece in pieces for envelope in piece] == encoded
    for piece in pieces:
        assert piece
        assert len(piece) == 1 or len(b",".join(piece)) <= most
