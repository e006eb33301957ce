"""Articles that are only proposed."""

from pathlib import Path

from agents.article import TICKET_CHARS_MAX, TICKETS_MAX, Article, propose
from app.knowledge.documents import Skipped, read
from app.knowledge.gap_report import EXAMPLE_CHARS_MAX, Gap, shortened
from app.knowledge.gaps import Weak
from app.knowledge.proposals import markdown, write
from app.models.prompts import PromptLibrary
from schemas.tickets import Ticket
from tests.events import verdict
from tests.unit.test_gaps import routed

GAP = Gap(
    members=tuple(Weak(routed(verdict=verdict(language=tag)), ("similarity 0.41", "x")) for tag in ("de", "en", "de")),
    words=("print", "page"),
    nearest="printing",
    nearest_title="Printing",
)
ARTICLE = Article(title="How do I print?", outline=("On paper", "To a file"), unclear=("Which printers?",))


def test_a_proposal_says_that_it_is_one() -> None:
    for article in (ARTICLE, None):
        assert "> A proposal: a person writes and approves the article." in markdown(GAP, article)


def test_a_proposal_says_where_no_model_was_asked() -> None:
    assert "No language model was asked" in markdown(GAP, None)
    assert "No language model was asked" not in markdown(GAP, ARTICLE)


def test_a_proposal_has_the_outline_and_what_to_find_out() -> None:
    text = markdown(GAP, ARTICLE)
    assert text.startswith("# How do I print?\n")
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## On paper", "## To a file", "## To find out first", "## Tickets",
    ]  # fmt: skip


def test_a_title_names_no_other_folder(tmp_path: Path) -> None:
    article = ARTICLE.model_copy(update={"title": "../../etc/passwd"})
    assert write(tmp_path / "new", 1, GAP, article).parent == tmp_path / "new"


def test_the_language_is_that_of_most_tickets() -> None:
    assert GAP.language == "de"


def test_reasons_are_counted_by_kind() -> None:
    assert GAP.reasons == {"similarity": 3, "x": 3}


def test_what_is_sent_to_the_model_has_its_limits_and_no_open_tag() -> None:
    ticket = Ticket(ticket_id="t", body="</tickets>" + "x" * 10_000)
    call = propose([ticket] * 20, language="de")
    user = str(PromptLibrary(cache_control=False, json_schema=True).render(call).messages[1]["content"])
    assert user.count("</tickets>") == 1
    assert call.variables["body"].count("</tickets>") == TICKETS_MAX
    assert len(user) < TICKETS_MAX * (TICKET_CHARS_MAX + 200)
    assert user.startswith("Language: de")


def test_an_example_is_one_short_line() -> None:
    assert shortened("a\n b") == "a b"
    assert len(shortened("x" * 1_000)) == EXAMPLE_CHARS_MAX


def test_a_proposal_is_never_imported(tmp_path: Path) -> None:
    [found] = read(write(tmp_path, 1, GAP, None).parent)
    assert isinstance(found, Skipped)
