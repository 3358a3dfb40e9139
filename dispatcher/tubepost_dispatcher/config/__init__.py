"""Where a configuration comes from: manifests on a laptop, a mounted directory in a pod."""
