"""Who says yes to a message, and when."""
