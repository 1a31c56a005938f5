"""How to speak to each server: the same work, said in its own protocol.

A dialect is stateless but for what its constructor was given. Contents are plain ASCII without
quotes and braces, so they can be put between quotes as they are.
"""

from loadtest import wire


class Dialect:
    """What is sent to a server and by what its answers are known; peers differ in a few lines."""

    target = "/"
    #: Sent right after the upgrade, if anything.
    opening = b""
    #: What stands in the first frame that shows a device ready; empty: the upgrade alone does.
    ready = b""
    #: A heartbeat of the server, as it stands in the stream, and what answers it.
    heartbeat = b"\x89\x00"
    heartbeat_reply = wire.PONG
    #: Occurs once in every reply to `echo`.
    echo_reply = b'"type":"reply"'

    def target_of(self, index: int) -> str:
        """The request target of the device with this index."""
        return self.target

    def publish(self, content: str) -> bytes:
        """A frame that makes the server send `content` to everybody in the room."""
        return wire.text_frame(b'{"type":"publish","data":{"content":"%b"}}' % content.encode())

    def echo(self, number: int) -> bytes:
        """A small frame that is answered with a small frame."""
        return wire.text_frame(b'{"type":"echo","id":"%d","data":{"n":%d}}' % (number, number))


class PlainWebSocket(Dialect):
    """The `ws` and the Tornado peer."""


class Tornado(Dialect):
    """Its JSON has blanks after colons."""

    echo_reply = b'"type": "reply"'


class SocketIO(Dialect):
    """Socket.IO 5 over Engine.IO 4, WebSocket transport."""

    target = "/socket.io/?EIO=4&transport=websocket"
    opening = wire.text_frame(b"40")
    ready = b'40{"sid"'
    heartbeat = b"\x81\x012"
    heartbeat_reply = wire.text_frame(b"3")
    echo_reply = b"43"

    def publish(self, content: str) -> bytes:
        return wire.text_frame(b'42["publish",{"content":"%b"}]' % content.encode())

    def echo(self, number: int) -> bytes:
        # The reply begins with `43` and the number; one digit keeps a second `43` out of it.
        return wire.text_frame(b'42%d["echo",{"n":1}]' % (number % 10))


class Anmei(Dialect):
    """This server: a token for each device, a conversation instead of a room, durable messages."""

    ready = b'"type":"connection_established"'
    echo_reply = b'"type":"pong"'

    def __init__(self, tokens: list[str], conversation_ids: list[str], resume: bool = False):
        """Device i has `tokens[i]` and sends into `conversation_ids[i % len(conversation_ids)]`.

        With `resume` the devices promise to send `sync` themselves.
        """
        self._tokens = tokens
        self._conversation_ids = conversation_ids
        self._resume = "&resume=client" if resume else ""
        self._sent = 0

    def target_of(self, index: int) -> str:
        return f"/ws/chat?device_id=d{index}{self._resume}&token={self._tokens[index]}"

    def conversation_of(self, index: int) -> str:
        return self._conversation_ids[index % len(self._conversation_ids)]

    def publish(self, content: str, index: int = 0) -> bytes:
        self._sent += 1
        return self.send_message(content, index, f"m{self._sent}")

    def send_message(self, content: str, index: int, id: str) -> bytes:
        """A durable message from a device; `id` is the frame's and the client's message id."""
        return wire.text_frame(
            (
                f'{{"type":"send_message","id":"{id}","data":{{"conversation_id":'
                f'"{self.conversation_of(index)}","content":"{content}","client_msg_id":"{id}"}}}}'
            ).encode()
        )

    def sync(self, conversation_id: str, change_seq: int) -> bytes:
        return wire.text_frame(
            (
                '{"type":"sync","id":"sync","data":{"positions":'
                f'{{"{conversation_id}":{change_seq}}}}}}}'
            ).encode()
        )

    def echo(self, number: int) -> bytes:
        return wire.text_frame(b'{"type":"ping","id":"%d","data":{"n":%d}}' % (number, number))
