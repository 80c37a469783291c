"""What has the configuration switched off or changed for a while? Switches, maintenance windows and rollouts."""
