"""Users and their devices."""

from anmei.commands import Outcome, TouchDevice
from anmei.ids import id_of, tenant_of
from db.batch import Batch
from db.link import fetch_many, insert_many, update_many

_USERS = (
    "INSERT INTO users (key, tenant, name, status, created_at, last_seen_at) VALUES {values}"
    " ON CONFLICT (key) DO"
)
_NEW_USERS = f"{_USERS} NOTHING"
_SEEN_USERS = f"{_USERS} UPDATE SET name = excluded.name, last_seen_at = excluded.last_seen_at"
_SEEN_DEVICES = (
    "INSERT INTO devices (user_key, device_id, device_type, created_at, last_seen_at)"
    " VALUES {values} ON CONFLICT (user_key, device_id)"
    " DO UPDATE SET device_type = excluded.device_type, last_seen_at = excluded.last_seen_at"
)


def touch(batch: Batch, commands: list[TouchDevice]) -> list[Outcome]:
    """Note all the devices of a batch. Users before devices and both in order, so that no two
    processes wait for each other."""
    users = {command.user_key: command for command in commands}
    devices = {
        (command.user_key, command.device_id): command
        for command in commands
        if command.device_id is not None
    }
    statuses = {
        command.user_key: command.status for command in commands if command.status is not None
    }
    insert_many(
        batch.database,
        _SEEN_USERS,
        [
            (key, tenant_of(key), command.name, "online", command.at, command.at)
            for key, command in sorted(users.items())
        ],
    )
    # Their rows are ours by now.
    update_many(
        batch.database,
        "users",
        ("key",),
        ("status",),
        [(status, key) for key, status in statuses.items()],
    )
    insert_many(
        batch.database,
        _SEEN_DEVICES,
        [
            (*key, command.device_type, command.at, command.at)
            for key, command in sorted(devices.items())
        ],
    )
    return [Outcome(reply={}) for _ in commands]


def make_users(batch: Batch, user_keys: list[str], at: int) -> None:
    """Make those of the users that nobody has heard of, named by their ids."""
    known = {
        key
        for (key,) in fetch_many(
            batch.database, "SELECT key FROM users WHERE key IN ({values})", user_keys
        )
    }
    insert_many(
        batch.database,
        _NEW_USERS,
        [
            (key, tenant_of(key), id_of(key), "online", at, None)
            for key in sorted(set(user_keys) - known)
        ],
    )
