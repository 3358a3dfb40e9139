"""The dispatcher: SMTP in, APNs out."""
