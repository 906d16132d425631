"""The command line: one sub-command a verb, no logic."""
