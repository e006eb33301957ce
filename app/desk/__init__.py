"""What people see of the topics, what they decide, and what is sent."""
