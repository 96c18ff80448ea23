"""Stage 2, index: which people stay open, when there are more than memory and files have room for.

In: what each open person takes and who is in use.  Out: who is to be closed, longest unused first.
Never: closes anyone who is in use, opens anything, knows what a session is.

Each open person holds a database (three files: itself, its log, its shared memory) and the indexes that
were asked for.  Opening one anew costs 4 ms (benchmarks/many_people.py), so few need to stay.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

FILES_EACH: Final = 3
# Of an open person beside what the indexes count: SQLite's page cache and statements, Python's objects.
BASE_BYTES: Final = 500_000
_SHARE: Final = 4  # of the files that a process may open, one in so many for people
_MOST: Final = 512
_LEAST: Final = 8
_USUAL_FILES: Final = 1024  # where the system does not say

Key = TypeVar("Key", bound=Hashable)


class OpenPeople(Generic[Key]):
    """Counts who is in use and what everyone takes; says whom to close.

    ``max_bytes`` and ``max_people`` bound those that are open and not in use; people in use count as well but
    are never given back.  Safe to use from several threads.
    """

    def __init__(self, max_bytes: int, max_people: int = 0) -> None:
        self.max_bytes = max_bytes
        self.max_people = max_people or people_for_files()
        self._sizes: dict[Key, int] = {}  # longest unused first
        self._in_use: dict[Key, int] = {}
        self._total = 0
        self._lock = threading.RLock()  # closing someone may well say so by closed()

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def nbytes(self) -> int:
        """Bytes that all open people take."""
        return self._total

    @contextmanager
    def using(self, person: Key, size: Callable[[], int]) -> Iterator[None]:
        """Keep ``person`` open meanwhile; what they take is asked for when they are left."""
        self.enter(person)
        try:
            yield
        finally:
            self.leave(person, size())

    def enter(self, person: Key) -> None:
        """Note that ``person`` is in use, once more."""
        with self._lock:
            self._in_use[person] = self._in_use.get(person, 0) + 1
            self._touch(person, self._sizes.get(person, BASE_BYTES))

    def leave(self, person: Key, nbytes: int) -> None:
        """Note the end of one use, and what ``person`` takes now."""
        with self._lock:
            left = self._in_use.get(person, 0) - 1
            if left > 0:
                self._in_use[person] = left
            else:
                self._in_use.pop(person, None)
            if person in self._sizes:  # else they were closed meanwhile, by their own wish
                self._touch(person, nbytes + BASE_BYTES)

    def closed(self, person: Key) -> None:
        """Forget someone who was closed or erased."""
        with self._lock:
            self._total -= self._sizes.pop(person, 0)

    def make_room(self, close: Callable[[Key], bool]) -> list[Key]:
        """Close people until the others fit, longest unused first; return who was closed.

        ``close`` closes one, or says False when that cannot be now.  Nobody comes into use meanwhile: they
        wait.  The one used last stays, however large: what it takes is needed to answer them.
        """
        with self._lock:
            chosen: list[Key] = []
            for person in list(self._sizes)[:-1]:
                if self._total <= self.max_bytes and len(self._sizes) <= self.max_people:
                    break
                if person not in self._in_use and close(person):
                    self.closed(person)
                    chosen.append(person)
            return chosen

    def _touch(self, person: Key, nbytes: int) -> None:
        self._total += nbytes - self._sizes.pop(person, 0)
        self._sizes[person] = nbytes  # last: the one used most recently


def people_for_files(limit: int | None = None) -> int:
    """Return how many people may be open, by how many files the process may have open.

    A quarter of them: 1,024, Linux's usual number, gives 85 people, macOS's 256 gives 21.
    """
    n_files = _files_allowed() if limit is None else limit
    return max(_LEAST, min(_MOST, n_files // (_SHARE * FILES_EACH)))


def _files_allowed() -> int:
    if sys.platform == "win32":
        return _USUAL_FILES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST * _SHARE * FILES_EACH if soft == resource.RLIM_INFINITY else soft
