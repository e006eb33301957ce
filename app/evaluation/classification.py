"""The offline model's way to classify, given each set's training rows, on rows kept apart."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from random import Random

import numpy as np

from app.evaluation.data import Data, Row, once
from app.evaluation.figures import Figure
from app.evaluation.vectors import RememberedEmbeddings
from app.offline.labels import Labelled, classify, train

BANKING, CLINC_TRAIN, CLINC_TEST, XSID = (
    "intents/banking77.train.jsonl", "intents/clinc150.train.jsonl", "intents/clinc150.val.jsonl",
    "multilingual/xsid.valid.jsonl",
)  # fmt: skip
TESTED_SHARE = 0.2
SEED = 0
OUT_OF_SCOPE = "oos"
FALSE_ALARMS = 0.05
TRAINED_LOCALE = "en-US"

Progress = Callable[[str, int, int], None]


async def figures(data: Data, embedder: RememberedEmbeddings, progress: Progress) -> AsyncIterator[list[Figure]]:
    """Those of each set as soon as they are there."""
    yield [await _banking(data, embedder, progress)]
    yield [await _xsid(data, embedder, progress)]
    yield await _clinc(data, embedder, progress)


async def _banking(data: Data, embedder: RememberedEmbeddings, progress: Progress) -> Figure:
    trained, tested = apart(once(data.rows(BANKING)), TESTED_SHARE, seed=SEED)
    found = await _classified("banking77", trained, tested, embedder, progress)
    right = [one.label == row["gold_intent"] for one, row in zip(found, tested, strict=True)]
    return Figure(
        "banking77", float(np.mean(right)), len(tested), embedder.model, at_least=0.92,
        note=f"trained on {len(trained):,} rows; the others, a fifth of each intent, kept apart (seed {SEED})",
    )  # fmt: skip


async def _clinc(data: Data, embedder: RememberedEmbeddings, progress: Progress) -> list[Figure]:
    trained = once(data.rows(CLINC_TRAIN))
    tested = once(data.rows(CLINC_TEST))
    found = await _classified("clinc150", trained, tested, embedder, progress, none=OUT_OF_SCOPE)
    pairs = list(zip(found, (row["gold_intent"] for row in tested), strict=True))
    right = [one.label == intent for one, intent in pairs if intent != OUT_OF_SCOPE]
    inside = [one.confidence for one, intent in pairs if intent != OUT_OF_SCOPE]
    outside = [one.confidence for one, intent in pairs if intent == OUT_OF_SCOPE]
    note = f"trained on {len(trained):,} rows"
    return [
        Figure("clinc150", float(np.mean(right)), len(right), embedder.model, at_least=0.955, note=note),
        Figure(
            "clinc150_oos_recall", recall_at(inside, outside, FALSE_ALARMS), len(outside), embedder.model,
            at_least=0.84, note=f"{note}; at {FALSE_ALARMS:.0%} false alarms among {len(inside):,} in scope",
        ),
    ]  # fmt: skip


async def _xsid(data: Data, embedder: RememberedEmbeddings, progress: Progress) -> Figure:
    """The mean over languages, so that a language with fewer rows counts as much."""
    rows = data.rows(XSID)
    trained = once([row for row in rows if row["locale"] == TRAINED_LOCALE])
    tested = [row for row in rows if row["locale"] != TRAINED_LOCALE]
    found = await _classified("xsid", trained, tested, embedder, progress)
    right: dict[str, list[bool]] = defaultdict(list)
    for one, row in zip(found, tested, strict=True):
        right[row["locale"]].append(one.label == row["gold_intent"])
    by_locale = {locale: float(np.mean(of_locale)) for locale, of_locale in sorted(right.items())}
    return Figure(
        "xsid", float(np.mean(list(by_locale.values()))), len(tested), embedder.model, at_least=0.86,
        note=f"trained on {len(trained)} English rows alone", details=by_locale,
    )  # fmt: skip


async def _classified(
    name: str, trained: Sequence[Row], tested: Sequence[Row], embedder: RememberedEmbeddings, progress: Progress,
    *, none: str | None = None,
) -> list[Labelled]:  # fmt: skip
    texts = [row["text"] for row in (*trained, *tested)]
    vectors = await embedder.embed_all(texts, kind="query", progress=lambda d, of: progress(f"{name}: texts", d, of))
    progress(f"{name}: fitting", 0, 0)
    labels = [row["gold_intent"] for row in trained]
    model = await asyncio.to_thread(train, vectors[: len(trained)], labels)
    return await asyncio.to_thread(classify, model, vectors[len(trained) :], apart=none)


def apart(rows: Sequence[Row], share: float, *, seed: int) -> tuple[list[Row], list[Row]]:
    """(training rows, test rows): ``share`` of each intent's rows at random."""
    of_intent: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of_intent[row["gold_intent"]].append(row)
    trained, tested = [], []
    for intent in sorted(of_intent):
        found = of_intent[intent]
        Random(seed).shuffle(found)  # noqa: S311 - a split, no secret
        cut = round(share * len(found))
        tested += found[:cut]
        trained += found[cut:]
    return trained, tested


def recall_at(inside: Sequence[float], outside: Sequence[float], false_alarms: float) -> float:
    """The share of ``outside`` below the confidence that ``false_alarms`` of ``inside`` are below."""
    threshold = float(np.quantile(inside, false_alarms))
    return float(np.mean(np.array(outside) < threshold))
