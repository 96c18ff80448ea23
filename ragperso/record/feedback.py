"""Stage 6, record: keep what the person thought of an answer.

In: the id of an interaction, a verdict, perhaps the answer as the person would have written it, or the
citations they opened.
Out: a mark in the store with what it is evidence about; an edited answer, or a draft that was taken as it
was, as an exemplar document; what an edit replaced.
Never: makes an exemplar of the model's own words, unless they are a draft that the person called good; it
then says so of itself (``accepted``), and is shown behind what the person wrote.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, get_args

from ragperso.errors import WorkspaceError
from ragperso.record.interactions import history_key
from ragperso.store import Store
from ragperso.tokens import detect_language
from ragperso.types import Document, Feedback, Interaction, Json, Verdict

_MAX_WORDS: Final = 1_000  # of each text that is compared: more than an answer or a mail has
_EXEMPLARS: Final = "exemplars"  # in the signals of a ledger: their arms, beside those of each label


# ---------------------------------------------------------------- marks


def mark(
    store: Store,
    interaction_id: str,
    verdict: Verdict,
    edited: str,
    now: datetime,
    *,
    labels: Sequence[str] = (),
) -> Feedback:
    """Add the person's verdict on an exchange; ``edited`` is given with the verdict "edited" only, the
    ``labels`` of opened citations with "followed" only.

    The mark carries what it is evidence about (``Feedback.detail``), so that weights are derived from marks
    alone and go when the exchange is forgotten.
    Raises: WorkspaceError when there is no such exchange or citation; ValueError when verdict, text and
    labels do not fit.
    """
    if verdict not in get_args(Verdict):
        raise ValueError(f"the verdict must be one of {', '.join(get_args(Verdict))}")
    if (verdict == "edited") != bool(edited.strip()):
        raise ValueError("an edited answer needs its text, and no other verdict takes one")
    if (verdict == "followed") != bool(labels):
        raise ValueError("a followed citation needs its label, and no other verdict takes one")
    with store.write():
        found = store.interactions(id=interaction_id)
        detail = ""
        if found:
            detail = _detail(found[0], verdict, edited, labels, store.feedback(interaction_id))
        feedback = Feedback(interaction_id, verdict, edited, now, detail)
        store.put_feedback(feedback, now)
        store.put_audit("feedback", {"interaction": interaction_id, "verdict": verdict}, now)
    return feedback


def take_back(store: Store, interaction_id: str, now: datetime) -> Feedback | None:
    """Remove the last mark of an exchange, its text included, and return it; None when there is none."""
    with store.write():
        gone = store.drop_feedback(interaction_id)
        if gone is not None:
            detail = {"interaction": interaction_id, "verdict": gone.verdict, "taken_back": True}
            store.put_audit("feedback", detail, now)
    return gone


def _detail(
    interaction: Interaction,
    verdict: Verdict,
    edited: str,
    labels: Sequence[str],
    earlier: Sequence[Feedback],
) -> str:
    """Return what a mark is evidence about, as JSON.

    ``{"arms": {arm: share}}`` of the citations and exemplars for a verdict on the whole, with ``kept``, the
    share of the answer that an edit left.  ``{"labels": [...], "pairs": [{arm: difference}]}`` for followed
    citations, together with those followed before.
    """
    signals = _signals(interaction)
    if verdict == "followed":
        known = {citation.label for citation in interaction.citations} | (signals.keys() - {_EXEMPLARS})
        if unknown := [label for label in labels if label not in known]:
            raise WorkspaceError(
                f"this answer has no citation {unknown[0][:20]!r}",
                stage="record",
                hint=f"it has {', '.join(sorted(known)) or 'none'}",
            )
        opened = set(labels).union(*(_labels_of(one) for one in earlier))
        return _json({"labels": sorted(opened), "pairs": _pairs(interaction, signals, opened)})
    told: dict[str, Json] = {"arms": _arms(interaction, signals)}
    if verdict == "edited":
        told["kept"] = round(kept_share(interaction.answer, edited), 3)
    return _json(told)


def _signals(interaction: Interaction) -> dict[str, dict[str, float]]:
    """Return the arms behind each part of the prompt, as the engine stored them with the ledger."""
    ledger = interaction.ledger
    stored = ledger.get("signals") if isinstance(ledger, Mapping) else None
    return dict(stored) if isinstance(stored, Mapping) else {}


def _arms(interaction: Interaction, signals: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return what a verdict on the whole answer is evidence about.

    The passages that the answer cites share the credit; without citations all that were shown do.
    """
    cited = [signals[c.label] for c in interaction.citations if c.label in signals]
    shown = cited or [arms for label, arms in signals.items() if label != _EXEMPLARS]
    return {**_mean(shown), **signals.get(_EXEMPLARS, {})}


def _pairs(
    interaction: Interaction, signals: Mapping[str, Mapping[str, float]], opened: set[str]
) -> list[dict[str, float]]:
    """Return, for each opened citation with unopened ones above it, how its arms differ from theirs.

    What was passed over to open a later one says more than the opening alone, which mostly says "first".
    Source: Joachims 2002, "Optimizing search engines using clickthrough data", KDD, algorithm 1.
    """
    above: list[Mapping[str, float]] = []
    pairs = []
    for citation in interaction.citations:  # in the order they are read
        arms = signals.get(citation.label, {})
        if citation.label not in opened:
            above.append(arms)
        elif above:
            passed = _mean(above)
            gap = {a: round(arms.get(a, 0.0) - passed.get(a, 0.0), 3) for a in {**arms, **passed}}
            pairs.append({arm: value for arm, value in gap.items() if value})
    return [pair for pair in pairs if pair]


def _mean(several: Sequence[Mapping[str, float]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for arms in several:
        for arm, share in arms.items():
            total[arm] = total.get(arm, 0.0) + share
    return {arm: round(share / len(several), 3) for arm, share in total.items()}


def _labels_of(feedback: Feedback) -> list[str]:
    told = json.loads(feedback.detail) if feedback.verdict == "followed" and feedback.detail else {}
    return list(told.get("labels", ()))


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---------------------------------------------------------------- what a mark teaches


def exemplar_of(interaction: Interaction, feedback: Feedback) -> Document | None:
    """Return the person's own version of an answer, or a draft they called good, as an exemplar; None when
    there is none.

    Its parent is the exchange's entry in the history.  One exchange has one exemplar, under one key.
    """
    text = feedback.edited.strip()
    is_accepted = feedback.verdict == "good" and is_draft(interaction)
    if is_accepted:
        text = interaction.answer.strip()
    if not text or (feedback.verdict != "edited" and not is_accepted):
        return None
    meta: dict[str, Json] = {
        "kind": "exemplar",
        "register": _register_of(interaction),
        "language": detect_language(text),
        "request": interaction.query,
        "source": history_key(interaction.id),
        "sources": [history_key(interaction.id)],
    }
    if is_accepted:
        meta["accepted"] = True
    return Document(
        key=f"exemplar/{interaction.id}", text=text, ts=feedback.at or interaction.asked_at, meta=meta
    )


def exemplar_in_force(interaction: Interaction, marks: Iterable[Feedback]) -> Document | None:
    """Return the exemplar that all marks of an exchange leave, oldest first; None when they leave none.

    The last edit holds whatever was said afterwards, for it is the person's own writing; a draft is an
    exemplar only while "good" is the last that was said of it.
    """
    last: Feedback | None = None
    for one in marks:
        if one.verdict == "edited" or (one.verdict != "followed" and not (last and last.edited)):
            last = one
    return exemplar_of(interaction, last) if last is not None else None


def is_draft(interaction: Interaction) -> bool:
    """Say whether an exchange asked for a text in the person's manner, not for an answer."""
    return isinstance(interaction.ledger, Mapping) and interaction.ledger.get("task") == "write"


def _register_of(interaction: Interaction) -> str:
    """Return the register that most of the exemplars of a draft had; an answer is chat."""
    if not is_draft(interaction):
        return "chat"
    arms = _signals(interaction).get(_EXEMPLARS, {})
    shares = {arm.removeprefix("register:"): s for arm, s in arms.items() if arm.startswith("register:")}
    return max(shares, key=lambda name: shares[name], default="")


def kept_share(answer: str, edited: str) -> float:
    """Return how much of both texts is common, 0 to 1: 2 * common words / all words."""
    before, after = _words(answer), _words(edited)
    common = sum(b - a for tag, a, b, _, _ in _compared(before, after) if tag == "equal")
    return 2 * common / max(1, len(before) + len(after))


def _words(text: str) -> list[str]:
    return text.split(None, _MAX_WORDS)[:_MAX_WORDS]


def _compared(before: list[str], after: list[str]) -> list[tuple[str, int, int, int, int]]:
    # Its heuristic for frequent words keeps a text of one repeated word from costing n * n.
    return list(difflib.SequenceMatcher(None, before, after).get_opcodes())
