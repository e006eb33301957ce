"""Which articles others name by their title."""

from app.knowledge.named import Named


def counts(titles: dict[str, str], *texts: tuple[str, str]) -> dict[str, int]:
    named = Named(titles)
    for document_id, text in texts:
        named.read(document_id, text)
    return dict(named.counts())


def test_an_article_counts_once_however_often_it_names_another() -> None:
    text = "See Clear the cache. Then, as in Clear the cache, restart."
    assert counts({"cache": "Clear the cache"}, ("a", text), ("a", text), ("b", text)) == {"cache": 2}


def test_an_article_does_not_name_itself() -> None:
    assert counts({"cache": "Clear the cache"}, ("cache", "Clear the cache: how to do it")) == {}


def test_case_line_ends_and_marks_between_the_words_do_not_matter() -> None:
    assert counts({"cache": "Clear the cache - and more"}, ("a", "*CLEAR the\ncache* (and more)")) == {"cache": 1}


def test_where_titles_begin_alike_the_longest_that_stands_there_is_meant() -> None:
    titles = {
        "update": "Update Firefox",
        "latest": "Update Firefox to the latest release",
        "old": "Update Firefox 3",
    }
    assert counts(titles, ("a", "Update Firefox to the latest release now")) == {"latest": 1}
    assert counts(titles, ("a", "Update Firefox to the moon")) == {"update": 1}


def test_part_of_a_word_is_not_the_word() -> None:
    assert counts({"tab": "Open tab"}, ("a", "Reopen tabs. Open tabs.")) == {}


def test_a_title_of_one_word_is_a_word_like_any_other() -> None:
    assert counts({"bookmarks": "Bookmarks"}, ("a", "Bookmarks are kept")) == {}


def test_a_title_in_a_script_without_spaces_is_found_within_a_sentence() -> None:
    assert counts({"sync": "ブックマークを同期する"}, ("a", "詳しくは「ブックマークを同期する」をご覧ください")) == {
        "sync": 1
    }


def test_articles_of_one_title_are_all_meant() -> None:
    assert counts({"a": "Clear the cache", "b": "clear the Cache"}, ("c", "Clear the cache")) == {"a": 1, "b": 1}
