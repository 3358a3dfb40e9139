"""One notification to its end: which route, when again, who is told. Knows no SMTP, session or reply."""
