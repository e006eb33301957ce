"""Training, calibration and what is kept of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from app.offline.heads import Distance, Matrix, load, save, softmax
from app.offline.training import (
    COMPLAINS_AGAIN,
    GOES_IN_CIRCLES,
    HUMAN,
    Row,
    SignRow,
    best_temperature,
    cautious_threshold,
    near_duplicate_groups,
    read_rows,
    read_sign_rows,
    train,
    train_signs,
)

ROW = {
    "text": "x", "language": "en", "category": "refund", "priority": "low", "sentiment": "neutral",
    "stakes": ["refund"], "wants_human": True,
}  # fmt: skip


def rows_and_vectors(count: int = 120) -> tuple[list[Row], Matrix]:
    """Two kinds of tickets that differ in the first half of 384 numbers."""
    vectors = np.random.default_rng(1).standard_normal((count, 384)).astype(np.float32)
    refund = np.arange(count) % 2 == 0
    vectors[:, :192] += np.where(refund, 1, -1)[:, None]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        Row(
            f"ticket {n}",
            {"category": "refund" if r else "how_to", "priority": "low", "sentiment": "neutral", "language": "en"},
            frozenset({"refund"} if r else ()),
        )
        for n, r in enumerate(refund)
    ]
    return rows, vectors


def test_what_separates_is_learnt_and_missing_labels_do_no_harm() -> None:
    classifier = train(*rows_and_vectors(), lambda _: None)
    assert classifier.report["category"]["accuracy"] == 1.0
    assert classifier.report["stake:refund"]["recall"] == 1.0
    assert classifier.report["stake:legal"]["rows"] == 0


def test_signs_are_learnt_from_rows_of_their_own() -> None:
    rows, vectors = rows_and_vectors()
    signed = [SignRow(row.text, frozenset({GOES_IN_CIRCLES} if row.flags else ())) for row in rows]
    classifier = train_signs(signed, vectors, lambda _: None)
    assert (classifier.report[GOES_IN_CIRCLES]["recall"], classifier.report[GOES_IN_CIRCLES]["false_alarms"]) == (1, 0)
    assert classifier.report[COMPLAINS_AGAIN]["rows"] == 0


def test_training_twice_gives_the_same_numbers() -> None:
    first, second = (train(*rows_and_vectors(), lambda _: None) for _ in range(2))
    assert all(np.array_equal(first.heads[n].weights, second.heads[n].weights) for n in first.heads)
    assert first.report == second.report


def test_a_kept_classifier_comes_back_the_same_for_its_key_only(tmp_path: Path) -> None:
    rows, vectors = rows_and_vectors()
    classifier = train(rows, vectors, lambda _: None)
    path = tmp_path / "offline" / "classifier.npz"
    save(classifier, path, "key")
    again = load(path, "key")
    assert again is not None
    features = classifier.features(vectors)
    for name, head in classifier.heads.items():
        assert np.array_equal(head.probabilities(features), again.heads[name].probabilities(features))
    assert load(path, "another key") is None


def test_a_damaged_file_counts_as_none(tmp_path: Path) -> None:
    path = tmp_path / "classifier.npz"
    path.write_bytes(b"PK\x03\x04 not an archive")
    assert load(path, "key") is None


def test_the_temperature_tames_a_model_that_is_too_sure() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((4_000, 1)) * 4 - 2
    labels = (rng.random(4_000) < softmax(np.hstack([np.zeros_like(truth), truth]))[:, 1]).astype(int)
    too_sure = np.hstack([np.zeros_like(truth), 3 * truth])
    assert best_temperature(too_sure, labels) == pytest.approx(3, rel=0.15)


def test_the_threshold_finds_the_recall_wanted_and_stays_within_bounds() -> None:
    labels = np.array([1] * 100 + [0] * 100)
    probability = np.concatenate([np.linspace(0.1, 0.9, 100), np.linspace(0, 0.5, 100)])
    threshold = cautious_threshold(probability, labels)
    assert (probability[labels == 1] >= threshold).mean() >= 0.97
    assert cautious_threshold(np.full(200, 0.99), labels) == 0.5


def test_near_duplicates_share_a_group() -> None:
    vectors = np.array([[1, 0], [0.999, 0.0447], [0, 1]], np.float32)
    groups = near_duplicate_groups(vectors)
    assert groups[0] == groups[1] != groups[2]


def test_far_from_every_row_no_trust_is_left() -> None:
    distance = Distance(far=0.7, near=0.9)
    assert [round(distance.trust(s), 2) for s in (0.6, 0.8, 0.95)] == [0.0, 0.5, 1.0]


def test_rows_are_read_with_their_flags(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join([json.dumps(ROW)] * 10))
    assert read_rows(file)[0].flags == {"refund", HUMAN}


def test_a_sign_that_nobody_knows_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"text": "x", "signs": ["is_angry"]}))
    with pytest.raises(ValueError, match=r"line 1.*is_angry"):
        read_sign_rows(file)


def test_a_bad_row_is_named_by_its_line(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "category": "weather"}))
    with pytest.raises(ValueError, match=r"line 2.*weather"):
        read_rows(file)
