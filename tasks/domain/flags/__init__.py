"""What has the configuration disabled or changed for a while? Switches, maintenance windows and rollouts."""
