"""The offline classifier's rows: valid, distinct, wide, and with the traps that keywords fall into."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from app.offline.classify import SIGNS_FILE, TRAINING_FILE
from app.offline.training import HUMAN, SIGNS, Row, read_rows, read_sign_rows
from schemas.tickets import Category, Priority, Sentiment, Stake, Verdict

HOLDOUT_FILE = TRAINING_FILE.with_name("holdout.jsonl")
FILES = (TRAINING_FILE, HOLDOUT_FILE)
SIGN_FILES = (SIGNS_FILE, SIGNS_FILE.with_name("signs.holdout.jsonl"))

# A category that has the name of a stake always raises it (see app.offline.classify.verdict).
STAKE_NAMES = {stake.value for stake in Stake}

# Texts with a stake's usual word and no stake, and texts with a stake and none of its usual words.
TRAPS: dict[str, tuple[Category, set[str]]] = {
    "Does noise cancelling work while the headphones are charging?": (Category.HOW_TO, set()),
    "How do I cancel a running export without losing the file?": (Category.HOW_TO, set()),
    "Thanks for the quick refund, it arrived this morning.": (Category.OTHER, set()),
    "Where do I find the complaints statistics for my region in the dashboard?": (Category.HOW_TO, set()),
    "Does the security camera record in the dark?": (Category.HOW_TO, set()),
    "I'm a lawyer and look for a way to number paragraphs automatically.": (Category.HOW_TO, set()),
    "Can I change the email that I use for sync myself, and where?": (Category.HOW_TO, set()),
    "Which agent settings are needed for the monitoring agent on our Linux hosts?": (Category.HOW_TO, set()),
    "user agent string is reported wrongly since version 100": (Category.TECHNICAL_PROBLEM, set()),
    "Die Rückzahlung ist da, vielen Dank für die schnelle Abwicklung!": (Category.OTHER, set()),
    "¿Cómo cancelo la impresión de un documento?": (Category.HOW_TO, set()),
    "Przycisk Anuluj nie działa w oknie eksportu": (Category.TECHNICAL_PROBLEM, set()),
    "返金を確認しました。ありがとうございました。": (Category.OTHER, set()),
    "Let's call it a day with the gym plan, I'm moving abroad.": (Category.CANCELLATION, {"cancellation"}),
    "The sum for the broken lamp should be back with me by now, where is it?": (Category.REFUND, {"refund"}),
    "I'm now called Meyer, the profile still says Schulz. Would you fix that?": (Category.ACCOUNT, {"account_change"}),
    "Payments keep going out and I'm sitting right here not touching anything!": (Category.SECURITY, {"security"}),
    "You will receive mail from our solicitors.": (Category.LEGAL, {"legal"}),
    "A birthday without a cake, thanks to you. The kids cried. Words fail me.": (Category.COMPLAINT, {"complaint"}),
    "NO MORE BOT. PERSON. NOW.": (Category.OTHER, {HUMAN}),
    "Is this call recording feature able to tell the agent from the customer?": (Category.HOW_TO, set()),
    "Kolega mi už volal, všechno je v pořádku, děkuji.": (Category.OTHER, set()),
    "Essay writing service, plagiarism free, A+ guaranteed or your money refunded. Get 15 % off the first order, "
    "whatsapp now.": (Category.SPAM, set()),
}


@pytest.fixture(scope="module", params=FILES, ids=lambda path: path.stem)
def rows(request: pytest.FixtureRequest) -> list[Row]:
    path: Path = request.param
    return read_rows(path)


@pytest.fixture(scope="module")
def training_rows() -> list[Row]:
    return read_rows(TRAINING_FILE)


def test_every_row_would_make_a_valid_verdict(rows: list[Row]) -> None:
    for row in rows:
        assert row.text == row.text.strip() != ""
        Verdict(
            category=Category(row.labels["category"]),
            priority=Priority(row.labels["priority"]),
            sentiment=Sentiment(row.labels["sentiment"]),
            language=row.labels["language"],
            stakes=tuple(Stake(flag) for flag in sorted(row.flags - {HUMAN})),
            wants_human=HUMAN in row.flags,
            confidence=1,
        )


def test_a_category_named_like_a_stake_carries_that_stake(rows: list[Row]) -> None:
    assert not [row.text for row in rows if (name := row.labels["category"]) in STAKE_NAMES and name not in row.flags]


def test_no_text_comes_twice_in_one_file_or_in_both() -> None:
    """Also not with other capitals or spaces: a holdout that was trained on measures nothing."""
    texts = [row.text for path in FILES for row in read_rows(path)]
    texts += [row.text for path in SIGN_FILES for row in read_sign_rows(path)]
    times = Counter(" ".join(text.casefold().split()) for text in texts)
    assert [text for text, count in times.items() if count > 1] == []


def test_every_category_comes_in_at_least_eight_languages(training_rows: list[Row]) -> None:
    languages: dict[str, set[str]] = {category.value: set() for category in Category}
    for row in training_rows:
        languages[row.labels["category"]].add(row.labels["language"])
    assert {category: len(found) for category, found in languages.items() if len(found) < 8} == {}


def test_at_least_sixty_rows_ask_for_a_person(training_rows: list[Row]) -> None:
    assert sum(HUMAN in row.flags for row in training_rows) >= 60


def test_every_stake_also_comes_in_long_messages_as_does_none(training_rows: list[Row]) -> None:
    """Else a long post, which is how browser users write, would be harmless by its length alone."""
    long = Counter(flag for row in training_rows if len(row.text) >= 150 for flag in row.flags - {HUMAN} or {"none"})
    assert {name: long[name] for name in (*STAKE_NAMES, "none") if long[name] < 8} == {}


def test_the_readme_counts_the_rows_as_they_are(training_rows: list[Row]) -> None:
    readme = TRAINING_FILE.with_name("README.md").read_text(encoding="utf-8")
    holdout_rows = read_rows(HOLDOUT_FILE)
    trained, held = (Counter(row.labels["category"] for row in rows) for rows in (training_rows, holdout_rows))
    stated = [f"{len(training_rows):,} / {len(holdout_rows)} rows"]
    stated += [f"| {name.value} | {trained[name.value]} / {held[name.value]} |" for name in Category]
    assert [line for line in stated if line not in readme] == []


def test_the_holdout_has_every_language_of_the_training_rows(training_rows: list[Row]) -> None:
    def languages(rows: list[Row]) -> set[str]:
        return {row.labels["language"] for row in rows}

    assert languages(read_rows(HOLDOUT_FILE)) == languages(training_rows)


def test_each_sign_and_none_come_in_at_least_eight_languages_of_both_files() -> None:
    for path in SIGN_FILES:
        languages: dict[str, set[str]] = {name: set() for name in (*SIGNS, "none")}
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            for name in row["signs"] or ["none"]:
                languages[name].add(row["language"])
        assert {name: len(found) for name, found in languages.items() if len(found) < 8} == {}


def test_the_readme_counts_the_rows_of_signs_as_they_are() -> None:
    readme = TRAINING_FILE.with_name("README.md").read_text(encoding="utf-8")
    trained, held = (read_sign_rows(path) for path in SIGN_FILES)
    stated = [f"{len(trained)} / {len(held)} rows"]
    for name in SIGNS:
        counts = (sum(name in row.signs for row in rows) for rows in (trained, held))
        stated.append("{} {} / {}".format(name, *counts))
    assert [text for text in stated if text not in readme] == []


@pytest.mark.parametrize(("text", "labels"), TRAPS.items(), ids=lambda value: value if isinstance(value, str) else "")
def test_the_trap_is_there_with_its_labels(
    text: str, labels: tuple[Category, set[str]], training_rows: list[Row]
) -> None:
    assert [(Category(row.labels["category"]), set(row.flags)) for row in training_rows if row.text == text] == [labels]
