"""What are ADCE's flows called in Prefect? The ledger has these names as the kinds of runs."""

RECONCILE, FILL = "reconcile", "fill"
DEPLOYED = (RECONCILE, FILL)  # the flows that schedules and people run
FLOWS = (*DEPLOYED, "scraper", "scrape")  # and those that these run
