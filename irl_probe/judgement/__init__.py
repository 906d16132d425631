"""From figures to words: read the results, then warnings, grades, the verdict and its answers, and the glossary.

`read(tree)` reads a results tree once; `judge(figures)` and `answers(figures, verdict)` say what its figures mean.
`warnings_of(tree)` says which of them not to trust, and `glossary.terms()` defines the words.
"""

from irl_probe.judgement import glossary
from irl_probe.judgement.reading import Figures, read
from irl_probe.judgement.verdict import RULES, Answer, Claim, Verdict, answers, judge
from irl_probe.judgement.warnings import warnings_of

__all__ = [
    "RULES",
    "Answer",
    "Claim",
    "Figures",
    "Verdict",
    "answers",
    "glossary",
    "judge",
    "read",
    "warnings_of",
]
