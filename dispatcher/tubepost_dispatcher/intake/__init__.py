"""From bytes and envelope to notifications, mail, or a refusal. Pure."""
