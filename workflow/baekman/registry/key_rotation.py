"""A new key for the registry, safe against a stop at any instant.

First the key file gets the new key next to the old one. Then one transaction seals every record again and notes the
name of the new key. The keys of books (``books``) are sealed again. Last the key file drops the old key. The store
always names the key that seals it. So the registry opens after a stop at any step, and the same command finishes the
work.
"""

from __future__ import annotations

from sqlalchemy import update

from baekman.errors import InputRefused
from baekman.key_ring import Key, KeyRing, make_key_file, require_file
from baekman.registry import database
from baekman.registry.books import every_book
from baekman.registry.database import settings
from baekman.registry.records import Registry
from baekman.registry.seal.change import require_head
from baekman.registry.seal.guard import Guard, seal_everything
from baekman.registry.seal.resealing import seal_all
from baekman.registry.seal.verification import all_problems


def rotate_key(registry: Registry) -> int:
    """Seal the registry with a new key, which replaces the old one in the key file; return the number of records.

    InputRefused when the key did not come from a file, or rows were changed by hand.
    """
    file = require_file(registry.ring)
    used = next(key for key in registry.ring.keys if key.key_id == registry.ring.current)
    fresh = Key.new()
    every_book.seal_again(registry)  # a rotation that was stopped may have left some with an older key
    make_key_file(file, [fresh, used])
    context = registry.ring.context
    old, new = KeyRing([used], context=context), KeyRing([fresh], file=file, context=context)
    with database.writing(registry.engine) as connection:
        head = require_head(connection, ring=old)
        if problems := all_problems(connection, head=head, ring=old):
            raise InputRefused(problems)  # sealed again, they would not be noticed any more
        count = seal_all(connection, old, new)
        seal_everything(connection, ring=new, head=head)
        connection.execute(update(settings).where(settings.c.name == "key_id").values(value=new.current.hex()))
    registry.ring = KeyRing([fresh, used], file=file, context=context)
    every_book.seal_again(registry)
    make_key_file(file, [fresh])
    registry.ring, registry.guard = new, Guard(registry.engine, new)
    return count
