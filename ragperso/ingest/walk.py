"""Stage 1, ingest: the files under what the person named.

In: paths.  Out: ``Found`` and ``Skipped`` in a fixed order.
Never: follows a link below a folder, opens a pipe or device, reads what an ignore file excludes.

What is taken.  A file named by itself is taken whatever ignore files say, and skipped with a reason if
nothing can read it.  In a folder: every file with a reader, and files without a suffix that are text;
images, archives and other files without a reader are passed over in silence.  ``.gitignore`` and
``.ragpersoignore`` hold in their folder and below, the deepest first, ``.ragpersoignore`` last.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pathspec

from ragperso.errors import UnreadableDocument
from ragperso.ingest.decode import open_regular, reason_of
from ragperso.ingest.readers import is_container, is_known, is_text
from ragperso.types import Skipped

_ALWAYS_IGNORED: Final = frozenset((".git", ".obsidian", "node_modules", ".venv", "__pycache__"))
_IGNORE_FILES: Final = (".gitignore", ".ragpersoignore")  # the later one has the last word
_MAX_IGNORE_BYTES: Final = 1_000_000
_UNPRINTABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read.  ``key`` is what the person calls it: the path as given, with ``/``."""

    path: Path
    key: str
    root: Path
    size_bytes: int
    mtime_ns: int


def walk(
    paths: Iterable[str | os.PathLike[str]], *, max_file_bytes: int, follow_hidden: bool = False
) -> Iterator[Found | Skipped]:
    """Yield each file under ``paths`` once, in order of the arguments and then of names.

    ``max_file_bytes`` bounds whole files; containers that stream (JSONL, mbox) may be larger.
    """
    seen: set[str] = set()
    for given in paths:
        named = os.path.normpath(os.path.expanduser(os.fspath(given)))
        root = Path(os.path.abspath(named))
        try:
            status = root.stat()  # a link that is named by itself is followed
        except (OSError, ValueError) as exc:
            yield Skipped(key_of(named), reason_of(exc))
            continue
        if stat.S_ISDIR(status.st_mode):
            walker = _Walker(root, "" if named == "." else named, max_file_bytes, follow_hidden)
            found: Iterable[Found | Skipped] = walker.folder()
        else:
            found = [_named_file(root, key_of(named), status, max_file_bytes)]
        for item in found:
            if isinstance(item, Found):
                if str(item.path) in seen:
                    continue
                seen.add(str(item.path))
            yield item


def key_of(path: str) -> str:
    """Return ``path`` with ``/`` and printable characters only; different paths keep different keys."""
    key = path.replace(os.sep, "/")
    if not _UNPRINTABLE.search(key):
        return key
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    stem, suffix = os.path.splitext(_UNPRINTABLE.sub("\ufffd", key))
    return f"{stem}~{digest}{suffix}"


def _named_file(path: Path, key: str, status: os.stat_result, max_file_bytes: int) -> Found | Skipped:
    if not stat.S_ISREG(status.st_mode):
        return Skipped(key, "not a regular file")
    if not is_known(path.name):
        try:
            if not is_text(path):
                return Skipped(key, "no reader for this kind of file")
        except UnreadableDocument as exc:
            return Skipped(key, exc.message)
    return _sized(Found(path, key, path.parent, status.st_size, status.st_mtime_ns), max_file_bytes)


def _sized(found: Found, max_file_bytes: int) -> Found | Skipped:
    if found.size_bytes > max_file_bytes and not is_container(found.path.name):
        return Skipped(found.key, f"larger than {max_file_bytes:,} bytes (ingest.max_file_bytes)")
    return found


@dataclass(frozen=True, slots=True)
class _Rules:
    """The ignore file patterns of one folder; ``depth`` is the length of its path below the root."""

    spec: pathspec.GitIgnoreSpec
    depth: int


class _Walker:
    """Visits one folder; keeps its own stack, since folders nest deeper than Python's."""

    def __init__(self, root: Path, named: str, max_file_bytes: int, follow_hidden: bool) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.named = named
        self.max_file_bytes = max_file_bytes
        self.follow_hidden = follow_hidden

    def folder(self) -> Iterator[Found | Skipped]:
        """Yield the files below the root, each folder's entries in order of their names."""
        stack: list[Iterator[tuple[str, os.DirEntry[str], tuple[_Rules, ...]] | Skipped]] = [
            self._entries("", ())
        ]
        while stack:
            entry = next(stack[-1], None)
            if entry is None:
                stack.pop()
            elif isinstance(entry, Skipped):
                yield entry
            elif entry[1].is_dir(follow_symlinks=False):
                stack.append(self._entries(entry[0], entry[2]))
            elif (found := self._file(entry[0], entry[1])) is not None:
                yield found

    def _key(self, relative: str) -> str:
        return key_of(os.path.join(self.named, relative) if relative else self.named or ".")

    def _entries(
        self, relative: str, rules: tuple[_Rules, ...]
    ) -> Iterator[tuple[str, os.DirEntry[str], tuple[_Rules, ...]] | Skipped]:
        """Yield (path below the root, entry, rules in force) of one folder, ignored ones left out."""
        folder = os.path.join(self.root, relative) if relative else str(self.root)
        try:
            with os.scandir(folder) as scan:
                entries = sorted(scan, key=lambda entry: os.fsencode(entry.name))
        except OSError as exc:
            yield Skipped(self._key(relative), f"folder cannot be read: {reason_of(exc)}")
            return
        names = {entry.name for entry in entries}
        if not names.isdisjoint(_IGNORE_FILES):
            depth = len(relative) + 1 if relative else 0
            rules = (*rules, _Rules(_ignore_spec(folder), depth))
        for entry in entries:
            if entry.name in _ALWAYS_IGNORED or (entry.name.startswith(".") and not self.follow_hidden):
                continue
            below = f"{relative}{os.sep}{entry.name}" if relative else entry.name
            try:
                is_folder = entry.is_dir(follow_symlinks=False)
            except OSError as exc:
                yield Skipped(self._key(below), reason_of(exc))
                continue
            if not _is_ignored(below + os.sep if is_folder else below, rules):
                yield below, entry, rules

    def _file(self, relative: str, entry: os.DirEntry[str]) -> Found | Skipped | None:
        try:
            if entry.is_symlink():
                return self._link(relative, entry)
            status = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                return None
            path = self.root / relative
            if not is_known(entry.name) and ("." in entry.name[1:] or not is_text(path)):
                return None
        except OSError as exc:
            return Skipped(self._key(relative), reason_of(exc))
        except UnreadableDocument as exc:
            return Skipped(self._key(relative), exc.message)
        found = Found(path, self._key(relative), self.root, status.st_size, status.st_mtime_ns)
        return _sized(found, self.max_file_bytes)

    def _link(self, relative: str, entry: os.DirEntry[str]) -> Skipped | None:
        """Links are not followed; one that leads out of the folder is named, so that nobody wonders."""
        target = os.path.realpath(entry.path)
        if target == self.real_root or target.startswith(os.path.join(self.real_root, "")):
            return None  # what it leads to is visited by its own name
        if os.path.isfile(target) and not is_known(entry.name):
            return None
        return Skipped(self._key(relative), "a link that leads out of the folder; add its target by name")


def _ignore_spec(folder: str) -> pathspec.GitIgnoreSpec:
    """Return the patterns of a folder's ignore files; a line that is no pattern is left out."""
    lines: list[str] = []
    for name in _IGNORE_FILES:
        try:
            with open_regular(Path(folder, name)) as file:
                lines += file.read(_MAX_IGNORE_BYTES).decode("utf-8", "replace").splitlines()
        except (OSError, UnreadableDocument):
            continue
    try:
        return pathspec.GitIgnoreSpec.from_lines(lines)
    except ValueError:
        return pathspec.GitIgnoreSpec.from_lines([line for line in lines if _is_pattern(line)])


def _is_pattern(line: str) -> bool:
    try:
        pathspec.GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def _is_ignored(relative: str, rules: tuple[_Rules, ...]) -> bool:
    """Ask the deepest ignore file first; the first that knows the path decides."""
    for rule in reversed(rules):
        decision = rule.spec.check_file(relative[rule.depth :]).include
        if decision is not None:
            return decision
    return False
