"""Stage 5, generate: from the bytes a model writes to the text a person sees.

In: bytes or text as they come.  Out: pieces of whole characters that add up to the final text.
Never: shows a part of a stop string, half a character, or white space at either end.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence


class TextStream:
    """Holds back what may turn out not to belong to the text; ``on_text`` sees the rest at once.

    ``is_stopped`` turns true at the first stop string; what comes after is ignored.
    """

    def __init__(self, stop: Sequence[str] = (), on_text: Callable[[str], None] | None = None) -> None:
        self._stop = tuple(s for s in stop if s)
        self._on_text = on_text
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._shown: list[str] = []
        self._held = ""
        self.is_stopped = False

    @property
    def text(self) -> str:
        """What was shown so far; after :meth:`finish`, the whole."""
        return "".join(self._shown)

    def feed(self, data: bytes | str) -> None:
        """Take in what came."""
        if self.is_stopped:
            return
        self._held += self._decoder.decode(data) if isinstance(data, bytes) else data
        if not self._shown:
            self._held = self._held.lstrip()
        cuts = [at for at in map(self._held.find, self._stop) if at >= 0]
        if cuts:
            self._held = self._held[: min(cuts)]
            self.is_stopped = True
            return
        safe = self._held[: len(self._held) - self._doubtful()].rstrip()
        self._show(safe)
        self._held = self._held[len(safe) :]

    def finish(self) -> str:
        """Show what is still held and return the whole text; half a character at the end is dropped."""
        self._show(self._held.rstrip())
        self._held = ""
        return self.text

    def _doubtful(self) -> int:
        """Return how many characters at the end may be the beginning of a stop string."""
        return max(
            (n for stop in self._stop for n in range(1, len(stop)) if self._held.endswith(stop[:n])),
            default=0,
        )

    def _show(self, text: str) -> None:
        if text:
            self._shown.append(text)
            if self._on_text is not None:
                self._on_text(text)
