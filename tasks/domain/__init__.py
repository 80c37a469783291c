"""The rules of ADCE as pure functions, without a clock, the network or Prefect."""
