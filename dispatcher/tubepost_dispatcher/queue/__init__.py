"""What happens between the end of DATA and the reply."""
