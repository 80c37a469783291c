"""What is said of the files that `adce fill` is asked for and does not fetch?"""

from tasks.answers.asked import Asked, NotFetched


def test_of_many_reasons_only_the_first_few_are_told() -> None:
    whole = {key: NotFetched("whole", "--again") for key in "ab"}
    refused = {f"{n}.json": NotFetched(f"not due before {n}") for n in range(100)} | whole
    *told, others = Asked([], refused).lines()
    assert told == [f"{n}.json: not due before {n}" for n in range(10)]
    assert others == "92 other files: `adce why KEY` tells the reason of each"
    assert Asked([], whole).lines() == ["a and 1 more: whole; --again"]
    there = dict.fromkeys("ab", NotFetched("it is there", "--again fetches it again"))
    assert Asked([], there).lines() == ["a and 1 more: they are there; --again fetches them again"]


def test_the_key_is_written_into_the_remedy_and_not_into_a_note() -> None:
    refused = NotFetched("KEY is what ana wrote", "`adce why KEY` says what to do")
    assert Asked([], {"a": refused}).lines() == ["a: KEY is what ana wrote; `adce why a` says what to do"]
    both = Asked([], {"a": refused, "b": refused}).lines()
    assert both == ["a and 1 more: KEY is what ana wrote; `adce why KEY` says what to do"]
