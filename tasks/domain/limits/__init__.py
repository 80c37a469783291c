"""May a request be sent now? Rates, pauses of sources, and circuit breakers of scrapers."""
