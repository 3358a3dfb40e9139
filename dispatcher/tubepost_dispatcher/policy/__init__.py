"""Users' hooks in Python: the process that runs them, and who asks it; `tubepost_policy` has the objects."""
