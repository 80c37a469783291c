"""Dashboards, rules and tables, which `python -m deployments.grafana` makes from the catalogue of metrics."""
