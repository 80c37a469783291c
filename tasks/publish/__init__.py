"""Telling other systems what ADCE has measured. Imports no Prefect, and nothing that fetches."""
