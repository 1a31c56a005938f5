"""Log lines: one event, one line, whatever stands in it.

Text or JSON on standard error. Control characters are escaped and long lines cut, so that no name
or header can forge a second line or move a terminal's cursor.
"""

import json
import logging
import sys
import unicodedata
from datetime import UTC, datetime

from anmei.settings import Settings

LONGEST_LINE = 8_192  # characters; a stack trace fits, a megabyte of somebody's header does not


def set_up_logs(settings: Settings) -> None:
    """Sends everything at or above the level of the settings to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """`2026-01-02T03:04:05.678Z INFO anmei.http GET / 200`"""

    def format(self, record: logging.LogRecord) -> str:
        time, message = _parts(self, record)
        return f"{time} {record.levelname} {record.name} {message}"


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message"}`"""

    def format(self, record: logging.LogRecord) -> str:
        time, message = _parts(self, record)
        return json.dumps(
            {"time": time, "level": record.levelname, "logger": record.name, "message": message},
            ensure_ascii=False,
        )


def _parts(formatter: logging.Formatter, record: logging.LogRecord) -> tuple[str, str]:
    moment = datetime.fromtimestamp(record.created, UTC)
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + formatter.formatException(record.exc_info)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z", _plain(
        message
    )


def _plain(text: str) -> str:
    """`text` on one line: controls, line breaks and direction marks escaped; not too long."""
    if len(text) > LONGEST_LINE:
        text = text[:LONGEST_LINE] + f"… ({len(text)} characters)"
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        repr(character)[1:-1]
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character
        for character in text
    )
