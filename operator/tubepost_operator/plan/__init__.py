"""Decisions: a snapshot of an object and its surroundings in, what is to be done out. Pure."""
