"""Stage 3, retrieve: how likely a hit answers the query.

In: the evidence of a hit.  Out: a probability.  Never: reorders, drops.
"""

from __future__ import annotations

import math
from typing import Final

from ragperso.retrieve.evidence import Evidence

# Logistic regression; fitted by benchmarks/relevance.py, whose output in benchmarks/README.md says how it
# holds on sets left out.  The root of a coverage, because the step from no shared word to the first says more
# than any later one.  The margin is the only sign of a question that asks of one person what another one
# said: the fit gives it half as much, but with this such questions of LoCoMo are told from answerable ones
# better (AUROC .78 -> .81), and 3 % of the answerable ones are declined instead of 2 %.
BIAS: Final = -6.9
COSINE: Final = 9.5
COVERAGE: Final = 9.1
MARGIN: Final = 2.5
MAX_MARGIN: Final = 3.0  # in log-odds of the fused score; beyond it nothing is surer


def relevance(evidence: Evidence, row: int, margin: float = 0.0) -> float:
    """Return P(answers) in (0, 1) of one row; ``margin`` is that of ``AdaptiveFusion.speaker_margin``."""
    cosine, coverage = float(evidence.cosine[row]), float(evidence.coverage[row])
    return probability(cosine, coverage, margin)


def probability(cosine: float, coverage: float, margin: float = 0.0) -> float:
    """Return P(answers) from the cosine, the BM25 share of a perfect match and the speaker margin."""
    held = min(MAX_MARGIN, max(-MAX_MARGIN, margin))
    logit = BIAS + COSINE * cosine + COVERAGE * math.sqrt(max(0.0, coverage)) + MARGIN * held
    return 1 / (1 + math.exp(-logit))
