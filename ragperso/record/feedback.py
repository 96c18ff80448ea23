"""Stage 6, record: keep what the person thought of an answer.

In: the id of an interaction, a verdict, perhaps the answer as the person would have written it.
Out: a mark in the store; an edited answer as an exemplar document.
Never: turns the model's own words into an exemplar, however good they were.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from ragperso.record.interactions import history_key
from ragperso.store import Store
from ragperso.tokens import detect_language
from ragperso.types import Document, Feedback, Interaction, Verdict


def mark(store: Store, interaction_id: str, verdict: Verdict, edited: str, now: datetime) -> Feedback:
    """Add the person's verdict on an exchange; ``edited`` is given with the verdict "edited" only.

    Raises: WorkspaceError when there is no such exchange; ValueError when verdict and text do not fit.
    """
    if verdict not in get_args(Verdict):
        raise ValueError(f"the verdict must be one of {', '.join(get_args(Verdict))}")
    if (verdict == "edited") != bool(edited.strip()):
        raise ValueError("an edited answer needs its text, and no other verdict takes one")
    feedback = Feedback(interaction_id, verdict, edited, now)
    with store.write():
        store.put_feedback(feedback, now)
        store.put_audit("feedback", {"interaction": interaction_id, "verdict": verdict}, now)
    return feedback


def exemplar_of(interaction: Interaction, feedback: Feedback) -> Document | None:
    """Return the person's own version of an answer as an exemplar; None when there is none.

    Its parent is the exchange's entry in the history.  One exchange has one exemplar: a second edit
    replaces the first.
    """
    if feedback.verdict != "edited" or not feedback.edited.strip():
        return None
    text = feedback.edited.strip()
    return Document(
        key=f"exemplar/{interaction.id}",
        text=text,
        ts=feedback.at or interaction.asked_at,
        meta={
            "kind": "exemplar",
            "register": "chat",
            "language": detect_language(text),
            "request": interaction.query,
            "source": history_key(interaction.id),
            "sources": [history_key(interaction.id)],
        },
    )
