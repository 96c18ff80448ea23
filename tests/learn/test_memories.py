"""How claims become what is held true: order, endings, corrections, merging, the summary."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Literal

from ragperso.claims import claims
from ragperso.learn.memories import (
    Plan,
    Said,
    Shown,
    confidence,
    current,
    history,
    plan,
    settle,
    summary,
)
from ragperso.types import Fact

DAY_ONE = datetime(2024, 1, 1, 9)
END = datetime(2025, 1, 1)


def read(
    day: int, text: str, origin: Literal["user", "mined", "model"] = "mined", source: str = ""
) -> list[Said]:
    """Return what ``text``, written on a day of 2024, claims."""
    at = DAY_ONE + timedelta(days=day)
    return [
        Said(claim, text[claim.start : claim.end], source or f"note-{day}", at, origin)
        for claim in claims(text, said=at)
    ]


def told(*rows: list[Said], known: Sequence[Fact] = ()) -> list[Fact]:
    """Return the facts after the rows were read one after the other."""
    facts = list(known)
    for row in rows:
        facts = settle(facts, plan(facts, row))
    return facts


def held(facts: Sequence[Fact], at: datetime = END) -> set[tuple[str, str, str]]:
    return {(fact.subject, fact.slot, fact.value) for fact in current(facts, at)}


def test_the_newer_of_one_slot_holds_and_the_older_stays_dated() -> None:
    facts = told(read(0, "I live in Graz."), read(50, "I live in Linz."))
    assert held(facts) == {("", "home", "linz")}
    old, new = history(facts, slot="home")
    assert (old.value, old.valid_to, old.superseded_by) == ("graz", DAY_ONE + timedelta(days=50), new.id)
    assert not old.holds(END)
    assert held(facts, DAY_ONE + timedelta(days=10)) == set()  # superseded is not believed; history tells


def test_a_late_arrival_is_kept_as_already_superseded() -> None:
    facts = told(read(50, "I live in Linz."), read(0, "I live in Graz."))
    assert held(facts) == {("", "home", "linz")}
    old, new = history(facts, slot="home")
    assert (old.value, old.superseded_by) == ("graz", new.id)


def test_slots_of_many_values_accumulate() -> None:
    facts = told(read(0, "I'm allergic to nuts."), read(9, "I'm allergic to soy and kiwi."))
    assert held(facts) == {
        ("", "allergy: nut", "yes"),
        ("", "allergy: soy", "yes"),
        ("", "allergy: kiwi", "yes"),
    }


def test_said_again_is_merged_and_counted_once_a_text() -> None:
    twice = told(read(0, "I live in Graz."), read(30, "Still, I live in Graz."))
    (fact,) = twice
    assert (fact.n_seen, fact.source) == (2, "note-30")
    assert fact.valid_from == DAY_ONE
    again = told(read(30, "Still, I live in Graz."), known=twice)
    assert again == twice
    assert plan(twice, read(30, "Still, I live in Graz.")) == Plan()


def test_endings_close_what_they_end() -> None:
    facts = told(
        read(0, "I drive a Skoda."), read(1, "I love coffee."), read(2, "I play the violin."),
        read(20, "We sold the car."), read(21, "I don't like coffee any more."),
        read(22, "I no longer play the violin."),
    )  # fmt: skip
    assert held(facts) == {
        ("", "has: car", "no"),
        ("", "taste: coffee", "dislike"),
        ("", "plays: violin", "no"),
    }


def test_an_ending_of_another_value_closes_nothing() -> None:
    facts = told(read(0, "I live in Linz."), read(5, "I don't live in Graz anymore."))
    assert held(facts) == {("", "home", "linz")}


def test_a_correction_makes_the_old_never_true() -> None:
    facts = told(read(0, "I live in Graz."), read(1, "Correction: I live in Linz."))
    old, new = history(facts, slot="home")
    assert (old.valid_from, old.valid_to) == (DAY_ONE, DAY_ONE)
    assert new.value == "linz"


def test_a_new_home_ends_who_one_lives_with() -> None:
    facts = told(read(0, "I live with two friends."), read(40, "I moved to Linz."))
    assert held(facts) == {("", "home", "linz")}


def test_meat_ends_the_vegetarian_diet() -> None:
    facts = told(read(0, "I'm vegetarian."), read(40, "I eat fish again."))
    assert held(facts) == {("", "eats: fish", "yes")}


def test_a_death_ends_what_was_true_of_the_living() -> None:
    facts = told(read(0, "My aunt Rosa lives in Rome."), read(9, "Rosa died last night."))
    assert held(facts) == {("Rosa", "relation", "aunt"), ("Rosa", "dead", "yes")}


def test_a_name_and_its_relation_are_one_person() -> None:
    facts = told(
        read(0, "My sister lives in Graz."),
        read(5, "My sister Mara works as a nurse."),
        read(9, "Mara lives in Linz."),
    )
    assert ("sister", "home", "graz") not in held(facts)
    assert ("Mara", "home", "linz") in held(facts)


def test_facts_of_two_people_never_meet() -> None:
    facts = told(read(0, "I live in Graz."), read(5, "Jonas lives in Linz."), read(9, "Jonas hates tea."))
    assert held(facts) == {
        ("", "home", "graz"),
        ("Jonas", "home", "linz"),
        ("Jonas", "taste: tea", "dislike"),
    }


def test_plans_expire() -> None:
    facts = told(read(0, "I have a dentist appointment on 20 January."))
    assert held(facts, datetime(2024, 1, 20, 23)) == {("", "plan: dentist appointment", "yes")}
    assert held(facts, datetime(2024, 1, 21)) == set()


def test_what_the_person_told_us_yields_only_to_plain_words() -> None:
    asked = read(0, "I live in Graz.", "user")
    assert held(told(asked, read(9, "Maybe I live in Linz."))) == {("", "home", "graz")}
    assert held(told(asked, read(9, "I live in Linz."))) == {("", "home", "linz")}
    plain = read(9, "I live in Linz.")
    vague = [replace(said, claim=replace(said.claim, certainty=0.7)) for said in plain]
    assert held(told(asked, vague)) == {("", "home", "graz")}
    assert held(told(vague, asked)) == {("", "home", "graz")}
    assert held(told(read(9, "I live in Linz."), asked)) == {("", "home", "linz")}


LIFE = [
    (0, "I live in Graz."), (3, "My sister Mara lives in Rome."), (10, "I'm vegetarian."),
    (20, "I love coffee."), (31, "I work for Siemens."), (40, "I moved to Linz."),
    (44, "I play the violin."), (50, "I don't like coffee any more."), (66, "I eat fish again."),
    (70, "Mara moved to Oslo."), (81, "I quit my job."), (90, "I work for Bosch."),
    (95, "I no longer play the violin."), (120, "We sold the car."), (130, "I drive a Volvo."),
    (140, "I live in Graz."), (150, "Jonas hates tea."), (160, "Actually, I live in Wels."),
    (170, "I love coffee."), (180, "I used to love opera."), (20, "I love opera."),
]  # fmt: skip


def test_any_order_of_reading_ends_with_the_same_facts_held() -> None:
    rows = [read(day, text, source=f"{day}-{n}") for n, (day, text) in enumerate(LIFE)]
    in_time = held(told(*rows))
    assert ("", "home", "wels") in in_time
    assert ("", "employer", "bosch") in in_time
    assert ("", "taste: coffee", "like") in in_time
    assert ("", "taste: opera", "like") not in in_time
    dice = random.Random(7)
    for _ in range(60):
        dice.shuffle(rows)
        assert held(told(*rows)) == in_time
    assert held(told([said for row in rows for said in row])) == in_time  # all at once, too


def test_confidence_grows_with_repetition_and_fades_with_age() -> None:
    once = Fact(1, "x", origin="mined", at=DAY_ONE, confidence=0.6)
    twice = Fact(1, "x", origin="mined", at=DAY_ONE, confidence=0.6, n_seen=2)
    assert confidence(once, DAY_ONE) == 0.6
    assert confidence(twice, DAY_ONE) == 0.8  # 1 - 0.4 / 2
    assert confidence(once, DAY_ONE + timedelta(days=730)) == 0.51  # 0.6 * (1 - 0.3 / 2)


def test_pasted_answers_are_recognised_and_own_words_are_not() -> None:
    answer = "You live in Graz with your sister Mara, and you are allergic to peanuts and soy."
    shown = Shown([answer])
    assert shown.holds("You live in Graz with your sister Mara, and you are allergic to peanuts.")
    assert Shown([answer]).holds(answer)
    assert not shown.holds("I moved out of Graz and my sister Mara is furious about the boxes.")
    assert not shown.holds("I live in Graz.")  # too short to tell


def test_the_summary_rests_on_current_facts_alone() -> None:
    facts = told(
        read(0, "I live in Graz."), read(9, "I moved to Linz."), read(10, "I'm a nurse."),
        read(11, "I love jazz and I hate fog."), read(12, "I'm allergic to nuts."),
        read(13, "Jonas lives in Riga."),
        read(14, "I have a dentist appointment on 20 January."),
    )  # fmt: skip
    lines = summary(facts, "Ana", datetime(2024, 1, 16))
    assert [line.text for line in lines] == [
        "Ana works as nurse, lives in Linz.",
        "Ana likes jazz.",
        "Ana dislikes fog.",
        "Ana is allergic to nuts.",
        'Jonas: "Jonas lives in Riga".',
        'Plans: "I have a dentist appointment on 20 January".',
    ]
    ids = {fact.id for fact in current(facts, datetime(2024, 1, 16))}
    assert {number for line in lines for number in line.facts} <= ids
    assert "Graz" not in " ".join(line.text for line in lines)
    assert summary(list(reversed(facts)), "Ana", datetime(2024, 1, 16)) == lines


def test_times_with_and_without_a_zone_can_be_compared() -> None:
    at = datetime(2024, 6, 1, tzinfo=timezone.utc)
    text = "I live in Linz."
    aware = [Said(c, text[c.start : c.end], "aware", at) for c in claims(text, said=at)]
    assert held(told(read(0, "I live in Graz."), aware)) == {("", "home", "linz")}


def test_a_swap_takes_the_slot_of_what_it_replaces() -> None:
    facts = told(read(0, "We live in Canton now."), read(90, "We've swapped Canton for Penarth."))
    assert held(facts) == {("", "home", "penarth")}
    assert held(told(read(0, "I've swapped Skype for Signal."))) == {("", "uses: signal", "yes")}


def test_a_correction_without_a_slot_is_of_what_was_said_last() -> None:
    facts = told(read(0, "Choir is on Tuesdays."), read(1, "Sorry, I meant Wednesdays, not Tuesdays."))
    assert {value for _, slot, value in held(facts) if slot == "habit: choir"} == {"wednesdays"}
    stale = told(read(0, "Choir is on Tuesdays."), read(90, "Sorry, I meant Wednesdays, not Tuesdays."))
    assert {value for _, slot, value in held(stale) if slot == "habit: choir"} == {"tuesdays"}


def test_a_name_of_a_boat_is_the_owners_and_a_pet_dies_as_theirs() -> None:
    facts = told(read(0, "The boat's name is Motown."), read(5, "Motown leaves on 3 May."))
    assert {subject for subject, _, _ in held(facts, datetime(2024, 1, 10))} == {""}
    facts = told(read(0, "We adopted a puppy called Bella."), read(60, "Bella died in spring."))
    assert held(facts) == {("", "pet: bella", "no")}


def test_what_is_read_again_is_not_said_again() -> None:
    once = read(0, "I used to work for Siemens.")
    facts = told(once)
    assert settle(facts, plan(facts, once)) == facts


def test_the_name_of_a_choir_in_the_new_town_outlives_the_move() -> None:
    joined = read(0, "I joined the Bach choir in Flensburg.")
    assert ("", "member: bach choir", "yes") in held(told(joined, read(40, "We live in Flensburg now.")))
    assert ("", "member: bach choir", "yes") not in held(told(joined, read(40, "We live in Kiel now.")))


def test_a_place_named_again_in_fewer_words_is_no_move() -> None:
    home, gym = read(0, "I live in Leamington Spa."), read(5, "I go to the gym in Kenilworth every Monday.")
    kept = told(home, gym, read(50, "I live in Leamington."))
    moved = told(home, gym, read(50, "I live in Graz."))
    slots = [{slot for _, slot, _ in held(facts)} for facts in (kept, moved)]
    (habit,) = slots[0] - {"home"}
    assert slots == [{"home", habit}, {"home"}]
    assert ("", "home", "leamington spa") in held(kept)


def test_a_new_job_ends_who_the_boss_is() -> None:
    facts = told(read(0, "My boss is called Berit."), read(50, "I have a new job as a baker at Brod."))
    assert {slot for _, slot, _ in held(facts)} == {"job", "employer"}
    assert held(told(read(0, "My boss is called Berit."), read(9, "My boss is called Olof."))) == {
        ("boss", "name of my boss", "olof")
    }


def test_a_birthday_outlives_the_year_of_birth() -> None:
    facts = told(read(0, "My birthday is 14 March."), read(1, "I was born in 1981."))
    assert held(facts) == {("", "birthday", "14 march"), ("", "birth year", "1981")}


def test_what_one_can_do_is_learned_no_longer() -> None:
    facts = told(read(0, "I'm learning to drive."), read(50, "Passed! I can drive!"))
    assert ("", "can: drive", "yes") in held(facts)
    assert not [slot for _, slot, _ in held(facts) if slot.startswith("learns")]


def test_a_car_is_one_in_any_language() -> None:
    facts = told(read(0, "Je n'ai plus de voiture."), read(50, "I bought a car."))
    assert held(facts) == {("", "has: car", "yes")}
    facts = told(read(0, "I have a car."), read(50, "Ich habe mein Auto verkauft."))
    assert ("", "has: car", "yes") not in held(facts)


def test_a_promotion_leaves_the_boss_and_a_new_job_does_not() -> None:
    boss = read(0, "My new boss is Raj.")
    slots = {slot for _, slot, _ in held(told(boss, read(50, "I've been promoted to head nurse.")))}
    assert "name of my boss" in slots
    slots = {slot for _, slot, _ in held(told(boss, read(50, "I got a job at Kestrel Logistics.")))}
    assert "name of my boss" not in slots


def test_a_move_ends_the_garden_and_the_rent_but_no_lunch_box() -> None:
    rows = [
        read(0, "I grow runner beans."),
        read(1, "I pay 780 a month for the house."),
        read(2, "I bring my own lunch to work."),
    ]
    before = {slot.partition(" ")[2].partition(" ")[0] for _, slot, _ in held(told(*rows))}
    after = {
        slot.partition(" ")[2].partition(" ")[0]
        for _, slot, _ in held(told(*rows, read(9, "I live in Ulm.")))
    }
    assert before == {"grow", "pay", "bring"}
    assert after == {"bring", ""}
