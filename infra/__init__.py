"""What several rooms need of the outside."""
