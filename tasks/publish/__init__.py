"""Telling others what ADCE has measured, and what is wrong. Imports no Prefect, and nothing that fetches."""
