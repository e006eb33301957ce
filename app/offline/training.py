"""Training the classifier: kernel ridge regressions over embeddings, with out-of-fold calibration.

Every number that describes its quality, and every threshold, comes from predictions on rows that the predicting
model had not seen. Near-duplicates (translations, rewordings) stay together in one fold, so that they don't flatter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson

from app.offline.heads import Classifier, Distance, Head, Matrix, softmax
from app.offline.kernel import Kernel, fit
from schemas.tickets import Category, Priority, Sentiment, Stake

R = TypeVar("R")

ROWS_MAX = 50_000
FOLDS = 5
SEED = 0
NEAR_DUPLICATE = 0.95
# Missing a stake costs more than a needless look by a person.
RECALL_WANTED = 0.97
# A missed sign is often told otherwise (by the history, a stake, a wish for a person); a false one takes a place before
# others in the queue.
RECALL_WANTED_OF_SIGNS = 0.94
THRESHOLD_MAX = 0.5
THRESHOLD_MIN = 0.02

HUMAN = "wants_human"
COMPLAINS_AGAIN, GOES_IN_CIRCLES = SIGNS = ("complains_again", "goes_in_circles")
MULTICLASS: Mapping[str, type[StrEnum]] = {"category": Category, "priority": Priority, "sentiment": Sentiment}


@dataclass(frozen=True)
class Row:
    text: str
    labels: Mapping[str, str]  # category, priority, sentiment, language
    flags: frozenset[str]  # stakes and wants_human
    signs: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SignRow:
    text: str
    signs: frozenset[str]


def read_rows(path: Path) -> list[Row]:
    """Raises ValueError that names the line of a row that is not as it should be."""
    return _read(path, _row)


def read_sign_rows(path: Path) -> list[SignRow]:
    """Raises ValueError as ``read_rows``."""
    return _read(path, lambda value: SignRow(value["text"], _signs(value["signs"])))


def _read(path: Path, row: Callable[[Any], R]) -> list[R]:
    rows: list[R] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        if not line.strip():
            continue
        if len(rows) == ROWS_MAX:
            raise ValueError(f"{path.name} has more than {ROWS_MAX} rows")
        try:
            rows.append(row(orjson.loads(line)))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name}, line {number}: {error!r}") from error
    if len(rows) < 2 * FOLDS:
        raise ValueError(f"{path.name} has {len(rows)} rows; at least {2 * FOLDS} are needed")
    return rows


def _row(value: Any) -> Row:
    labels = {name: kind(value[name]).value for name, kind in MULTICLASS.items()}
    flags = {Stake(stake).value for stake in value["stakes"]}
    if value["wants_human"]:
        flags.add(HUMAN)
    signs = _signs(value.get("signs", ()))
    return Row(value["text"], {**labels, "language": str(value["language"])}, frozenset(flags), signs)


def _signs(value: Any) -> frozenset[str]:
    if unknown := frozenset(value) - frozenset(SIGNS):
        raise ValueError(f"no signs: {', '.join(sorted(unknown))}")
    return frozenset(value)


def train(rows: Sequence[Row], vectors: Matrix, progress: Callable[[str], None]) -> Classifier:
    features = Kernel.of(vectors).features(vectors)
    groups = near_duplicate_groups(vectors)
    folds = _folds(groups)
    heads: dict[str, Head] = {}
    probabilities: dict[str, Matrix] = {}
    report: dict[str, Any] = {"rows": len(rows), "groups": len(set(groups.tolist()))}
    for name, classes in _heads_of(rows).items():
        progress(name)
        labels = _label_indices(rows, name, classes)
        logits = _out_of_fold(features, labels, len(classes), folds)
        temperature = best_temperature(logits, labels)
        probabilities[name] = softmax(logits / temperature)
        threshold = None
        if classes == ("no", "yes"):
            threshold, report[name] = _flag_quality(probabilities[name][:, 1], labels)
        else:
            report[name] = _label_quality(probabilities[name], labels, classes)
        heads[name] = Head(classes, fit(features, labels, len(classes)), temperature, threshold)
    report["any_stake"] = _any_stake_quality(rows, probabilities, heads)
    return Classifier(heads, _distance(vectors, groups), vectors, report)


def train_signs(rows: Sequence[SignRow], vectors: Matrix, progress: Callable[[str], None]) -> Classifier:
    """Apart from the other heads: these rows say nothing of category or stakes, and would shift those heads."""
    features = Kernel.of(vectors).features(vectors)
    groups = near_duplicate_groups(vectors)
    folds = _folds(groups)
    heads: dict[str, Head] = {}
    report: dict[str, Any] = {}
    for name in SIGNS:
        progress(name)
        labels = np.array([int(name in row.signs) for row in rows])
        logits = _out_of_fold(features, labels, 2, folds)
        temperature = best_temperature(logits, labels)
        chances = softmax(logits / temperature)[:, 1]
        threshold, report[name] = _flag_quality(chances, labels, RECALL_WANTED_OF_SIGNS)
        heads[name] = Head(("no", "yes"), fit(features, labels, 2), temperature, threshold)
    return Classifier(heads, _distance(vectors, groups), vectors, report)


def _heads_of(rows: Sequence[Row]) -> dict[str, tuple[str, ...]]:
    heads = {name: tuple(member.value for member in kind) for name, kind in MULTICLASS.items()}
    heads["language"] = tuple(sorted({row.labels["language"] for row in rows}))
    heads.update(dict.fromkeys((*(stake.value for stake in Stake), HUMAN), ("no", "yes")))
    # A stake and a category share some names.
    return {
        name if name in MULTICLASS or name in {"language", HUMAN} else f"stake:{name}": c for name, c in heads.items()
    }


def _label_indices(rows: Sequence[Row], name: str, classes: tuple[str, ...]) -> npt.NDArray[np.int64]:
    if classes == ("no", "yes"):
        flag = name.removeprefix("stake:")
        return np.array([int(flag in row.flags) for row in rows])
    return np.array([classes.index(row.labels[name]) for row in rows])


def near_duplicate_groups(vectors: Matrix) -> npt.NDArray[np.int64]:
    """The same number for rows that are linked by similarities of at least NEAR_DUPLICATE."""
    from scipy.sparse import csr_matrix  # noqa: PLC0415 - only training needs it
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    _, groups = connected_components(csr_matrix(vectors @ vectors.T >= NEAR_DUPLICATE), directed=False)
    return np.asarray(groups, dtype=np.int64)


def _folds(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The fold of each row: whole groups, spread at random with a fixed seed."""
    fold_of_group = np.arange(groups.max() + 1) % FOLDS
    np.random.default_rng(SEED).shuffle(fold_of_group)
    return np.asarray(fold_of_group[groups], dtype=np.int64)


def _out_of_fold(features: Matrix, labels: npt.NDArray[np.int64], classes: int, folds: npt.NDArray[np.int64]) -> Matrix:
    logits = np.zeros((len(labels), classes), np.float32)
    for fold in range(FOLDS):
        held_out, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(held_out):
            weights = fit(features[np.ix_(others, others)], labels[others], classes)
            logits[held_out] = features[np.ix_(held_out, others)] @ weights
    return logits


def _log_loss(probabilities: Matrix, labels: npt.NDArray[np.int64]) -> float:
    return float(-np.log(probabilities[np.arange(len(labels)), labels] + 1e-12).mean())


def best_temperature(logits: Matrix, labels: npt.NDArray[np.int64]) -> float:
    """The divisor of the logits with the least log-loss: above 1 where the model is too sure of itself."""
    candidates = np.round(np.geomspace(0.25, 8, 61), 4)
    losses = [_log_loss(softmax(logits / t), labels) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def _label_quality(probabilities: Matrix, labels: npt.NDArray[np.int64], classes: tuple[str, ...]) -> dict[str, Any]:
    predicted = probabilities.argmax(axis=1)
    right = predicted == labels
    recall = {name: round(float(right[labels == n].mean()), 3) for n, name in enumerate(classes) if (labels == n).any()}
    return {
        "accuracy": round(float(right.mean()), 4),
        "calibration_error": round(calibration_error(probabilities.max(axis=1), right), 4),
        "recall": recall,
    }


def calibration_error(confidence: Matrix, right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = np.minimum((confidence * 10).astype(int), 9)
    gaps = [
        abs(float(confidence[bins == b].mean()) - float(right[bins == b].mean())) * float((bins == b).mean())
        for b in range(10)
        if (bins == b).any()
    ]
    return sum(gaps)


def _flag_quality(
    probability: Matrix, labels: npt.NDArray[np.int64], recall_wanted: float = RECALL_WANTED
) -> tuple[float, dict[str, Any]]:
    threshold = cautious_threshold(probability, labels, recall_wanted)
    raised, real = probability >= threshold, labels == 1
    return threshold, {
        "rows": int(real.sum()),
        "threshold": threshold,
        "recall": round(float(raised[real].mean()), 4) if real.any() else None,
        "precision": round(float(real[raised].mean()), 4) if raised.any() else None,
        "false_alarms": round(float(raised[~real].mean()), 4) if (~real).any() else None,
    }


def cautious_threshold(
    probability: Matrix, labels: npt.NDArray[np.int64], recall_wanted: float = RECALL_WANTED
) -> float:
    """The largest threshold, within bounds, that still finds the recall wanted of the rows that have the flag."""
    real = np.sort(probability[labels == 1])
    if not len(real):
        return THRESHOLD_MAX
    missed_max = int((1 - recall_wanted) * len(real))
    return round(min(THRESHOLD_MAX, max(THRESHOLD_MIN, float(real[missed_max]) - 1e-4)), 4)


def _any_stake_quality(
    rows: Sequence[Row], probabilities: Mapping[str, Matrix], heads: Mapping[str, Head]
) -> dict[str, Any]:
    """What matters for sending: is a ticket with any stake recognised as having one, whichever it is?"""
    raised = np.zeros(len(rows), bool)
    for name, head in heads.items():
        if name.startswith("stake:"):
            raised |= probabilities[name][:, 1] >= (THRESHOLD_MAX if head.threshold is None else head.threshold)
    real = np.array([bool(row.flags - {HUMAN}) for row in rows])
    return {
        "rows": int(real.sum()),
        "recall": round(float(raised[real].mean()), 4) if real.any() else None,
        "false_alarms": round(float(raised[~real].mean()), 4) if (~real).any() else None,
    }


def _distance(vectors: Matrix, groups: npt.NDArray[np.int64]) -> Distance:
    """How near a row usually is to the nearest row of another group."""
    similarities = vectors @ vectors.T
    similarities[groups[:, None] == groups[None, :]] = -1.0
    nearest = similarities.max(axis=1)
    low, usual = np.quantile(nearest, [0.01, 0.25])
    return Distance(far=round(float(low - (usual - low)), 4), near=round(float(usual), 4))
