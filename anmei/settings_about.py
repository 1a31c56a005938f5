"""What is said of a setting beside its type, and how one that cannot be used is refused."""

from typing import Any

from msgspec import Meta


class SettingsError(Exception):
    """A setting that cannot be used; the text names it, what came and what is allowed."""


def about(name: str, unit: str, doc: str, *, secret: bool = False, **limits: Any) -> Meta:
    """The variable it is read from, its unit, and one sentence; `limits` as `Meta` has them."""
    extra = {"name": name, "unit": unit, "secret": secret}
    return Meta(description=doc, extra=extra, **limits)
