"""ragperso.tokens: the same words come out of a question and of the text that answers it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragperso.tokens import (
    MAX_TOKEN_CHARS,
    content_words,
    detect_language,
    document_tokens,
    lexical_tokens,
    shingles,
    stemming_language,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The banks are running", ["bank", "run"]),
        ("Ana's notes", ["ana", "note"]),
        ("Ana’s notes", ["ana", "note"]),
        ("PDFs, URLs and TVs", ["pdf", "url", "tv"]),
        ("ＡＢＣ", ["abc"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zerowidth"]),
        ("1,000 and 3,5", ["1000", "1", "000", "3", "5"]),
        ("_emphasis_ and __init__", ["emphasi", "init"]),
        ("___ --- ... * #", []),
        ("", []),
        ("C", ["c"]),
    ],
)
def test_english_words_are_folded_stemmed_and_freed_of_stop_words(text: str, expected: list[str]) -> None:
    assert lexical_tokens(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("snake_case", ["snake_case", "snake", "case"]),
        ("GitHub", ["git", "hub", "github"]),
        ("C++", ["c++", "c"]),
        ("C#", ["c#", "c"]),
        (".NET", [".net", "net"]),
        ("--dry-run", ["--dry-run", "dri", "run"]),
        ("foo.bar", ["foo.bar", "foo", "bar"]),
        ("std::vector", ["std::vector", "std", "vector"]),
        ("v1.2.3", ["v1.2.3", "1.2.3", "1.2", "v", "1", "v1", "2", "3"]),
        ("#W2611340", ["#w2611340", "w", "2611340", "w2611340"]),
        ("ana.m@ex.org", ["ana.m@ex.org", "ana.m", "ana", "m", "ex.org", "ex", "org"]),
        ("src/my_file.py", ["src/my_file.py", "src", "my_file.py", "my", "file", "py"]),
        ("python3", ["python", "3", "python3"]),
        ("app/.env", ["app", ".env", "env"]),
        ("1.200.000", ["1.200.000", "1200000", "1", "200", "000"]),
        ("v3.5", ["v3.5", "3.5", "v", "3", "v3", "5"]),
        ("e-mails", ["email", "e", "mail"]),
    ],
)
def test_identifiers_give_themselves_and_their_parts(text: str, expected: list[str]) -> None:
    assert lexical_tokens(text) == expected
    assert lexical_tokens(f"see {text}, please")[1:-1] == expected, "inside a sentence as well"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("我的猫", ["我的", "的猫", "我", "的", "猫"]),  # Han: pairs, and each character
        ("ひらがな", ["ひら", "らが", "がな"]),
        ("猫", ["猫"]),
        ("은행을", ["은행", "행을"]),
        ("ไทย", ["ไท", "ทย"]),
        ("كِتَـــاب", ["كتاب"]),  # vowel signs and stretching vanish
        ("ёлки", ["елк"]),
        ("DNS设置", ["dn", "设置", "设", "置"]),
        ("C#项目", ["c#", "c", "项目", "项", "目"]),
        ("用.NET", ["用", ".net", "net"]),
        ("GitHub에서", ["git", "hub", "github", "에서"]),
        ("집에서", ["집에", "에서", "집"]),  # one syllable before a particle
        ("집", ["집"]),
        ("المدرسة", ["مدرس"]),
        ("وبالمدرسة", ["مدرس"]),
        ("حسابًا", ["حساب"]),
        ("لحساب", ["لحساب", "حساب"]),  # l- may also be a letter of the word
        ("أحمد", ["احمد"]),
    ],
)
def test_other_scripts(text: str, expected: list[str]) -> None:
    assert lexical_tokens(text) == expected


def test_accents_and_umlauts_do_not_separate_spellings() -> None:
    assert lexical_tokens("Müller", ["de"]) == lexical_tokens("Muller", ["de"]) == ["mull"]
    assert lexical_tokens("Straße", ["de"]) == lexical_tokens("Strasse", ["de"])
    assert lexical_tokens("l'élève", ["fr"]) == lexical_tokens("eleve", ["fr"]) == ["elev"]
    assert lexical_tokens("Ångström", ["en"]) == lexical_tokens("angstrom", ["en"])


@pytest.mark.parametrize(
    ("language", "word", "part"),
    [
        ("de", "Zahnarztrechnung", "Rechnung"),
        ("de", "Zahnarztrechnung", "Zahnarzt"),
        ("de", "Krankenversicherungsnummer", "Versicherung"),
        ("nl", "belastingaangifte", "aangiften"),
        ("sv", "hemförsäkringen", "försäkring"),
        ("da", "husnøgler", "nøgle"),
        ("no", "hyttenøkkel", "nøkkelen"),
    ],
)
def test_compounds_give_their_parts(language: str, word: str, part: str) -> None:
    (stem, *_) = lexical_tokens(part, [language])
    assert stem in lexical_tokens(word, [language])


def test_what_only_looks_like_a_compound_is_one_word() -> None:
    assert lexical_tokens("Ausbildung", ["de"]) == ["ausbild"], "no picture in it"
    assert lexical_tokens("Arbeitszeit", ["de"]) == ["arbeitszeit", "zeit", "arbeit"], "no newspaper in it"
    assert lexical_tokens("Zahnarztrechnung", ["en"]) == ["zahnarztrechnung"], "English has no such words"


@pytest.mark.parametrize(
    ("language", "written", "typed"),
    [
        ("es", "habitaciones", "habitacion"),
        ("pt", "informações", "informacao"),
        ("pt", "pães", "pao"),
        ("pt", "responsáveis", "responsavel"),
        ("fr", "forêts", "foret"),
        ("fr", "à côté", "cote"),
        ("it", "città", "citta"),
        ("nl", "ideeën", "idee"),
        ("sv", "läkaren", "lakare"),
        ("pl", "książka", "ksiazka"),
        ("tr", "İzmir", "IZMIR"),
        ("tr", "köpeği", "kopek"),
    ],
)
def test_words_typed_without_their_accents(language: str, written: str, typed: str) -> None:
    assert set(lexical_tokens(typed, [language])) & set(lexical_tokens(written, [language]))


def test_elisions_go_with_and_without_accents_in_the_text() -> None:
    assert lexical_tokens("l'eau d'ici", ["fr"]) == lexical_tokens("eau ici", ["fr"])
    assert lexical_tokens("dell'acqua", ["it"]) == lexical_tokens("acqua", ["it"])
    assert lexical_tokens("été", ["fr"]) == ["ete"], "been, but summer too"


def test_a_query_meets_documents_cut_with_any_language_of_the_corpus() -> None:
    german = document_tokens("Ich habe die Banken gewechselt und bin nicht zufrieden mit dem Konto.")
    english = document_tokens("I have been running to the banks.")
    assert "bank" in german
    assert "bank" in english
    for query in ("Banken", "banks"):
        assert "bank" in lexical_tokens(query, ["en", "de"])
    # One word under two languages: each stem once.
    assert lexical_tokens("Banken", ["en", "de"]) == ["banken", "bank"]
    assert lexical_tokens("die", ["en", "de"]) == ["die"], "dropped in German, searched for in English"
    assert lexical_tokens("die", ["de"]) == []
    assert lexical_tokens("banks", ["zh", "", "en"]) == ["bank"], (
        "languages without a stemmer count as English"
    )
    assert lexical_tokens("banks", []) == ["bank"]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("when did I change banks?", "en"),
        ("Wo ist die Rechnung vom Zahnarzt?", "de"),
        ("où est la banque", "fr"),
        ("¿dónde está el banco?", "es"),
        ("dov'è la banca più vicina", "it"),
        ("waar is mijn fiets", "nl"),
        ("onde você estava ontem", "pt"),
        ("银行卡在哪里", "zh"),
        ("猫が好きです", "ja"),
        ("은행은 어디에 있나요", "ko"),
        ("أين المكتبة", "ar"),
        ("где мои ключи", "ru"),
        ("var är min cykel", "sv"),
        ("hvor er min cykel, og hvad koster den", "da"),
        ("missä minun avaimet ovat", "fi"),
        ("hol van a kulcs és mikor jön", "hu"),
        ("unde sunt cheile și când vii", "ro"),
        ("anahtarlarım nerede", "tr"),
        ("gdzie są moje klucze", "pl"),
        ("kde jsou moje klíče", "cs"),
        ("l'eau", ""),  # French or Italian
        ("l'eau et le pain", "fr"),
        ("mail to ana@mail.com, ben@mail.de or example.com", "en"),
        ("Reno CA, Utica IL, Provo AZ", ""),
        ("size S, option A, 4 x O", ""),
        ("Python", ""),
        ("", ""),
        ("12:30 42 %", ""),
    ],
)
def test_detect_language(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_one_foreign_name_does_not_change_the_language() -> None:
    assert detect_language("What did Müller say about the contract when we met?") == "en"
    assert detect_language("Notes on 東京 and what we did there with the team") == "en"
    assert stemming_language("银行卡在哪里") == "en"


def test_content_words_leave_the_function_words_out() -> None:
    assert content_words("Where did you say that the car is?") == {"say", "car"}
    assert content_words("Wo habe ich das Fahrrad abgestellt?") == {"fahrrad", "abgestellt"}
    long = "The invoices were paid by the bank in March, and they were not refunded."
    assert content_words("invoices paid", "en") <= content_words(long, "en")


def test_shingles_count_shared_runs_of_three_words() -> None:
    first, second = shingles("a b c d e"), shingles("x b c d e")
    assert len(first) == 3  # abc bcd cde
    assert len(first & second) == 2  # bcd cde
    assert shingles("A, b; C!") == shingles("a b c"), "case and punctuation do not count"
    assert len(shingles("two words")) == 1
    assert len(shingles("我的猫在")) == 2
    assert shingles(" ... ") == set()


def test_shingles_are_equal_in_another_process() -> None:
    code = "from ragperso.tokens import shingles; print(sorted(shingles('one two three four')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == str(sorted(shingles("one two three four")))


@given(st.text(max_size=200), st.lists(st.sampled_from(["en", "de", "fr", "es", "zh", ""]), max_size=3))
def test_any_text_gives_short_tokens_without_white_space(text: str, languages: list[str]) -> None:
    tokens = lexical_tokens(text, languages)
    assert all(token and len(token) <= MAX_TOKEN_CHARS for token in tokens)
    assert all(token.split() == [token] for token in tokens), "tokens are stored joined by spaces"
    assert tokens == lexical_tokens(text, languages), "the cache answers as the first time"
    detect_language(text)
    content_words(text)
    shingles(text)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_spelling_in_another_normal_form_changes_nothing(text: str) -> None:
    import unicodedata

    assert lexical_tokens(unicodedata.normalize("NFD", text)) == lexical_tokens(
        unicodedata.normalize("NFC", text)
    )


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "unit", ["a.b-", "word ", "a", "我", "--", "a'", ".", "aB", "#@.", "é", "1,", "_", "\ud800", "a\u0301"]
)
def test_a_query_of_30_kb_is_no_burden(unit: str) -> None:
    """5 to 60 ms measured; where a pattern backtracks it takes minutes and the test times out."""
    text = unit * (30_000 // len(unit))
    tokens = lexical_tokens(text, ["en", "de", "fr"])
    assert len(tokens) <= 2 * len(text)  # of Chinese each character and each pair
    assert max(map(len, tokens), default=0) <= MAX_TOKEN_CHARS
    assert detect_language(text) in ("", "zh")
    assert len(shingles(text)) <= len(tokens) + 1


def test_many_threads_get_the_same_tokens() -> None:
    texts = [f"running walker{i} Häuser_{i}" for i in range(300)]
    expected = [lexical_tokens(text, ("en", "de")) for text in texts]
    from ragperso import tokens

    tokens._cutter.cache_clear()
    results: list[list[list[str]]] = []
    threads = [
        threading.Thread(
            target=lambda: results.append([lexical_tokens(text, ("en", "de")) for text in texts])
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4
