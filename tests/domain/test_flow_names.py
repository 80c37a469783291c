"""Are the flows that people and schedules run among all flows, each once?"""

from tasks.domain.flow_names import DEPLOYED, FLOWS


def test_the_flows_that_are_deployed_are_flows_and_each_name_is_there_once() -> None:
    assert set(DEPLOYED) <= set(FLOWS)
    assert len(set(FLOWS)) == len(FLOWS)
