"""From figures to words: warnings, grades, the verdict and its glossary."""

from irl_probe.judgement.warnings import verdicts as warnings_of

__all__ = ["warnings_of"]
