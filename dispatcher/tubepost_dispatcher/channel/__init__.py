"""The private line between supervisor and worker: messages, their form on the line, and the line itself."""
