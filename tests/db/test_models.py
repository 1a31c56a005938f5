"""The models and the migrations, which say the same twice on purpose: a migration is history."""

from peewee import Database, Model

from db import models, models_search
from db.store import Store

MODELS = [
    model
    for module in (models, models_search)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, Model) and model.__module__ == module.__name__
]


#: What PostgreSQL alone has, and no model can name: the words of its index, an array.
BESIDE = {("search_index", "words")}


def test_the_migrations_make_the_tables_that_the_models_describe(store: Store) -> None:
    def columns(database: Database) -> dict[tuple[str, str], bool]:
        return {
            (model._meta.table_name, column.name): column.null and not column.primary_key
            for model in MODELS
            for column in database.get_columns(model._meta.table_name)
            if (model._meta.table_name, column.name) not in BESIDE
        }

    assert len(MODELS) > 10
    assert store.read(columns).result(60) == {
        (model._meta.table_name, field.column_name): field.null
        for model in MODELS
        for field in model._meta.sorted_fields
    }
