"""MCMT messages: bytes to values or to a reasoned rejection. Pure."""
