"""A worker process: one whole pipeline, from accepted connection to APNs' answer."""
