"""What the configuration switches: what is off, maintenance windows, and rollouts with their variants. Pure."""
