"""The command that puts a link's preview on its message."""

import msgspec


class SetPreview(msgspec.Struct):
    """Show what the page at the first link of a message says of itself. Reply: `{"set": bool}`.

    Nothing is set, and nothing changes, where the message was recalled, is gone, or begins with
    another link by now.
    """

    conversation_key: str
    message_id: str
    url: str
    #: JSON text of `link_preview`.
    preview: str
