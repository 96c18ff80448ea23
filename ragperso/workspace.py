"""Ground: a person is a directory.  Names, locks and the manifest of one person's folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from ragperso.errors import ConfigError, UnknownUser, WorkspaceError, WorkspaceLocked
from ragperso.files import remove_leftovers, write_atomically
from ragperso.types import UserId

MANIFEST: Final = "manifest.json"
STORE: Final = "store.db"
RECEIPTS: Final = ".receipts"
FORMAT: Final = 1  # of the folder as a whole; the store has its own schema version
MAX_USER_CHARS: Final = 512

# Only such names become folders as they are; all others are hashed.  Lower case only, because
# "Ana" and "ana" are one folder on macOS and Windows; no dot, because of ".." and reserved endings.
_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,47}")
_RESERVED: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9]|x-[a-z2-7]{32})")


def check_user(name: str) -> UserId:
    """Return ``name`` as a user id, in Unicode NFC.

    Raises: ConfigError, when it is empty, only white space, longer than 512 characters or not valid text.
    """
    if not name.strip():
        raise ConfigError("the user name is empty", hint="ragperso --user NAME")
    if len(name) > MAX_USER_CHARS:
        raise ConfigError(f"the user name is longer than {MAX_USER_CHARS} characters")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as exc:
        raise ConfigError("the user name is not valid Unicode text") from exc
    return UserId(unicodedata.normalize("NFC", name))


def directory_name(user: UserId) -> str:
    """Return the folder name of ``user``: itself when it is a plain slug, else ``x-`` and 160 hash bits.

    No id becomes a path unchecked; distinct ids never share a folder, on any file system.
    """
    if _PLAIN.fullmatch(user) and not _RESERVED.fullmatch(user):
        return user
    digest = hashlib.sha256(user.encode("utf-8")).digest()[:20]
    return "x-" + base64.b32encode(digest).decode("ascii").lower()


class Workspace:
    """One person's folder: where things are, who may write, what wrote it."""

    def __init__(self, home: Path, user: UserId) -> None:
        self.home = home
        self.user = user
        self.path = home / directory_name(user)

    @property
    def store_path(self) -> Path:
        return self.path / STORE

    @property
    def exists(self) -> bool:
        return (self.path / MANIFEST).is_file()

    def open(self, *, create: bool) -> Workspace:
        """Check the folder, making it first when ``create``; return self.

        Raises: UnknownUser; WorkspaceError when the folder belongs to someone else or is unreadable.
        """
        if self.path.is_symlink():
            raise WorkspaceError(
                f"{self.path} is a link; a person is a real folder", hint=f"remove {self.path}"
            )
        if not self.exists:
            if not create:
                raise UnknownUser(
                    f"there is no person {str(self.user)!r} in {self.home}",
                    hint="ragperso add PATH to begin, or ragperso status --all to list the people",
                )
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self.lock():
                if not self.exists:
                    write_atomically(
                        self.path / MANIFEST,
                        json.dumps({"format": FORMAT, "user": self.user}, ensure_ascii=False, indent=1),
                    )
        manifest = self.manifest()
        if manifest.get("user") != self.user:
            raise WorkspaceError(f"{self.path} belongs to another person", hint="ragperso doctor")
        return self

    def manifest(self) -> dict[str, Any]:
        """Return what ``manifest.json`` says.  Raises: WorkspaceError when it is damaged."""
        path = self.path / MANIFEST
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as exc:
            raise WorkspaceError(f"{path} cannot be read", hint="restore it from a backup") from exc
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise WorkspaceError(
                f"{path} was written by another version", hint="pip install --upgrade ragperso"
            )
        return data

    @contextlib.contextmanager
    def lock(self, *, timeout_s: float = 60.0, name: str = "write") -> Iterator[None]:
        """Hold the person's lock called ``name`` against other processes and threads.

        The operating system drops it when the holder dies.  Raises: WorkspaceLocked after ``timeout_s``.
        """
        import filelock

        lock = filelock.FileLock(self.path / f".{name}.lock", timeout=timeout_s, is_singleton=False)
        try:
            lock.acquire()
        except filelock.Timeout as exc:
            raise WorkspaceLocked(
                f"another process is writing to {str(self.user)!r} (waited {timeout_s:.0f} s)",
                hint="wait for it to finish, or stop it, and run the command again",
            ) from exc
        try:
            yield
        finally:
            lock.release()

    def clean(self) -> int:
        """Remove temporary files that a killed process left; return how many."""
        return remove_leftovers(self.path)

    def destroy(self) -> int:
        """Delete the folder and everything in it; return how many files went.

        The folder is renamed first, so that a crash half-way leaves no usable half of a person;
        :func:`sweep` finishes such a rest.
        """
        doomed = self.home / f".erased-{os.urandom(6).hex()}"
        os.rename(self.path, doomed)
        return _overwrite_and_remove(doomed)


def users_in(home: Path) -> list[UserId]:
    """Return every person under ``home``, sorted; damaged folders are left to ``doctor``."""
    found = []
    for path in sorted(home.glob(f"*/{MANIFEST}")) if home.is_dir() else []:
        with contextlib.suppress(ValueError, OSError):
            name = json.loads(path.read_text(encoding="utf-8")).get("user")
            if isinstance(name, str) and directory_name(UserId(name)) == path.parent.name:
                found.append(UserId(name))
    return sorted(found)


def sweep(home: Path) -> int:
    """Finish erasures that were interrupted; return how many folders went."""
    rests = [p for p in home.glob(".erased-*") if p.is_dir()] if home.is_dir() else []
    for path in rests:
        _overwrite_and_remove(path)
    return len(rests)


def _overwrite_and_remove(directory: Path) -> int:
    """Zero and delete every file below ``directory``; return how many.

    Zeroing is a courtesy to disks that keep blocks in place; it promises nothing on an SSD.
    """
    n_files = 0
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        n_files += 1
        with contextlib.suppress(OSError), path.open("r+b") as file:
            left = path.stat().st_size
            while left > 0:
                left -= file.write(bytes(min(left, 1 << 20)))
            file.flush()
            os.fsync(file.fileno())
    shutil.rmtree(directory)
    return n_files
