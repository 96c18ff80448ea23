"""Stage 3, retrieve: how likely a hit answers the query.

In: the hit's scores by retriever.  Out: a probability.  Never: reorders, drops.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

# Logistic regression on the cosine and on the root of the share that BM25 reaches of its highest possible
# score: the root, because the step from no shared word to the first says more than any later one.  AUROC of
# a person's own questions against another person's, by a fit that left the set out: notes .945, LoCoMo .981,
# tau2_retail .902 (without the root .940, .984, .876; a margin over the usual cosine did not help).  Fitted
# by benchmarks/relevance.py with prior odds of 3 to 2 that a question is answerable; rounded here.
BIAS: Final = -5.2
COSINE: Final = 9.4
COVERAGE: Final = 5.8


def relevance(scores: Mapping[str, float]) -> float:
    """Return P(answers) in (0, 1) from the cosine (``dense``) and the BM25 share (``lexical``, 0 to 1).

    A retriever that did not see the hit counts 0.
    """
    logit = BIAS + COSINE * scores.get("dense", 0.0) + COVERAGE * math.sqrt(scores.get("lexical", 0.0))
    return 1 / (1 + math.exp(-logit))
