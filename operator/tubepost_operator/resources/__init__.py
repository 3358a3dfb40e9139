"""Builders of the children: values in, manifests for server-side apply out."""
