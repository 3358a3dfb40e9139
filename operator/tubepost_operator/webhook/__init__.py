"""Sidecar mode: a mutating webhook that puts a dispatcher into labelled pods."""
