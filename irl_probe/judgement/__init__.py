"""From figures to words: warnings, grades, the verdict and its glossary."""
