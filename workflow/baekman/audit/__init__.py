"""The audit log: append-only events in a hash chain, without names, paths or exception texts.

``<workspace>/audit/events.jsonl`` has one event per line, canonical JSON, each with the SHA-256 of the line before. An
edit, a deletion, a change of order or a fork breaks the chain. ``<workspace>/audit.head`` and the registry note the
newest event: a log that is gone, cut or replaced is refused by every command. A writer of all of them can still compute
a whole new chain. Against that, save a *head* (``signed_head``) elsewhere from time to time; ``verify`` compares the
log with it.
"""

from baekman.audit.lines import FIELDS
from baekman.audit.log import (
    CLOCK_TOLERANCE,
    events,
    events_of,
    kept_events,
    last_link,
    last_sequence,
    newest,
    record,
    record_once,
    record_use,
    require_clock,
    require_clock_after,
    require_ready,
    require_whole,
    restart,
    use,
)
from baekman.audit.noted_head import (
    FOLDER,
    HEAD_NAME,
    NotedHead,
    head_file,
    keeps_log,
    log_file,
    read_head,
    workspace_of,
)
from baekman.audit.seen import SEEN_NAME, Seen, drop_damaged_seen, note_seen, read_seen
from baekman.audit.user import ACTOR_VARIABLE, PURPOSE_VARIABLE, user_fields
from baekman.audit.verification import BrokenLink, lost_before, verify

__all__ = [
    "ACTOR_VARIABLE",
    "CLOCK_TOLERANCE",
    "FIELDS",
    "FOLDER",
    "HEAD_NAME",
    "PURPOSE_VARIABLE",
    "SEEN_NAME",
    "BrokenLink",
    "NotedHead",
    "Seen",
    "drop_damaged_seen",
    "events",
    "events_of",
    "head_file",
    "keeps_log",
    "kept_events",
    "last_link",
    "last_sequence",
    "log_file",
    "lost_before",
    "newest",
    "note_seen",
    "read_head",
    "read_seen",
    "record",
    "record_once",
    "record_use",
    "require_clock",
    "require_clock_after",
    "require_ready",
    "require_whole",
    "restart",
    "use",
    "user_fields",
    "verify",
    "workspace_of",
]
