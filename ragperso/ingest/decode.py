"""Stage 1, ingest: bytes of a file become text.

In: a path or bytes.  Out: text without NUL and lone surrogates.
Never: opens a pipe or a device, reads more than the limit.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
from pathlib import Path
from typing import BinaryIO, Final

from ragperso.errors import UnreadableDocument

_BOMS: Final = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")  # SQLite and UTF-8 take neither
_WESTERN: Final = frozenset(
    "äöüßÄÖÜéèêëàâçîïôûùœæÉÈÀÇÊÎÔáíóúñÁÍÓÚÑ¿¡åøÅØãõìò€£§°²³½µ·×«»„“”‘’‚‹›–—…•©®™´¨\u00a0\u00ad"
)
# What people's old files are in; the hundred others only win by mistake.
_LEGACY: Final = """cp1251 koi8_r cp1250 iso8859_2 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp874 cp932
    shift_jis euc_jp iso2022_jp gb18030 big5 cp949 cp1252""".split()
_SNIFF_BYTES: Final = 8_192
_SAMPLE_BYTES: Final = 65_536  # charset detection reads no more; it is slow
_MAX_CONTROL_SHARE: Final = 0.1  # of control characters, above which a file is no text


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file for reading; anything else is refused without waiting for it.

    Raises: UnreadableDocument.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as exc:
        raise UnreadableDocument(reason_of(exc)) from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UnreadableDocument("not a regular file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: Path, max_file_bytes: int) -> bytes:
    """Return the content of a regular file.  Raises: UnreadableDocument."""
    with open_regular(path) as file:
        try:
            data = file.read(max_file_bytes + 1)
        except OSError as exc:
            raise UnreadableDocument(reason_of(exc)) from exc
    if len(data) > max_file_bytes:
        raise UnreadableDocument(f"larger than {max_file_bytes:,} bytes (ingest.max_file_bytes)")
    return data


def reason_of(exc: BaseException) -> str:
    """Return why the system refused, without the path or content that the error may quote."""
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror.lower()
    return type(exc).__name__


def storable(text: str) -> str:
    """Replace NUL and lone surrogates one for one by U+FFFD, so that offsets stay."""
    return _UNSTORABLE.sub("\ufffd", text)


def decode(data: bytes, charset: str = "") -> str:
    """Return ``data`` as text: byte order mark, UTF-8, ``charset``, then the likeliest legacy encoding.

    Line ends stay as they are; a byte order mark is not part of the text.
    Raises: UnreadableDocument when the bytes are no text.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return storable(data[len(bom) :].decode(name, "replace"))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = _decode_legacy(data, charset)
    head = text[:_SNIFF_BYTES]
    n_control = sum(1 for char in head if char < " " and char not in "\t\n\r\f\x1b\b")
    if n_control > _MAX_CONTROL_SHARE * len(head):
        raise UnreadableDocument("binary, not text")
    return storable(text)


def looks_like_text(head: bytes) -> bool:
    """Say whether the first bytes of a file could be text."""
    if any(head.startswith(bom) for bom, _ in _BOMS):
        return True
    if b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _decode_legacy(data: bytes, charset: str) -> str:
    if charset:
        try:
            return data.decode(charset)
        except (LookupError, ValueError, UnicodeError):
            pass  # a wrong or unknown declaration
    # Nearly all text that is not UTF-8 and has Western letters only is cp1252; statistics on short
    # texts guess Eastern or Asian encodings instead.
    western = data.decode("cp1252", "replace")
    beyond = {char for char in western if char > "\x7f"}
    if beyond <= _WESTERN:
        return western
    from charset_normalizer import from_bytes  # 40 ms to import, rarely needed

    best = from_bytes(data[:_SAMPLE_BYTES], cp_isolation=list(_LEGACY)).best()
    if best is None:
        raise UnreadableDocument("binary, or text in an unknown encoding")
    return data.decode(best.encoding, "replace")
