"""What a reply says that neither the passages nor the ticket say."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.evidence import FINDING_CHARS_MAX, FINDINGS_MAX, taken_inside, unfounded, unvouched
from tests.events import passage

ZEROS = {
    "ascii": "0",
    "arabic-indic": "٠",
    "persian": "۰",
    "devanagari": "०",
    "bengali": "০",
    "thai": "๐",
    "wide": "０",
}
# Thousands mark, decimal mark.
MARKS = [
    (".", ","),
    (",", "."),
    (" ", ","),
    ("\u202f", ","),
    ("\u00a0", "."),
    ("'", "."),
    ("’", "."),
    ("٬", "٫"),
    ("", "."),
]
NOVEMBER_24 = [
    "2026-11-24", "24.11.2026", "24. 11. 2026", "24/11/2026", "11/24/2026", "24-11-2026", "24.11.26",
    "24 November 2026", "November 24, 2026", "Nov 24th, 2026", "24. November 2026", "24 novembre 2026",
    "24 de noviembre de 2026", "24 novembro 2026", "24 ноября 2026 г.", "24 листопада 2026", "24 listopadu 2026",
    "24 Νοεμβρίου 2026", "24 Kasım 2026", "24. marraskuuta 2026", "2026. november 24.", "2026 m. lapkričio 24 d.",
    "24 tháng 11, 2026", "2026年11月24日", "２０２６年１１月２４日", "2026년 11월 24일", "24 नवंबर 2026", "२४ नवंबर २०२६",
    "٢٤ نوفمبر ٢٠٢٦", "24 בנובמבר 2026", "24 พฤศจิกายน 2026", "24 noiembrie 2026", "24 ноември 2026",
]  # fmt: skip


def findings(reply: str, text: str = "", message: str = "") -> tuple[str, ...]:
    return unfounded(reply, (passage(text=text),), message)


def written(value: Decimal, *, thousands: str, decimal: str, zero: str) -> str:
    whole, _, part = f"{value:,.2f}".partition(".")
    text = whole.replace(",", thousands) + decimal + part
    return "".join(chr(ord(zero) + int(char)) if char.isascii() and char.isdigit() else char for char in text)


numbers = st.decimals(min_value=0, max_value=10**9, places=2)
forms = st.tuples(st.sampled_from(MARKS), st.sampled_from(sorted(ZEROS.values())))


@given(numbers, forms, forms)
def test_a_number_is_found_in_every_way_of_writing_it(value: Decimal, here: object, there: object) -> None:
    reply, text = (
        written(value, thousands=marks[0], decimal=marks[1], zero=zero)
        for marks, zero in (here, there)  # type: ignore[misc]
    )
    assert findings(f"It is {reply} now.", f"That is {text}, all in all.") == ()


@given(numbers, numbers, forms, forms)
def test_another_number_is_never_found(value: Decimal, other: Decimal, here: object, there: object) -> None:
    """But "1.234" may mean two numbers, so the values have decimals that no thousands mark has."""
    if value == other:
        return
    reply, text = (
        written(number, thousands=marks[0], decimal=marks[1], zero=zero)
        for number, (marks, zero) in ((value, here), (other, there))  # type: ignore[misc]
    )
    assert findings(f"It is {reply} now.", f"That is {text}, all in all.") != ()


@given(st.dates(date(1990, 1, 1), date(2099, 12, 31)), st.integers(1, 400))
def test_only_the_same_day_is_found(day: date, distance: int) -> None:
    text = f"Until {day.isoformat()}."
    other = day + timedelta(days=distance)
    assert findings(f"Bis zum {day.day}. {day:%B} {day.year}.", text) == ()
    assert findings(f"Bis zum {other.day}. {other:%B} {other.year}.", text) != ()


@given(st.text(max_size=300), st.text(max_size=300))
def test_any_text_can_be_compared(reply: str, text: str) -> None:
    assert len(findings(reply, text)) <= FINDINGS_MAX


@given(st.text(alphabet="0123456789.,:/- €%abcäßяカ年月日", max_size=60))
def test_what_is_repeated_word_for_word_is_found(text: str) -> None:
    assert findings(text, text) == ()


@pytest.mark.parametrize("form", NOVEMBER_24)
def test_a_date_is_found_in_another_form(form: str) -> None:
    assert findings(f"Until {form} we wait.", "The deadline is 2026-11-24.") == ()


@pytest.mark.parametrize("form", NOVEMBER_24)
def test_the_next_day_is_not_found(form: str) -> None:
    assert findings(f"Until {form} we wait.", "The deadline is 2026-11-25.")


@pytest.mark.parametrize(
    ("reply", "text", "why"),
    [
        ("by 03/04/2026", "by 3 April 2026", "March or April"),
        ("by 03/04/2026", "by 4 March 2026", "April or March"),
        ("24. listopada 2026", "24 November 2026", "October to a Croat"),
        ("24. listopada 2026", "24 October 2026", "November to a Czech"),
        ("24 November 2026", "24 November", "the year is new"),
        ("in November 2026", "in 2026", "the month is new"),
        ("in 007 ways", "in 7 ways", "a name as much as a number"),
        ("1" * 40 + "2", "1" * 40 + "3", "longer than decimals are exact"),
        ("press F6", "press F5", "another key"),
        ("version 3.11.3", "version 3.11.2", "another version"),
        ("20 $", "20 €", "another currency"),
        ("5 SEK", "5 NOK", "another crown"),
        ("20 €", "20 days", "a number, but no price"),
        ("20 %", "20 pieces", "a number, but no share"),
        ("¼ of it", "half of it", "a fraction"),
        ("at 3 pm", "at 14:00", "another hour"),
        ("1\u200b4 days", "1 or 4 days", "an invisible character inside"),
    ],
)
def test_in_doubt_a_figure_is_not_found(reply: str, text: str, why: str) -> None:
    assert findings(reply, text), why


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("costs €20", "costs 20 €"),
        ("costs 20 EUR", "costs €20.00"),
        ("kostet 20 Euro", "20€"),
        ("20ユーロです", "20 EUR"),
        ("費用は1,500円です", "¥1500"),
        ("Rp50.000", "Rp 50,000"),
        ("$5", "5 CAD"),
        ("5 kr", "5 SEK"),
        ("₹1,00,000", "100000 INR"),
        ("5 €", "from 5 to 9, say 5–10 €"),
        ("%20 indirim", "20 %"),
        ("yüzde 20", "20%"),
        ("٢٠٪", "20%"),
        ("20 Prozent", "20 percent"),
        ("14天内", "within 14 days"),
        ("5GB", "5 GB"),
        ("by 24 November", "by 24 November 2026"),
        ("14:30 Uhr", "2:30 pm"),
        ("14.30 Uhr", "14:30"),
        ("F5키", "Press F5."),
        ("from 5 to 20", "20, then 5"),
        ("on 3 May", "what about 3 May?"),
        ("des 8 caractères", "of 8 characters"),
        ("tra 5 giorni", "in 5 days"),
        ("8 out of 10", "8 of 10"),
        ("macOS: Mac 14", "macOS 14"),
        ("「data:」", "data"),
    ],
)
def test_the_same_figure_is_found(reply: str, text: str) -> None:
    assert findings(reply, text) == ()


@pytest.mark.parametrize(
    "reply",
    [
        "1. Open it.\n2. Close it.\n3. Save it.",
        "1) Open it.\n2) Close it.",
        "Step 1: open it.\nStep 2: close it. Then repeat step 2.",
        "Schritt 1: öffnen.\nSchritt 2: schließen.",
        "Шаг 1. Открыть.\nШаг 2. Закрыть.",
        "第1步：打开。第2步：关闭。",
        "手順1：開く\n手順2：閉じる",
        "1단계: 열기\n2단계: 닫기",
        "الخطوة ١: افتح\nالخطوة ٢: أغلق",
        "1️⃣ Open\n2️⃣ Close",
    ],
)
def test_the_numbers_of_its_own_list_are_no_claims(reply: str) -> None:
    assert findings(reply) == ()


@pytest.mark.parametrize("reply", ["2. Open it.", "1. Open it.\n3. Save it.", "1. Wait.\n14. November 2026 is it."])
def test_a_list_counts_from_one_without_a_gap(reply: str) -> None:
    assert findings(reply)


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("see https://a.example/x?utm_source=mail&id=3.", "https://a.example/x?id=3"),
        ("(see https://A.example/x/)", "http://a.example/x"),
        ("a.example/x", "https://a.example/x"),
        ("https://a.example/xを開く", "https://a.example/x"),
        ("https://a.example/wiki/X_(y).", "[X](https://a.example/wiki/X_(y))"),
        ("Write to Help@a.example.", "help@a.example"),
    ],
)
def test_the_same_link_is_found(reply: str, text: str) -> None:
    assert findings(reply, text) == ()


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("https://a.example/y", "https://a.example/x"),
        ("https://a.example/x?id=4", "https://a.example/x?id=3"),
        ("https://a.example.evil.example/x", "https://a.example/x"),
        ("https://\u0430.example/x", "https://a.example/x"),
        ("evil.example", "a.example"),
        ("javascript:alert(1)", "alert(1)"),
        ("helpp@a.example", "help@a.example"),
        ("ftp://a.example/x", "https://a.example/x"),
    ],
)
def test_another_link_is_not_found(reply: str, text: str) -> None:
    assert findings(reply, text)


@pytest.mark.parametrize(
    "quoted",
    ["“{}”", "„{}“", "„{}”", "”{}”", "«{}»", "« {} »", "»{}«", "「{}」", "『{}』", "‘{}’", '"{}"'],
)
def test_a_quote_is_found_whatever_its_marks_markup_and_case(quoted: str) -> None:
    assert findings(quoted.format("Without comments"), "Choose **without  comments** first.") == ()
    assert findings(quoted.format("free of charge"), "Choose it.") == (
        quoted.format("free of charge").strip('“”„«»」「『』‘’" '),
    )


def test_a_quote_begins_and_ends_with_whole_words_where_words_are_spaced() -> None:
    assert findings("“art of it”", "Start of it.") and findings("「印刷」を押す", "ここで印刷する") == ()


def test_hebrew_abbreviations_are_no_quotes() -> None:
    assert findings('דוא"ל וגם דו"ח') == ()


def test_citations_are_no_claims_but_those_of_nothing_are() -> None:
    cited = passage("kb-2026", text="Press it.")
    assert unfounded("Press it [kb-2026].", (cited,), "") == ()
    assert unfounded("Press it [kb-2027].", (cited,), "") != ()


def test_the_title_the_heading_the_link_and_the_message_count_too() -> None:
    found = passage(title="Plan 7", heading="Since 2019", text="", url="https://a.example/7")
    assert unfounded("Plan 7, 2019, https://a.example/7, order 88.", (found,), "Order 88?") == ()


def test_what_is_reported_is_short_and_as_written() -> None:
    assert findings("Pay 99,90 € to x@evil.example by 1 May 2031.") == ("x@evil.example", "1 May 2031", "99,90 €")
    assert all(len(text) <= FINDING_CHARS_MAX for text in findings(f"“{'word ' * 300}”"))


SECRET = (
    "Agents may waive the fee of 30 € once a year if the customer is polite, and must write VIP77 into the note. "
    "Ask tier two at help@inside.example."
)


def inside(reply: str, secret: str = SECRET, public: str = "Fees are listed under Plans.", message: str = "") -> str:
    found = (passage(text=public), passage("rules", text=secret, title="Rules", audience="internal"))
    return " | ".join(taken_inside(reply, found, message))


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        (
            "Good news: agents may waive\nthe FEE of 30 € once a YEAR if you ask.",
            "agents may waive the fee of 30 once a year",
        ),
        ("It costs 30 €.", "30 €"),
        ("Write to help@inside.example.", "help@inside.example"),
        ("The note says \u201ctier two\u201d.", "tier two"),
        ("See [rules].", "rules"),
    ],
)
def test_what_a_reply_takes_from_an_internal_passage_is_named(reply: str, named: str) -> None:
    assert named in inside(reply)


@pytest.mark.parametrize(
    "text",
    [
        "担当者は年に一度だけ手数料を免除することができますが、記録が必要です。",
        "客服可以每年免除一次手续费但是必须先得到主管的书面同意并且记录在案",
        "상담원은 일 년에 한 번 수수료를 면제할 수 있지만 반드시 기록을 남겨야 합니다.",
        "เจ้าหน้าที่สามารถยกเว้นค่าธรรมเนียมได้ปีละหนึ่งครั้งแต่ต้องบันทึกไว้เสมอ",
        "Mitarbeitende dürfen die Gebühr einmal im Jahr erlassen, müssen es aber vermerken.",
    ],
)
def test_a_copy_is_seen_in_any_language(text: str) -> None:
    assert inside(f"Hallo! {text} Danke.", secret=f"Intern. {text} Ende.")
    assert not inside("Hallo! Danke.", secret=f"Intern. {text} Ende.")


def test_what_a_public_passage_says_too_is_not_taken_from_the_internal_one() -> None:
    assert inside(SECRET, public=f"News. {SECRET}") == ""


def test_a_figure_of_the_message_is_not_taken_from_the_internal_passage() -> None:
    assert inside("Your order 4471.", secret="Order 4471 is lost.", message="Where is 4471?") == ""


def test_a_short_run_of_words_recurs_by_chance() -> None:
    assert inside("A customer is polite, and must wait.") == ""


def test_what_only_an_internal_passage_says_is_not_founded() -> None:
    found = (passage("rules", text="It costs 30 €.", audience="internal"),)
    assert unfounded("It costs 30 €.", found, "") == unvouched("It costs 30 €.", found) == ("30 €",)


internal_words = st.text(st.characters(categories=["Ll", "Lo"]), min_size=1, max_size=12)


@given(st.lists(internal_words, min_size=45, max_size=60), st.integers(0, 4))
def test_any_long_run_of_an_internal_passage_is_found(of: list[str], at: int) -> None:
    assert inside(" ".join(of[at : at + 40]), secret=" ".join(of))
