"""Who is let in. What is kept here is not domain state: credentials, later sessions and grants."""
