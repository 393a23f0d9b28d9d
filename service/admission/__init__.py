"""Who is let in. What is kept here is not domain state: credentials, grants of consoles, later sessions."""
