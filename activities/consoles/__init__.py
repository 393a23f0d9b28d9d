"""Consoles: brings a machine's screen and serial port from its host to the gateway."""
