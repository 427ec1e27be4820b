"""The session in a process of its own, spoken to by typed messages."""
