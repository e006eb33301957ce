"""How the signs of a search are weighed."""

from app.knowledge.ranking import Candidate, best


def near(document_id: str, chunk: int, score: float) -> Candidate:
    return Candidate("near", document_id, 1, chunk, score)


def ids(*candidates: Candidate, limit: int = 5) -> list[str]:
    return [choice.document_id for choice in best(candidates, limit)]


def past(count: float) -> Candidate:
    return Candidate("past", "", 0, None, count)


def test_one_lucky_chunk_does_not_rank_a_document_first() -> None:
    lucky = near("lucky", 0, 0.90)
    steady = [near("steady", chunk, 0.88) for chunk in range(3)]
    assert ids(lucky, *steady, near("far", 0, 0.7)) == ["steady", "lucky", "far"]


def test_the_nearest_chunk_is_shown() -> None:
    words = Candidate("words", "a", 1, 7, 3.0)
    [choice] = best([near("a", 1, 0.8), near("a", 2, 0.9), words], 5)
    assert choice.chunk == 2


def test_where_only_words_match_their_best_chunk_is_shown() -> None:
    [choice] = best([Candidate("words", "a", 1, 7, 3.0)], 5)
    assert choice.chunk == 7


def test_many_past_tickets_outvote_words_and_vectors() -> None:
    found = [near("article", 0, 0.9), near("other", 0, 0.8), Candidate("words", "article", 1, 0, 3.0)]
    assert ids(*found, Candidate("voted", "linked", 1, None, 2.0), past(10_000))[0] == "linked"


def test_a_first_past_ticket_does_not() -> None:
    found = [near("article", 0, 0.9), near("other", 0, 0.8), Candidate("words", "article", 1, 0, 3.0)]
    assert ids(*found, Candidate("voted", "linked", 1, None, 2.0), past(1))[0] == "article"


def named(document_id: str, articles: int) -> Candidate:
    return Candidate("named", document_id, 1, None, articles)


def test_of_two_that_fit_alike_the_one_that_others_name_comes_first() -> None:
    found = [near("a", 0, 0.89), near("b", 0, 0.88), near("far", 0, 0.5)]
    assert ids(*found) == ["a", "b", "far"]
    assert ids(*found, named("b", 9)) == ["b", "a", "far"]


def test_being_named_changes_no_score() -> None:
    """Confidence rests on what says that a document answers this question."""
    found = [near("a", 0, 0.89), near("b", 0, 0.88), near("far", 0, 0.5)]
    before, after = best(found, 5), best([*found, named("b", 9)], 5)
    assert {one.document_id: one.score for one in before} == {one.document_id: one.score for one in after}


def test_where_there_are_many_past_tickets_being_named_ranks_no_more() -> None:
    found = [near("a", 0, 0.89), near("b", 0, 0.88), near("far", 0, 0.5), named("b", 9)]
    assert ids(*found, past(10_000)) == ["a", "b", "far"]


def test_what_no_other_sign_finds_is_not_found_by_its_name() -> None:
    assert ids(near("a", 0, 0.9), named("b", 9)) == ["a"]


def test_equal_scores_are_in_the_order_of_their_ids() -> None:
    assert ids(near("b", 0, 0.9), near("a", 0, 0.9)) == ["a", "b"]


def test_no_more_than_the_limit() -> None:
    assert ids(*(near(str(n), 0, n / 10) for n in range(10)), limit=2) == ["9", "8"]


def test_nothing_found_is_an_ordinary_outcome() -> None:
    assert ids(past(0)) == []
