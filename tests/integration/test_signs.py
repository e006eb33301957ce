"""The signs that an answer did not help, on sentences apart from the training rows: other wordings, 16 languages."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from app.offline.classify import SIGNS_FILE, TRAINING_FILE, Judge, load_or_train, verdict
from app.offline.embedding import Embedder, Urgency
from app.offline.language import letter_opinion
from app.offline.training import COMPLAINS_AGAIN, GOES_IN_CIRCLES, SIGNS, read_rows, read_sign_rows

# Training on all rows takes about half a minute where it was not done before.
pytestmark = pytest.mark.timeout(900)

HOLDOUT_FILE = SIGNS_FILE.with_name("signs.holdout.jsonl")
TICKETS_FILE = TRAINING_FILE.with_name("holdout.jsonl")
Found = list[frozenset[str]]


class Model:
    def __init__(self, embedder: Embedder, judge: Judge) -> None:
        self.embedder, self.judge = embedder, judge

    def signs(self, texts: list[str]) -> Found:
        vectors = self.embedder.embed_blocking(texts, "query", Urgency.QUERY)
        told = [
            verdict(text, vector, self.judge, letter_opinion(text)) for text, vector in zip(texts, vectors, strict=True)
        ]
        return [frozenset(sign for sign in SIGNS if one[sign]) for one in told]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest) -> Iterator[Model]:
    """The trained heads are kept."""
    embedder = Embedder()
    try:
        state = request.config.cache.mkdir("offline-model")  # type: ignore[union-attr]
        judge = load_or_train(training_file=TRAINING_FILE, state_dir=state, embedder=embedder, progress=lambda *_: None)
        yield Model(embedder, judge)
    finally:
        embedder.close()


@pytest.mark.parametrize("sign", SIGNS)
def test_four_of_five_are_found_and_of_sentences_without_a_sign_hardly_any(model: Model, sign: str) -> None:
    rows = read_sign_rows(HOLDOUT_FILE)
    found = model.signs([row.text for row in rows])
    raised = np.array([sign in one for one in found])
    real, none = np.array([sign in row.signs for row in rows]), np.array([not row.signs for row in rows])
    assert (raised[real].mean() >= 0.8, raised[none].mean() <= 0.05) == (True, True)


def test_of_those_that_have_a_sign_nine_of_ten_go_to_a_person_whichever_it_is_taken_for(model: Model) -> None:
    rows = [row for row in read_sign_rows(HOLDOUT_FILE) if row.signs]
    assert np.mean([bool(one) for one in model.signs([row.text for row in rows])]) >= 0.85


def test_of_other_tickets_few_are_taken_for_one(model: Model) -> None:
    rows = [row for row in read_rows(TICKETS_FILE) if not {"complaint", "wants_human"} & row.flags]
    assert np.mean([bool(one) for one in model.signs([row.text for row in rows])]) <= 0.03


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("The bot only ever tells me to get in touch with the support team.", {GOES_IN_CIRCLES}),
        ("Der Bot schreibt bloß immer, ich möge mich an den Kundendienst wenden.", {GOES_IN_CIRCLES}),
        ("L'assistente virtuale continua a dirmi di scrivere al servizio clienti.", {GOES_IN_CIRCLES}),
        ("ボットに聞いても、サポートにお問い合わせくださいと言われるだけです。", {GOES_IN_CIRCLES}),
        ("Ten months ago I first objected to this fee, and here I am objecting to it once more.", {COMPLAINS_AGAIN}),
        ("How do I add a chatbot to my web site that tells people to contact support?", set()),
        ("I want to complain about the noise in room 12.", set()),
    ],
)
def test_meaning_counts_and_no_word(model: Model, text: str, signs: set[str]) -> None:
    assert model.signs([text]) == [signs]
