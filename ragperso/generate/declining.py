"""Stage 5, generate: the sentence that says there is no answer, in the language of the question."""

from __future__ import annotations

from typing import Final

from ragperso.tokens import detect_language

_SENTENCES: Final = {
    "en": "Your documents do not say.",
    "de": "Dazu steht in Ihren Unterlagen nichts.",
    "fr": "Vos documents n'en parlent pas.",
    "es": "Sus documentos no lo dicen.",
    "it": "I suoi documenti non lo dicono.",
    "nl": "Uw documenten zeggen daar niets over.",
    "pt": "Os seus documentos não o dizem.",
}


def sentence(question: str) -> str:
    """Return "your documents do not say" in the language of ``question``, English when it is unclear."""
    return _SENTENCES.get(detect_language(question), _SENTENCES["en"])
