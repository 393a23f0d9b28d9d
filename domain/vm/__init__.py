"""Virtual machines: what is asked for, what happened, what follows."""
