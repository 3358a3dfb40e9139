"""The queue past one machine: the store's port on a NATS JetStream stream that all replicas share."""
