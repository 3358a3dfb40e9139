"""Whoever is told of deliveries from outside: ApnLogger lines, compatible with Momentum or JSON."""
