"""Personal data are masked, and put back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.masking import MASKED_MAX, Mask, luhn

# Numbers made up for documentation, or made for these tests from their rule.
DATA = [
    ("CARD", "4111 1111 1111 1111"), ("CARD", "4111-1111-1111-1111"), ("CARD", "378282246310005"),
    ("CARD", "٤١١١١١١١١١١١١١١١"), ("CARD", "４１１１１１１１１１１１１１１１"),
    ("IBAN", "DE89 3704 0044 0532 0130 00"), ("IBAN", "GB82WEST12345698765432"),
    ("IBAN", "fr1420041010050500013m02606"),
    ("EMAIL", "anna.muster+shop@mail.example.com"), ("EMAIL", "김@예시.한국"),
    ("PHONE", "+49 30 1234567"), ("PHONE", "0049 (0)30 123 45 67"), ("PHONE", "(555) 123-4567"),
    ("PHONE", "030 1234567"), ("PHONE", "+81-3-1234-5678"), ("PHONE", "01 23 45 67 89"),
    ("ID", "529.982.247-25"), ("ID", "111222333"), ("ID", "44051401359"), ("ID", "10000000146"),
    ("ID", "12345678Z"), ("ID", "RSSMRA85T10A562S"), ("ID", "11010519491231002X"), ("ID", "850709-9805"),
    ("ID", "1 84 12 76 451 089 46"), ("ID", "800101-1234560"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "datum"), DATA)
def test_a_datum_is_masked_in_its_sentence_and_put_back(kind: str, datum: str) -> None:
    mask = Mask()
    text = f"My number is {datum}, please help."
    assert mask.mask(text) == f"My number is [{kind}_1], please help."
    assert mask.unmask(f"We wrote to [{kind}_1].") == f"We wrote to {datum}."


@pytest.mark.parametrize("text", [
    "Order 4111 1111 1111 1112 has not come.",  # no card: its checksum is wrong
    "GB82WEST12345698765433", "Version 128.0.3 of 2024-10-01", "error 0x80070005", "1,234,567.89 EUR",
    "Ctrl+Shift+P at 10:30", "ISBN 978-3-16-148410-0", "123456789", "ticket 20241001123456",
    "192.168.100.200", "follow @firefox", "12345678A",
])  # fmt: skip
def test_what_is_no_personal_datum_stays(text: str) -> None:
    assert Mask().mask(text) == text


def test_the_same_datum_has_one_placeholder_in_all_texts() -> None:
    mask = Mask()
    assert mask.mask("a@b.example and c@d.example") == "[EMAIL_1] and [EMAIL_2]"
    assert mask.mask("again c@d.example") == "again [EMAIL_2]"


def test_a_placeholder_that_was_never_given_out_stays() -> None:
    assert Mask().unmask("[EMAIL_1] and [CARD_7]") == "[EMAIL_1] and [CARD_7]"


def test_beyond_the_limit_data_are_masked_for_good() -> None:
    mask = Mask()
    text = mask.mask(" ".join(f"a{n}@b.example" for n in range(MASKED_MAX + 1)))
    assert text.endswith(f"[EMAIL_{MASKED_MAX}] [EMAIL]") and len(mask.found) == MASKED_MAX


@given(st.lists(st.one_of(st.sampled_from([datum for _, datum in DATA]), st.text(max_size=30)), max_size=6))
def test_putting_back_gives_what_was_masked(parts: list[str]) -> None:
    text = " ".join(parts)
    mask = Mask()
    masked = mask.mask(text)
    if "[" not in text:
        assert mask.unmask(masked) == text


@given(st.integers(10**11, 10**14 - 1).map(lambda number: f"4{number:014d}"))
def test_every_card_is_masked_and_no_other_number_of_its_length(fifteen: str) -> None:
    cards = [fifteen + str(last) for last in range(10)]
    assert [Mask().mask(f"x {card} y") != f"x {card} y" for card in cards] == [luhn(card) for card in cards]
