"""The database's tables. Changing them means a new SCHEMA_VERSION; a database of another version is refused at start.

JSON is kept as text: it is written once and handed out as it is. Times are Unix seconds.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = 1

metadata = MetaData()

schema = Table(
    "atlas_schema",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("status", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("created_at", Float(53), nullable=False),
    Column("started_at", Float(53)),
    Column("finished_at", Float(53)),
    Column("runs", Integer, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("lease_owner", String(64)),
    Column("lease_until", Float(53)),
    Column("last_seq", Integer, nullable=False),
    Column("prompt_start", Text, nullable=False),
    Column("language", String(32), nullable=False),
    Column("labels", Text, nullable=False),
    Column("error_code", String(64)),
    Column("error_detail", Text),
    Column("request", Text, nullable=False),
    Column("result", Text),
    Index("tasks_by_status", "status", "id"),
    Index("tasks_by_outcome", "outcome", "id"),
)

events = Table(
    "events",
    metadata,
    Column("task_id", String(64), ForeignKey("tasks.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("name", String(64), nullable=False),
    Column("at", Float(53), nullable=False),
    Column("data", Text, nullable=False),
)

idempotency = Table(
    "idempotency_keys",
    metadata,
    Column("scope", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body_hash", String(64), nullable=False),
    Column("task_id", String(64), ForeignKey("tasks.id"), nullable=False),
    Column("created_at", Float(53), nullable=False, index=True),
)

pings = Table(
    "pings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
)
