"""What keeps a source from being asked: its rate, its pause, and the circuit breakers of its scrapers. Pure."""
