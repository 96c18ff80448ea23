"""Stage 5, generate: notice while a model writes that nothing useful will follow.

In: text as it comes.  Out: whether to stop.  Never: changes the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, Literal

from ragperso import segment

# What begins where a model goes on with our layout instead of answering.
STOPS: Final[dict[Literal["ask", "write"], tuple[str, ...]]] = {
    "ask": ("\nQuestion:", "\nPassages from", "\nConversation so far", "\nPerson:", "\n[", "\n#"),
    "write": ("\nWrite a ", "\nPassages from"),
}
# A phrase three times in a row, at the end of what was written.
_LOOP: Final = re.compile(r"(.{8,80}?)\1\1\Z", re.DOTALL)
_LOOP_CHARS: Final = 300
FENCE: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)  # a block of code, also an unclosed one
_END: Final = re.compile(r"[.!?…。！？\n]")


class Monitor:
    """Watches one generation: pass :meth:`see` as ``on_text`` and :meth:`is_done` as ``is_cancelled``.

    ``stopped`` tells afterwards that it was the monitor that ended it, not the person.
    """

    def __init__(
        self,
        on_text: Callable[[str], None] | None,
        is_cancelled: Callable[[], bool] | None,
        *,
        max_sentences: int,
    ) -> None:
        self._on_text = on_text
        self._is_cancelled = is_cancelled
        self._max_sentences = max_sentences
        self._text = ""
        self.stopped = False

    def see(self, piece: str) -> None:
        """Take in what was written and pass it on."""
        self._text += piece
        if self._on_text is not None:
            self._on_text(piece)
        if not self.stopped and (_END.search(piece) or _LOOP.search(self._text[-_LOOP_CHARS:])):
            self.stopped = self._is_enough()

    def is_done(self) -> bool:
        """Say whether to stop, on the person's wish or the monitor's."""
        return self.stopped or (self._is_cancelled is not None and self._is_cancelled())

    def _is_enough(self) -> bool:
        if _LOOP.search(self._text[-_LOOP_CHARS:]):
            return True
        prose = FENCE.sub("", self._text)  # lines of code repeat themselves, and are no sentences
        spans = segment.sentences(prose)
        whole = [normalise(prose[start:end]) for start, end in spans if is_ended(prose[start:end])]
        told = [sentence for sentence in whole if sentence]
        return len(set(told)) < len(told) or 0 < self._max_sentences <= len(told)


_ENDED: Final = re.compile(r"[.!?…。！？][\"'”’»)\]*_]*\Z")


def is_ended(sentence: str) -> bool:
    """Say whether a sentence has its full stop."""
    return _ENDED.search(sentence) is not None


def normalise(sentence: str) -> str:
    """Return the words of a sentence in the form in which two are compared."""
    return " ".join(re.findall(r"\w+", sentence.casefold()))
