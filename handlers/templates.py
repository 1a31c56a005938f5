"""Templates that backends write messages with."""

from typing import Annotated

import msgspec
from msgspec import Meta

from anmei.clock import now_ms
from anmei.content import check_content
from anmei.errors import AnmeiError, ErrorCode, not_found
from anmei.frames import Id, Limit
from anmei.ids import make_key
from anmei.principal import SERVICE
from anmei.templates import LANGUAGE_PATTERN, MAX_LANGUAGES, Template, Value, placeholders
from db import templates
from handlers.api import ApiHandler
from handlers.conversations import Cursor

Language = Annotated[str, Meta(pattern=LANGUAGE_PATTERN)]


class SavedTemplate(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `PUT /api/v1/templates/{name}`."""

    texts: Annotated[dict[Language, str], Meta(min_length=1, max_length=MAX_LANGUAGES)]
    #: Needed where there are several.
    default_language: Language | None = None
    #: Of the version that this one replaces.
    updated_at: str | None = None


class TemplatePage(msgspec.Struct, forbid_unknown_fields=True):
    """Which part of the list is wanted."""

    cursor: Cursor | None = None
    limit: Limit = 50


class TemplateUse(msgspec.Struct, forbid_unknown_fields=True):
    """What a message says in place of `content`."""

    name: Id
    language: Language | None = None
    values: dict[str, Value] = {}


async def content_of(handler: ApiHandler, content: str | None, template: TemplateUse | None) -> str:
    """What a message says: its content, or a template filled in. Raises AnmeiError where it is
    neither or both, or where a template cannot be filled in so."""
    if (content is None) == (template is None):
        raise _bad("give content, or from a service template, and not both")
    if template is None:
        assert content is not None
        return content
    if not handler.principal.acts_for_others:
        raise AnmeiError(ErrorCode.FORBIDDEN, "template: only a service may send by template")
    key = make_key(handler.principal.tenant, template.name)
    found = await handler.read(templates.template, key)
    if found is None:
        raise not_found("template")
    most = handler.services.settings.limit_content_bytes
    return found.render(template.language, template.values, most)


class Templates(ApiHandler):
    """`/api/v1/templates`"""

    needs = SERVICE

    async def get(self) -> None:
        page = self.query(TemplatePage)
        found, cursor = await self.read(
            templates.templates, self.principal.tenant, page.cursor, page.limit
        )
        self.reply(200, {"templates": found, "next_cursor": cursor})


class OneTemplate(ApiHandler):
    """`/api/v1/templates/{name}`"""

    needs = SERVICE

    async def get(self, name: str) -> None:
        found = await self.read(templates.shown_template, self.key(name, "template"))
        if found is None:
            raise not_found("template")
        self.reply(200, found)

    async def put(self, name: str) -> None:
        body = self.body(SavedTemplate)
        key = self.key(name, "template")
        for language, text in body.texts.items():
            check_content(text, self.services.settings.limit_content_bytes, f"texts.{language}")
            try:
                placeholders(text)
            except AnmeiError as error:
                raise _bad(f"texts.{language}: {error.message}") from None
        template = Template(body.texts, _default(body))
        new, saved = await self.write_aside(
            templates.save_template, key, template, body.updated_at, now_ms()
        )
        self.reply(201 if new else 200, saved)

    async def delete(self, name: str) -> None:
        key = self.key(name, "template")
        if not await self.write_aside(templates.delete_template, key):
            raise not_found("template")
        self.reply(200, {"name": name})


def _default(body: SavedTemplate) -> str:
    languages = list(body.texts)
    if len({language.lower() for language in languages}) < len(languages):
        raise _bad("texts: a language stands there twice, in small and capital letters")
    if body.default_language is None and len(languages) == 1:
        return languages[0]
    if body.default_language not in body.texts:
        raise _bad(f"default_language: expected one of {', '.join(languages)}")
    return body.default_language


def _bad(message: str) -> AnmeiError:
    return AnmeiError(ErrorCode.BAD_REQUEST, message)
