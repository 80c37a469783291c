"""The flows. Prefect imports them in processes of its own, and none of those is to say a secret."""

from config.secrets import hide_in_output

hide_in_output()
