"""The ApnLogger: Momentum-compatible and JSON log lines."""
