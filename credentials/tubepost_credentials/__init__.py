"""Certificates and provider-token keys: parsed, checked, and made for tests."""
