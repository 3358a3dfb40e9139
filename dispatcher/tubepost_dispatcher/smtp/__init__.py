"""The SMTP listener: the only package that knows aiosmtpd."""
