"""What is said of the files that `adce fill` is asked for and does not fetch?"""

from tasks.answers.asked import Asked


def test_of_many_reasons_only_the_first_few_are_told() -> None:
    refused = {f"{n}.json": f"KEY is not due before {n}" for n in range(100)} | {"a": "whole", "b": "whole"}
    *told, others = Asked([], refused).lines()
    assert told == [f"{n}.json: {n}.json is not due before {n}" for n in range(10)]
    assert others == "92 other files: `adce why KEY` tells the reason of each"
    assert Asked([], {"a": "whole", "b": "whole"}).lines() == ["a and 1 more: whole"]
