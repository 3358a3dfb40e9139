"""Coverage-guided fuzzing of what reads bytes from outside; see README.md. `python -m tests.fuzz --help`."""
