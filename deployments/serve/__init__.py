"""The service `adce serve`: status, health and metrics over HTTP, out of what the ledger had at the last refresh.

An answer is bytes that the refresh has prepared, so that a request costs neither the ledger nor the lake anything.
"""
