"""Build the wheel and use it from a folder where the source cannot be imported.

Run by ``make wheel``.  The wheel goes into a fresh virtual environment that sees the packages of this one,
but not its editable link to the source.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
OPTIONS = ["-c", "index.embedder_backend=hash", "-c", "generate.backend=extractive"]


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    print(
        "$",
        *(Path(str(part)).name if Path(str(part)).is_absolute() else part for part in command),
        flush=True,
    )
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ragperso-wheel-") as folder:
        work = Path(folder)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", work / "dist", REPOSITORY, cwd=work)
        (wheel,) = (work / "dist").glob("*.whl")
        names = zipfile.ZipFile(wheel).namelist()
        for needed in (
            "ragperso/py.typed",
            "ragperso/samples/people/questions.toml",
            "ragperso/presets/tutor/sample/sample.toml",
        ):
            assert needed in names, f"the wheel lacks {needed}"
        assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "indexes/"))], "too much in it"
        run(sys.executable, "-m", "venv", work / "env", cwd=work)
        python = work / "env" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=work)
        # The packages of the surrounding environment, without the link to the source that it holds.
        site = Path(sysconfig.get_paths()["purelib"])
        (ours,) = (work / "env" / "lib").glob("python*/site-packages")
        for entry in site.iterdir():
            if "ragperso" not in entry.name and entry.suffix != ".pth" and not (ours / entry.name).exists():
                (ours / entry.name).symlink_to(entry)
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "RAGPERSO"))}
        where = run(python, "-c", "import ragperso; print(ragperso.__file__)", cwd=work, env=env)
        assert str(REPOSITORY) not in where, f"the source was imported: {where}"
        notes = work / "notes"
        notes.mkdir()
        (notes / "tea.md").write_text(
            "# Tea\n\nI take my tea with oat milk and no sugar.\n", encoding="utf-8"
        )
        ragperso = [work / "env" / "bin" / "ragperso"]
        home = ["--home", work / "home", *OPTIONS]
        added = json.loads(run(*ragperso, *home, "add", notes, "--json", cwd=work, env=env))
        assert added["added"] == 1, added
        asked = json.loads(run(*ragperso, *home, "ask", "How do I take my tea?", "--json", cwd=work, env=env))
        assert "oat milk" in asked["answer"], asked
        assert asked["citations"][0]["document"].endswith("tea.md"), asked
        print(f"{wheel.name}: built, installed, added a note and answered from it")


if __name__ == "__main__":
    main()
