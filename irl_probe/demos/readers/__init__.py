"""Readers of demonstrations, one file a format; `irl_probe.demos.loading` chooses among them.

A reader takes a path, or a dataset's id, and returns Demonstrations: give whole episodes in time order to
`irl_probe.demos.assembly.assemble`, which checks them. Each step has its true successor, never the observation after a
reset; an end by the clock is a truncation, or a note says that the format cannot distinguish it. For bad input a reader
raises DemoError; the message names the file, says what is wrong, and what to do. No reader runs code from a file.
"""
