"""Reports to senders: delivery status notifications, to whom they go, and how they reach the relay."""
