"""What is a flow run called? By what its parameters select."""

from __future__ import annotations

from prefect.runtime import flow_run

from tasks.domain.flow_names import name_of_run


def run_name() -> str:
    """The name of the flow run that begins; see name_of_run."""
    return name_of_run(flow_run.flow_name, flow_run.parameters)
