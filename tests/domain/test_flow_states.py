"""Are the types of Prefect's states told apart?"""

from tasks.domain import flow_states


def test_the_types_of_states_are_collections_of_names_in_capitals() -> None:
    groups = [value for name, value in vars(flow_states).items() if name.isupper() and not isinstance(value, str)]
    assert groups
    assert all(name.isupper() for group in groups for name in group)
