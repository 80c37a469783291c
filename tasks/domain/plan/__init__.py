"""What is fetched, in which order, and when is it done? Pure."""
