"""Decisions: a snapshot of an object and its surroundings in, a plan of what to write out. Pure."""
