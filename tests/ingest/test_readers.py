"""Each format on a real small file, then on files made to do harm."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zipfile
import zlib
from datetime import datetime, timezone
from pathlib import Path

import pytest

from ragperso.errors import IngestError, UnreadableDocument, UnsupportedFormat
from ragperso.ingest.readers import read
from ragperso.types import Document, Skipped


def read_one(path: Path, **limits: int) -> Document:
    (document,) = read(path, key=path.name, **limits)
    assert isinstance(document, Document)
    return document


def saved(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def reason(path: Path, **limits: int) -> str:
    with pytest.raises(IngestError) as caught:
        list(read(path, key=path.name, **limits))
    assert caught.value.message.startswith(f"{path.name}: ")
    return caught.value.message.removeprefix(f"{path.name}: ")


# ---------------------------------------------------------------- Markdown, text, rst, code


def test_markdown_keeps_its_text_and_skips_its_front_matter(tmp_path: Path) -> None:
    head = "title: Berlin\r\ntags: [a, '#b']\r\ndate: 2024-05-08\r\naliases: Hauptstadt\r\nx: {y: 1}\r\n"
    text = f"---\r\n{head}---\r\n# H1\r\nBody"
    found = read_one(saved(tmp_path, "n.md", text))
    assert found.text == text
    assert found.text[found.indexed_from :] == "# H1\r\nBody"
    assert (found.title, found.format, found.source, found.key) == ("Berlin", "markdown", "n.md", "n.md")
    assert found.ts == datetime(2024, 5, 8, tzinfo=timezone.utc)
    assert found.meta == {"tags": ["a", "b"], "date": "2024-05-08", "aliases": ["Hauptstadt"], "x": {"y": 1}}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("text\n\n# First\n# Second", "First"),
        ("```\n# code\n```\n# Real", "Real"),
        ("Under\n=====\n", "Under"),
        ("## only level two", "2024-05-08 walk"),
        ("", "2024-05-08 walk"),
        ("---\ntitle: Berlin: a plan\n---\nx", "Berlin: a plan"),
        ('+++\ntitle = "Toml"\n+++\nx', "Toml"),
    ],
)
def test_titles_come_from_front_matter_heading_or_name(tmp_path: Path, text: str, title: str) -> None:
    assert read_one(saved(tmp_path, "2024-05-08 walk.md", text)).title == title


def test_a_daily_note_has_the_day_of_its_name(tmp_path: Path) -> None:
    found = read_one(saved(tmp_path, "2024-05-08 walk.md", "x"))
    assert found.ts == datetime(2024, 5, 8, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "text", ["---\nnot a mapping\n---\ntext", "---\nno end", "--- \n", "----\na: b\n----\n"]
)
def test_rules_are_no_front_matter_and_nothing_is_lost(tmp_path: Path, text: str) -> None:
    found = read_one(saved(tmp_path, "n.md", text))
    assert (found.text, found.indexed_from, dict(found.meta)) == (text, 0, {})


def test_yaml_that_unfolds_to_billions_is_cut_short(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    found = read_one(saved(tmp_path, "n.md", "---\n" + "\n".join(lines) + "\n---\ntext"))
    assert len(json.dumps(found.meta)) < 100_000


def test_text_rst_and_code(tmp_path: Path) -> None:
    assert read_one(saved(tmp_path, "notes.txt", "a\r\nb")).text == "a\r\nb"
    found = read_one(saved(tmp_path, "r.rst", "=====\nTitle\n=====\n\nText\n"))
    assert (found.title, found.format) == ("Title", "rst")
    found = read_one(saved(tmp_path, "x.py", "def f():\n    pass\n"))
    assert (found.title, found.format) == ("x.py", "code")
    assert read_one(saved(tmp_path, "README", "text")).format == "text"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße €".encode("utf-8-sig"), "Grüße €"),
        ("Grüße".encode("utf-16"), "Grüße"),
        ("Grüße, “ja” – 5 €".encode("cp1252"), "Grüße, “ja” – 5 €"),
        (
            "Привет, это простой русский текст. Он написан давно.".encode("cp1251"),
            "Привет, это простой русский текст. Он написан давно.",
        ),
        (b"a\0b and more text", "a\ufffdb and more text"),
        (b"", ""),
    ],
)
def test_encodings(tmp_path: Path, data: bytes, text: str) -> None:
    assert read_one(saved(tmp_path, "t.txt", data)).text == text


# ---------------------------------------------------------------- HTML


def test_html_keeps_what_a_reader_sees(tmp_path: Path) -> None:
    html = """<html><head><title>My page</title><meta name="date" content="2023-05-08">
    <style>no</style></head><body><nav>menu</nav><h1>Head</h1><p>One <a href="x">link</a>,
    <b>bold</b>.</p><script>no()</script><template>no</template><p hidden>no</p>
    <ul><li>a<ul><li>b</li></ul></li><li>c</li></ul><ol><li>x<li>y</ol>
    <table><tr><th>K</th><th>V</th></tr><tr><td>k</td><td>1|2</td></tr></table>
    <pre>x = 1\n  y</pre><blockquote>q</blockquote></body></html>"""
    found = read_one(saved(tmp_path, "p.html", html))
    assert found.text == (
        "# Head\n\nOne link, **bold**.\n\n- a\n  - b\n- c\n\n1. x\n2. y\n\n"
        "| K | V |\n| --- | --- |\n| k | 1\\|2 |\n\n```\nx = 1\n  y\n```\n\n> q"
    )
    assert (found.title, found.format) == ("My page", "markdown")
    assert found.ts == datetime(2023, 5, 8, tzinfo=timezone.utc)


def test_tables_that_lay_out_a_page_are_no_data(tmp_path: Path) -> None:
    html = "<table><tr><td><h2>A</h2>x</td><td><table><tr><td>k</td><td>v</td></tr></table></td></tr></table>"
    assert read_one(saved(tmp_path, "p.html", html)).text == "## A\n\nx\n\n| k | v |\n| --- | --- |"


@pytest.mark.timeout(30)
@pytest.mark.parametrize("unit", ["<div>", "<b></i>", "<b id=1></p><p>", "<table><tr><td>", "<ul><li>"])
def test_html_nested_to_do_harm_is_refused_at_once(tmp_path: Path, unit: str) -> None:
    path = saved(tmp_path, "p.html", unit * 200_000 + "x")
    assert reason(path) == "HTML nested too deeply"


# ---------------------------------------------------------------- PDF


def pdf(pages: list[str], *, trailer: str = "", title: str = "") -> bytes:
    """Return a PDF of one line of text per page; an empty string is an empty page."""
    n = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(n))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {n} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET" if text else ""
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            f"/Contents {5 + 2 * i} 0 R >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) /CreationDate (D:20230508120000Z) >>")
    out = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    table = "".join(f"{offset:010d} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    end += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R {trailer} >>\n"
    return out + (end + f"startxref\n{len(out)}\n%%EOF\n").encode("latin-1")


def test_pdf_pages_have_their_offsets(tmp_path: Path) -> None:
    found = read_one(saved(tmp_path, "p.pdf", pdf(["Page one ends.", "Second page"], title="A title")))
    assert found.text == "Page one ends.\n\nSecond page"
    assert found.pages == (0, 16)
    assert found.text[found.pages[1] :] == "Second page"
    assert (found.title, found.ts) == ("A title", datetime(2023, 5, 8, 12, tzinfo=timezone.utc))


def test_pdfs_that_hold_no_text(tmp_path: Path) -> None:
    assert reason(saved(tmp_path, "scan.pdf", pdf(["", ""]))).startswith("no text on 2 pages")
    assert reason(saved(tmp_path, "bad.pdf", b"%PDF-1.4 nothing")) == "damaged, not a readable PDF"
    locked = pdf(
        ["x"],
        trailer="/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <"
        + "41" * 32
        + "> /U <"
        + "42" * 32
        + "> >> "
        "/ID [<00><00>]",
    )
    assert reason(saved(tmp_path, "locked.pdf", locked)) == "locked with a password"


def test_a_pdf_with_too_much_text_is_refused(tmp_path: Path) -> None:
    assert "ingest.max_text_chars" in reason(saved(tmp_path, "p.pdf", pdf(["x" * 90])), max_text_chars=50)


# ---------------------------------------------------------------- DOCX

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
CORE = """<?xml version="1.0"?><cp:coreProperties
 xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">
 <dc:title>The plan</dc:title><dc:creator>Ana</dc:creator>
 <dcterms:created>2023-05-08T12:00:00Z</dcterms:created>
 </cp:coreProperties>"""


def docx(path: Path, body: str, *, core: str = "", prolog: str = "") -> Path:
    package = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "[Content_Types].xml",
            f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="xml" ContentType="application/xml"/></Types>',
        )
        archive.writestr(
            "_rels/.rels",
            f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
            f'Type="{office}/officeDocument" Target="word/document.xml"/></Relationships>',
        )
        archive.writestr(
            "word/document.xml", f'{prolog}<w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
        )
        if core:
            archive.writestr("docProps/core.xml", core)
    return path


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def test_docx_keeps_headings_tables_and_properties(tmp_path: Path) -> None:
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("k", "v"))
    body = paragraph("Top", "Heading1") + paragraph("Text.") + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
    found = read_one(docx(tmp_path / "d.docx", body, core=CORE))
    assert found.text == "# Top\n\nText.\n\n| k | v |\n| --- | --- |"
    assert (found.title, found.meta) == ("The plan", {"author": "Ana"})
    assert found.ts == datetime(2023, 5, 8, 12, tzinfo=timezone.utc)


def test_zip_bombs_are_refused_before_they_unpack(tmp_path: Path) -> None:
    """About 1,000 to 1, as large as a file may be when unpacked and beyond."""
    for name, n_bytes in (("small.docx", 5_000_000), ("large.docx", 100_000_000)):
        path = docx(tmp_path / name, paragraph("a" * n_bytes))
        assert path.stat().st_size * 500 < n_bytes
        assert "zip bomb" in reason(path)


def test_a_lying_size_in_the_archive_does_not_help(tmp_path: Path) -> None:
    path = docx(tmp_path / "d.docx", paragraph("a" * 5_000_000))
    data = path.read_bytes()
    real = (
        5_000_000 + len(f'<w:document xmlns:w="{W}"><w:body></w:body></w:document>') + len(paragraph(""))
    ).to_bytes(4, "little")
    assert data.count(real) == 2
    path.write_bytes(data.replace(real, (1_000).to_bytes(4, "little")))
    assert reason(path) in (
        "damaged, not a readable DOCX",
        "unpacks to more than a document can be (zip bomb)",
    )


def test_docx_with_entities_depth_or_no_document(tmp_path: Path) -> None:
    laughs = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    assert "document type" in reason(docx(tmp_path / "e.docx", paragraph("&b;"), prolog=laughs))
    assert "nested too deeply" in reason(docx(tmp_path / "n.docx", "<w:p>" * 50_000 + "</w:p>" * 50_000))
    assert reason(saved(tmp_path, "t.docx", b"no zip")) == "damaged, not a readable DOCX"
    with zipfile.ZipFile(tmp_path / "o.docx", "w") as archive:
        archive.writestr("a.txt", "x")
    assert reason(tmp_path / "o.docx") == "not a DOCX"


# ---------------------------------------------------------------- rows


def test_jsonl_rows_are_documents(tmp_path: Path) -> None:
    rows = [
        {
            "user": "u1",
            "id": "D1:1",
            "text": "Hi",
            "ts": "1:56 pm on 8 May, 2023",
            "meta": {"speaker": "Ana"},
        },
        {"id": 7, "text": "Two", "ts": "some day", "kind": "note", "meta": {"title": "T", "tags": ["a"]}},
        {"text": "no id"},
    ]
    path = saved(tmp_path, "docs.jsonl", "\n\n".join(map(json.dumps, rows)))
    first, second, third = read(path, key="in/docs.jsonl")
    assert isinstance(first, Document)
    assert isinstance(second, Document)
    assert isinstance(third, Document)
    assert (first.key, first.text, first.source, first.format) == ("D1:1", "Hi", "in/docs.jsonl", "row")
    assert first.ts == datetime(2023, 5, 8, 13, 56, tzinfo=timezone.utc)
    assert first.meta == {"speaker": "Ana", "user": "u1"}
    assert (second.key, second.title, second.ts) == ("7", "T", None)
    assert second.meta == {"title": "T", "tags": ["a"], "kind": "note", "ts": "some day"}
    assert third.key == "in/docs.jsonl#5"


def test_bad_rows_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [
        b'\xef\xbb\xbf{"id": "a", "text": "first"}',
        b"[" * 200_000,
        b'{"id": "b", "text": ' + b"[" * 200_000,
        b"nonsense",
        b'{"id": "\xff", "text": "x"}',
        b"[1]",
        b'{"id": "c"}',
        b'{"id": "d", "text": " "}',
        b'{"id": ["x"], "text": "x"}',
        b'{"id": "e", "text": "' + b"x" * 400_000 + b'"}',
        b'{"id": "n", "text": "x", "n": ' + b"9" * 5_000 + b"}",
        b'{"id": "a", "text": "last \\ud800"}',
    ]
    found = list(read(saved(tmp_path, "d.jsonl", b"\n".join(lines)), key="d.jsonl", max_file_bytes=300_000))
    assert [(d.key, d.text) for d in found if isinstance(d, Document)] == [("a", "last \ufffd")]
    assert [d.path for d in found if isinstance(d, Skipped)] == [f"d.jsonl:{n}" for n in range(1, 12)]
    reasons = [d.reason for d in found if isinstance(d, Skipped)]
    assert reasons[0] == "line 12 has the same id and replaces it"
    assert reasons[1] == "JSON nested too deeply"


def test_one_id_of_two_people_is_no_repetition(tmp_path: Path) -> None:
    path = saved(tmp_path, "d.jsonl", '{"user":"a","id":"1","text":"x"}\n{"user":"b","id":"1","text":"y"}')
    assert [d.text for d in read(path, key="d.jsonl") if isinstance(d, Document)] == ["x", "y"]


def test_a_table_is_one_document_of_one_line_per_row(tmp_path: Path) -> None:
    found = read_one(saved(tmp_path, "parts.csv", 'part;price;note\nbolt;0,50;"a\nb"\n\nnut;0,20;\n'))
    assert found.text == "part: bolt; price: 0,50; note: a b\npart: nut; price: 0,20"
    assert (found.format, found.key, found.meta) == (
        "row",
        "parts.csv",
        {"columns": ["part", "price", "note"]},
    )
    assert read_one(saved(tmp_path, "n.tsv", "1\t2\n3\t4\n")).text == "1; 2\n3; 4"


def test_a_table_with_id_and_text_is_one_document_per_row(tmp_path: Path) -> None:
    text = "ID,Text,ts,Topic\na,Hello,2023-05-08,x\n,lost,,\nb,Old,,\nb,New,,\n"
    found = list(read(saved(tmp_path, "d.csv", text), key="d.csv"))
    documents = {d.key: d for d in found if isinstance(d, Document)}
    assert {key: d.text for key, d in documents.items()} == {"a": "Hello", "b": "New"}
    assert documents["a"].meta == {"Topic": "x"}
    assert documents["a"].ts == datetime(2023, 5, 8, tzinfo=timezone.utc)
    assert [d.path for d in found if isinstance(d, Skipped)] == ["d.csv:3", "d.csv:4"]


# ---------------------------------------------------------------- refusals


def test_limits_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path, "a.txt", "x" * 100)
    assert "ingest.max_file_bytes" in reason(path, max_file_bytes=99)
    assert "ingest.max_text_chars" in reason(path, max_text_chars=99)


def test_what_is_no_file_or_no_text_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.md")
    assert reason(tmp_path / "p.md") == "not a regular file"
    assert reason(tmp_path / "none.md") == "no such file or directory"
    assert reason(tmp_path) == "not a regular file"
    assert reason(saved(tmp_path, "b.txt", bytes(range(256)) * 20)).startswith("binary")
    with pytest.raises(UnsupportedFormat):
        list(read(saved(tmp_path, "x.jpg", b"\xff\xd8\0"), key="x.jpg"))


@pytest.mark.parametrize(
    "suffix", [".md", ".rst", ".html", ".pdf", ".docx", ".csv", ".jsonl", ".eml", ".mbox", ".py"]
)
def test_random_bytes_give_documents_or_a_reason(tmp_path: Path, suffix: str) -> None:
    """No reader raises anything else, and no message quotes the file."""
    noise = zlib.compress(b"seed")
    for round_ in range(20):
        noise = bytes((byte * 31 + index * round_ + 7) % 256 for index, byte in enumerate(noise * 2))[:4_096]
        for data in (
            noise,
            noise.hex().encode(),
            b"%PDF-1.7\n" + noise,
            b"PK\3\4" + noise,
            b"From a 2020\n" + noise,
        ):
            path = saved(tmp_path, f"x{suffix}", data)
            with contextlib.suppress(UnreadableDocument):
                for item in read(path, key="x"):
                    assert isinstance(item, (Document, Skipped))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    """A bomb of 200 MB, a deep page and a deep row in a process of their own: under 300 MB."""
    docx(tmp_path / "bomb.docx", paragraph("a" * 200_000_000))
    saved(tmp_path, "deep.html", "<div>" * 500_000)
    saved(tmp_path, "deep.jsonl", b"[" * 5_000_000)
    program = """
import pathlib, re, sys
from ragperso.errors import IngestError
from ragperso.ingest.readers import read
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        print(path.name, [item.reason for item in read(path, key=path.name)])
    except IngestError as exc:
        print(exc.message)
# Not getrusage: its peak begins with that of the process which started this one.
print(int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) * 1024)
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    *lines, peak_bytes = run.stdout.splitlines()
    assert lines == [
        "bomb.docx: unpacks to more than a document can be (zip bomb)",
        "deep.html: HTML nested too deeply",
        "deep.jsonl ['JSON nested too deeply']",
    ]
    assert int(peak_bytes) < 300_000_000
