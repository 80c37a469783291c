"""`adce up`: the processes of one machine, kept running together. What they need on the server is in `setup`."""
