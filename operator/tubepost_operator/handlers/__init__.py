"""kopf: the only place that knows it. It watches our three kinds and says what it sees, nothing more."""
