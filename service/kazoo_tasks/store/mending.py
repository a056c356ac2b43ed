"""What a release before could take in and nobody can write again, and what stands in its place.

Pure; called by SQLite while a file is brought to this release's schema.
"""

from __future__ import annotations

from hashlib import blake2b

from kazoo_tasks.model.errors import Corrupt
from kazoo_tasks.wire.codec import MAX_BODY_BYTES, encode, normal_text


class Mending:
    """The function `mended` of the statements.

    Attributes:
        broken: A hash of each text that was found to be broken; each is asked for more than once.
    """

    def __init__(self) -> None:
        """Nothing is broken yet."""
        self.broken: set[bytes] = set()

    def mended(self, text: bytes | None) -> bytes | None:
        """The text, if it keeps to the rule of all JSON, or JSON text that says what was wrong with it."""
        if text is None:
            return None
        try:
            normal_text(text, MAX_BODY_BYTES)
        except Corrupt as error:
            self.broken.add(blake2b(text, digest_size=16).digest())
            return encode(f"not shown, as a release before had taken it in: {error}")
        return text
