"""Decisions: what may run, what is known, what happens next; no I/O, no clock, no environment."""
