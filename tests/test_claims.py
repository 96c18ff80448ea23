"""What a sentence claims of whom, and what it does not claim."""

from __future__ import annotations

from datetime import datetime

import pytest

from ragperso.claims import AGE_DAYS, PLAN_DAYS, claims

SAID = datetime(2024, 5, 15, 9)  # a Wednesday


def slots(text: str, **how: str) -> dict[tuple[str, str], str]:
    """Return (subject, slot) -> value of what ``text`` says holds; what only ends something is ``-value``."""
    found = {}
    for claim in claims(text, said=SAID, **how):  # type: ignore[arg-type]
        is_end = claim.negated and claim.ends is not None
        found[claim.subject, claim.slot] = f"-{claim.value}" if is_end else claim.value
    return found


OWN = [
    ("I live in Tartu.", "home", "tartu"),
    ("We moved to Uppsala last weekend.", "home", "uppsala"),
    ("Since January I've been working for the city library.", "employer", "city library"),
    ("I'm a tax adviser, but please don't hold it against me.", "job", "tax adviser"),
    ("I bank with Nordea.", "bank", "nordea"),
    ("My new number is 070 555 99 88.", "phone", "070 555 99 88"),
    ("My favourite author is Tove Jansson.", "favourite author", "tove jansson"),
    ("I was born in Malmö.", "birthplace", "malmö"),
    ("My birthday is on 3 June.", "birthday", "3 june"),
    ("I turned 40 yesterday.", "age", "40"),
    ("I'm allergic to nickel.", "allergy: nickel", "yes"),
    ("I have asthma.", "health: asthma", "yes"),
    ("I'm vegan now, except for honey.", "diet", "vegan"),
    ("I hate cilantro.", "taste: cilantro", "dislike"),
    ("I can't stand whistling.", "taste: whistling", "dislike"),
    ("I'm hooked on sudoku.", "taste: sudoku", "like"),
    ("Seafood gives me a rash.", "affects: seafood", "gives"),
    ("I don't own a car.", "has: car", "no"),
    ("I drive an electric Renault.", "has: car", "electric renault"),
    ("I play the cello.", "plays: cello", "yes"),
    ("I can't swim.", "can: swim", "no"),
    ("We got married in 2012.", "family status", "married"),
    ("I sing in a choir on Thursdays.", "sings: choir", "yes"),
    ("Please call me Lotta.", "nickname", "lotta"),
    ("My dog is called Pip.", "pet: pip", "dog"),
    ("My doctor is Dr Holm.", "name of my doctor", "dr holm"),
    ("I have a new phone number, 070 555 99 88.", "phone", "070 555 99 88"),
    ("Ive got an iphone now, no more Nokia.", "has: iphone", "yes"),
    ("im in the school orchestra now", "member: school orchestra", "yes"),
    ("I was born in 1981.", "birth year", "1981"),
    ("I can't bake at all.", "can: bake", "no"),
    ("I'm trying to eat less sugar.", "goal: eat less sugar", "yes"),
    ("I take oat milk in everything.", "takes: oat milk", "yes"),
    ("I take sertraline instead of fluoxetine now.", "takes: fluoxetine", "no"),
    ("I don't do the pub quiz any more.", "does: pub quiz", "no"),
    ("I'd rather have tea than coffee.", "taste: tea", "like"),
    ("I find it hard to say no.", "trait: finds hard: say no", "yes"),
    ("I've paid off my car loan.", "paid off: car loan", "yes"),
    ("I sleep much better without alcohol.", "trait: sleeps better", "without alcohol"),
    ("I work from eight to four.", "work hours", "from eight to four"),
    ("I don't want another dog.", "wants: dog", "no"),
    ("I get nervous before exams.", "trait: gets nervous", "yes"),
    ("We're on the waiting list for an allotment.", "waiting for: allotment", "yes"),
    ("The car is insured with Folksam now.", "insurance", "folksam"),
    ("Sorry, it's Tuesday, not Monday.", "correction: monday", "tuesday"),
    ("Ich wohne seit März in Linz.", "home", "linz"),
    ("Ich esse kein Fleisch mehr.", "eats: fleisch", "no"),
    ("J'habite à Lyon depuis deux ans.", "home", "lyon"),
    ("Je déteste la pluie.", "taste: pluie", "dislike"),
    ("Vivo en Granada desde 2019.", "home", "granada"),
    ("Ya no fumo.", "smokes", "no"),
]


@pytest.mark.parametrize(("text", "slot", "value"), OWN)
def test_a_statement_of_the_author_fills_its_slot(text: str, slot: str, value: str) -> None:
    assert slots(text).get(("", slot)) == value


OTHERS = [
    ("My sister moved to Berlin.", "sister", "home", "berlin"),
    ("My sister Paula moved to Berlin.", "Paula", "home", "berlin"),
    ("Jonas hates coriander.", "Jonas", "taste: coriander", "dislike"),
    ("Ella told me she's allergic to pollen.", "Ella", "allergy: pollen", "yes"),
    ("Stina's daughter Ida has diabetes.", "Ida", "health: diabetes", "yes"),
    ("My cousin Lisa's boyfriend is a pilot.", "Lisa's boyfriend", "job", "pilot"),
    ("I saw Anna yesterday; she has a new job at a bank.", "Anna", "employer", "bank"),
    ("Gunnar, my neighbour, is a retired tram driver.", "Gunnar", "job", "retired tram driver"),
    ("Mum's allergic to wasps.", "mother", "allergy: wasp", "yes"),
    ("My best friend Karin and her husband live in Gothenburg.", "Karin", "home", "gothenburg"),
    ("Karin and the kids live in Gothenburg now, they bought a boat.", "Karin", "has: boat", "yes"),
    ("My mate Olle works at the ferry office.", "Olle", "employer", "ferry office"),
    ("Mum has a cat called Pip, she hates rain.", "Pip", "taste: rain", "dislike"),
    ("Sam and Ida's son lives in Oslo.", "Sam and Ida's son", "home", "oslo"),
    ("My new boss is called Berit.", "boss", "name of my boss", "berit"),
    ("My niece is called Tuva.", "niece", "name of my niece", "tuva"),
    ("Ella has passed her driving test.", "Ella", "passed: driving test", "yes"),
    ("My sister wants to be an engineer.", "sister", "goal: be engineer", "yes"),
    ("Paula has started her own bakery.", "Paula", "runs: bakery", "yes"),
    ("My mum turns seventy in June.", "mother", "plan: birthday", "seventy"),
    ("Tom: I love jazz.", "Tom", "taste: jazz", "like"),
    ("Mein Bruder hasst Koriander.", "brother", "taste: koriander", "dislike"),
    ("Ma sœur Claire habite à Nantes.", "Claire", "home", "nantes"),
    ("Mi hermana vive en Sevilla.", "sister", "home", "sevilla"),
]


@pytest.mark.parametrize(("text", "subject", "slot", "value"), OTHERS)
def test_what_is_said_of_others_is_theirs(text: str, subject: str, slot: str, value: str) -> None:
    found = slots(text)
    assert found.get((subject, slot)) == value
    assert not [slot for who, slot in found if who == ""]


NOTHING = [
    "Do I live in Tartu?",
    "If I won the lottery I'd live in Italy.",
    "If I am allergic to nickel, the test will show it.",
    "I'm moving to Lund in June if Otto gets the job.",
    "I wish I could play the cello.",
    "I could eat a horse.",
    "I'm basically married to my laptop.",
    "I dreamt I lived in a lighthouse. It was pink and I had six cats.",
    "In my novel, the hero lives in Prague and hates dogs.",
    'Please translate: "I live in Paris and work as a nurse."',
    '"I hate Mondays," said Petra.',
    "She told me I should move to Oslo.",
    "Gunnar thinks I'm Norwegian.",
    "I'm pregnant! Just kidding.",
    "haha yes I'm secretly a duke",
    "I like your new haircut.",
    "I love it here.",
    "I feel sick today.",
    "I lived in Kiruna for ten years.",
    "I was a vegetarian at school.",
    "I'm thinking about getting a dog.",
    "> I live in Oslo",
    "assistant: I live in a data centre.",
    "Of course I love paying for parking.",
    "I do love a day out.",
    "I dropped my tea on the keyboard.",
    "My gardener Kev works at the docks.",  # an unknown word before a name: whose job is it?
    "Leo would rather eat his shoes than run again.",
    "Wenn ich Zeit hätte, würde ich Klavier lernen.",
    "Si j'étais riche, j'habiterais à Rome.",
]


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_asked_imagined_quoted_or_past_is_not_claimed(text: str) -> None:
    assert slots(text) == {}


# What people say of themselves and theirs in plain words, one line a rule of the data files.
PLAIN = [
    ("I live with two students.", "", "lives with", "two students"),
    ("I share a flat with Tom.", "", "lives with", "tom"),
    ("We rent a terrace in Dover.", "", "home", "dover"),
    ("I moved my account from Nordwall to Lindenkasse.", "", "bank", "lindenkasse"),
    ("I was promoted to head nurse.", "", "job", "head nurse"),
    ("They made me team leader.", "", "job", "team leader"),
    ("I joined Bosch as an engineer.", "", "job", "engineer"),
    ("I teach in a primary school.", "", "job", "teacher"),
    ("I'm head of sales.", "", "job", "head of sales"),
    ("I'm self-employed.", "", "job", "self employed"),
    ("My dad is retired.", "father", "job", "retired"),
    ("My brother is in the navy.", "brother", "employer", "navy"),
    ("My wife is in marketing.", "wife", "works in", "marketing"),
    ("I left my job at Halden in May.", "", "left: halden", "yes"),
    ("I finished my degree.", "", "degree", "degree"),
    ("I dropped out of law school.", "", "does: law school", "no"),
    ("I know first aid.", "", "can: first aid", "yes"),
    ("I'm fluent in Dutch.", "", "speaks: dutch", "yes"),
    ("I'm on drums in a band.", "", "plays", "drums"),
    ("I've been diagnosed with asthma.", "", "health: asthma", "yes"),
    ("My son struggles with anxiety.", "son", "health: anxiety", "yes"),
    ("I have a nut allergy.", "", "allergy: nut", "yes"),
    ("I have a broken toe.", "", "health: toe", "broken toe"),
    ("My wrist is broken.", "", "health: wrist", "broken"),
    ("I'm six foot four.", "", "height", "six foot four"),
    ("I'm O negative.", "", "blood type", "o negative"),
    ("I'm teetotal.", "", "drinks: alcohol", "no"),
    ("I'm off sugar.", "", "drinks: sugar", "no"),
    ("I eat everything except liver.", "", "avoids: liver", "yes"),
    ("Emeka won't touch fish.", "Emeka", "does: touch fish", "no"),
    ("I refuse to go to pantomimes.", "", "does: go pantomime", "no"),
    ("I always have porridge for breakfast.", "", "habit: porridge", "yes"),
    ("I have piano lessons on Mondays.", "", "course: piano lesson", "yes"),
    ("Choir is on Tuesdays now.", "", "habit: choir", "tuesdays"),
    ("I get the 7:40 train.", "", "habit: commute", "the 7:40 train"),
    ("My sister is engaged to Paul.", "sister", "partner", "paul"),
    ("We split up in May.", "", "family status", "single"),
    ("My boss's name is Helen.", "", "name of my boss", "helen"),
    ("My car was stolen.", "", "has: car", "no"),
    ("I cancelled my gym membership.", "", "has: membership", "no"),
    ("I gave up my gym membership.", "", "has: membership", "no"),
    ("You can reach me on 0151 2345678.", "", "phone", "0151 2345678"),
    ("The wedding has been moved to 20 June.", "", "plan: wedding", "yes"),
    ("Both kids can swim.", "children", "can: swim", "yes"),
    ("We're going to Portugal in August.", "", "plan: go portugal", "yes"),
    ("In August I want to travel to Georgia to bake.", "", "plan: travel georgia", "yes"),
]


@pytest.mark.parametrize(("text", "subject", "slot", "value"), PLAIN)
def test_plain_statements_fill_their_slots(text: str, subject: str, slot: str, value: str) -> None:
    assert slots(text).get((subject, slot)) == value


TONGUES = [
    ("Ich bin letztes Jahr nach Mainz gezogen.", "", "home", "mainz"),
    ("Ich wohne allein.", "", "lives with", "allein"),
    ("Ich arbeite bei der Stadt Kassel.", "", "employer", "stadt kassel"),
    ("Ich arbeite als Krankenschwester in Bonn.", "", "job", "krankenschwester"),
    ("Ich studiere Biologie.", "", "studies", "biologie"),
    ("Ich bin allergisch gegen Nüsse.", "", "allergy: nüsse", "yes"),
    ("Mein Sohn hat eine Nussallergie.", "son", "allergy: nuss", "yes"),
    ("Ich bin laktoseintolerant.", "", "allergy: laktose", "yes"),
    ("Meine Frau ist Vegetarierin.", "wife", "diet", "vegetarierin"),
    ("Ich bin geschieden.", "", "family status", "geschieden"),
    ("Meine Schwester ist schwanger.", "sister", "expecting", "schwanger"),
    ("Ich bin Linkshänder.", "", "body: linkshänder", "yes"),
    ("Ich bin 42 Jahre alt.", "", "age", "42"),
    ("Meine Tochter Lena ist vier.", "Lena", "age", "vier"),
    ("Mein Geburtstag ist am 3. Mai.", "", "birthday", "3. mai"),
    ("Ich bin in Halle geboren.", "", "birthplace", "halle"),
    ("Ich bin in Halle aufgewachsen.", "", "grew up", "halle"),
    ("Ich komme aus Polen.", "", "origin", "polen"),
    ("Ich koche gern Suppen.", "", "taste: suppen", "like"),
    ("Ich rauche nicht mehr.", "", "smokes", "no"),
    ("Ich spreche Deutsch und Polnisch.", "", "speaks: deutsch", "yes"),
    ("Ich lerne jetzt Spanisch.", "", "learns: spanisch", "yes"),
    ("Wir haben zwei Kinder.", "", "children", "zwei kinder"),
    ("Ich habe einen Bruder.", "", "siblings", "bruder"),
    ("Ich fahre einen Opel.", "", "has: car", "opel"),
    ("Ich habe mein Auto verkauft.", "", "has: auto", "no"),
    ("Ich habe mit dem Rauchen aufgehört.", "", "does: rauchen", "no"),
    ("Ich habe gestern gekündigt.", "", "job", "no"),
    ("Mein Konto ist bei der Sparkasse.", "", "bank", "sparkasse"),
    ("Ich habe nie den Führerschein gemacht.", "", "has never: führerschein", "no"),
    ("Ich gieße die Tomaten jeden Abend.", "", "habit: giesse", "yes"),
    ("J'habite avec ma sœur.", "", "lives with", "avec ma sœur"),
    ("Nous avons déménagé à Nantes.", "", "home", "nantes"),
    ("Je travaille chez Renault.", "", "employer", "renault"),
    ("Je travaille comme infirmière à Lyon.", "", "job", "infirmière"),
    ("J'étudie le droit.", "", "studies", "droit"),
    ("Je m'appelle Claire Petit.", "", "name", "claire petit"),
    ("Je suis allergique aux arachides.", "", "allergy: arachide", "yes"),
    ("Je suis végétarienne.", "", "diet", "végétarienne"),
    ("Je suis mariée.", "", "family status", "mariée"),
    ("J'ai de l'asthme.", "", "health: asthme", "yes"),
    ("J'ai peur des araignées.", "", "fear: araignée", "yes"),
    ("J'ai 34 ans.", "", "age", "34"),
    ("Mon anniversaire est le 3 mai.", "", "birthday", "3 mai"),
    ("Je viens de Lille.", "", "origin", "lille"),
    ("Je ne fume plus.", "", "smokes", "no"),
    ("Je ne bois pas de café.", "", "drinks: café", "no"),
    ("Je parle espagnol.", "", "speaks: espagnol", "yes"),
    ("J'apprends le piano.", "", "learns: piano", "yes"),
    ("Je joue du violon.", "", "plays: violon", "yes"),
    ("Nous avons deux enfants.", "", "children", "deux enfants"),
    ("J'ai vendu ma voiture.", "", "has: voiture", "no"),
    ("J'ai arrêté de fumer.", "", "does: fumer", "no"),
    ("J'ai démissionné.", "", "job", "no"),
    ("Maman a maintenant un petit chien.", "mother", "pet: chien", "yes"),
    ("Vivo con mi novio.", "", "lives with", "con mi novio"),
    ("Nos mudamos a Valencia.", "", "home", "valencia"),
    ("Trabajo en un banco.", "", "employer", "banco"),
    ("Trabajo como enfermera.", "", "job", "enfermera"),
    ("Estoy jubilado.", "", "job", "jubilado"),
    ("Estudio derecho.", "", "studies", "derecho"),
    ("Soy alérgico a los gatos.", "", "allergy: gato", "yes"),
    ("Estoy embarazada.", "", "expecting", "embarazada"),
    ("Soy zurdo.", "", "body: zurdo", "yes"),
    ("Tengo asma.", "", "health: asma", "yes"),
    ("Me dan miedo los perros.", "", "fear: perro", "yes"),
    ("Tengo 34 años.", "", "age", "34"),
    ("Mi cumpleaños es el 3 de mayo.", "", "birthday", "3 de mayo"),
    ("Nací en Cádiz.", "", "birthplace", "cádiz"),
    ("Crecí en un pueblo.", "", "grew up", "pueblo"),
    ("Odio el cilantro.", "", "taste: cilantro", "dislike"),
    ("Aprendo alemán.", "", "learns: alemán", "yes"),
    ("Toco la guitarra.", "", "plays: guitarra", "yes"),
    ("Tengo un perro.", "", "pet: perro", "yes"),
    ("Tengo dos hermanas.", "", "siblings", "dos hermanas"),
    ("Vendí mi coche.", "", "has: coche", "no"),
    ("Dejé de fumar.", "", "does: fumar", "no"),
]


@pytest.mark.parametrize(("text", "subject", "slot", "value"), TONGUES)
def test_german_french_and_spanish_in_their_common_forms(
    text: str, subject: str, slot: str, value: str
) -> None:
    assert slots(text).get((subject, slot)) == value


# Constructions that every life uses: each with whom it is about, the slot and the value.
BROADER = [
    ("I'd always pick the aisle on a plane.", "", "prefers: pick the aisle", "yes"),
    ("I'd rather sit near the door.", "", "prefers: sit near the door", "yes"),
    ("I'd never go back to teaching.", "", "does: go back", "no"),
    ("I'm eating cake again.", "", "eats: cake", "yes"),
    ("I've never been to Iceland.", "", "has never: been to iceland", "no"),
    ("I've never flown.", "", "has never: fly", "no"),
    ("I'm not on Instagram any more.", "", "uses: instagram", "no"),
    ("I'm allergic to lilies, please say there are none.", "", "allergy: lily", "yes"),
    ("Tina takes the 9 bus now.", "Tina", "habit: take 9 bus", "yes"),
    ("Olle has been made head of sales.", "Olle", "job", "head"),
    ("I was made redundant.", "", "job", "no"),
    ("My brother's been laid off.", "brother", "job", "no"),
    ("I've taken over the parish newsletter.", "", "runs: parish newsletter", "yes"),
    ("I do the accounts for a garage.", "", "employer", "garage"),
    ("Gunnar used to be a tram driver.", "Gunnar", "past job: tram driver", "yes"),
    ("My mother-in-law knits.", "mother-in-law", "does: knit", "yes"),
    ("Our Kasia's had her second.", "Kasia", "children", "had a baby"),
    ("The woman next door breeds budgies.", "neighbour", "does: breed budgy", "yes"),
    ("Opera is what I like best.", "", "taste: opera", "like"),
    ("Curry nights are wasted on me.", "", "taste: curry night", "dislike"),
    ("Me and mushrooms are not friends.", "", "taste: mushroom", "dislike"),
    ("At work they call me the Butcher.", "", "nickname", "butcher"),
    ("The firm is called Brandt & Biscuit.", "", "name of my firm", "brandt & biscuit"),
    ("They've put me on statins.", "", "takes: statin", "yes"),
    ("Leeks are my pride and joy.", "", "taste: leek", "like"),
    ("I need silence to study.", "", "needs: silence", "yes"),
    ("I have dyscalculia.", "", "health: dyscalculia", "yes"),
    ("My knees are gone.", "", "health: knees", "gone"),
    ("The diabetes is gone.", "", "health: diabetes", "no"),
    ("I'm fitting kitchens in Kent until June.", "", "doing: fit kitchen", "yes"),
    ("I've got into the academy.", "", "studies", "academy"),
    ("I go to mass at home.", "", "habit: go mass", "yes"),
    ("I can't sit through a film any more.", "", "told: sit through a film", "no"),
    ("Ich kann Kümmel nicht ausstehen.", "", "taste: kümmel", "dislike"),
    ("Je prends des cours de russe.", "", "learns: russe", "yes"),
    ("Mon voisin m'apprend le russe.", "", "learns: russe", "yes"),
    ("Llevo dos meses viviendo en Vigo.", "", "home", "vigo"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "subject", "slot", "value"), BROADER)
def test_constructions_of_everyday_speech(text: str, subject: str, slot: str, value: str) -> None:
    assert slots(text).get((subject, slot)) == value


NOT_MEANT = [
    "I'd rather not say.",
    "I'd rather sit out tonight.",
    "I'd never have guessed.",
    "I'm having trouble again.",
    "I am the greatest driver in the history of Kent.",
    "My ankles are bigger than the house.",
    "I live in Otto's old hoodie.",
    "I will not be taking questions.",
    "I can't get my card to work.",
    "I cannot find the invoice.",
    "I don't recognise this payment.",
    "I am in Austria right now.",
    "I'm in the van now.",
    "I need a fast answer to the question.",
    "I need four more screws.",
    "I use the word loosely.",
    "I take your point.",
    "I miss the bus every time it rains.",
    "I owe you a cake.",
    "I'm a supermodel.",
    "Romance is not dead.",
    "The neighbours have swapped me for a petition.",
    "Tough times can be a gateway to better ones.",
    "Come and hold my towel.",
]


@pytest.mark.parametrize("text", NOT_MEANT)
def test_what_only_looks_like_such_a_construction_is_not_claimed(text: str) -> None:
    assert slots(text) == {}


def test_a_friend_who_is_taught_is_not_the_teacher() -> None:
    assert ("neighbour", "learns: russe") not in slots("Mon voisin m'apprend le russe.")
    assert {who for who, _ in slots("Orla, the eldest of us, is a guard.")} == {"Orla"}


def test_what_holds_for_the_moment_ends() -> None:
    (claim,) = claims("I can't bear onions at the moment.", said=SAID)
    assert claim.ends is not None
    (claim,) = claims("I can't bear onions.", said=SAID)
    assert claim.ends is None
    (claim,) = claims("I've quit sugar until the wedding.", said=SAID)
    assert (claim.value, claim.starts is not None, claim.ends is not None) == ("no", True, True)


def test_a_shout_names_nobody() -> None:
    assert ("", "name") not in slots("I'M AN AUNT.")


def in_prose(text: str) -> dict[tuple[str, str], str]:
    """Return what a note says in which ``text`` stands as a paragraph of its own."""
    return slots(f"The road was wet and the evening long.\n\n{text}\n\nThen it rained again.\n")


NOT_IN_PROSE = [
    "I moved all the vaccines to the fridge in the basement.",  # done once
    "I advise against purple.",
    "I always expect the moment to be larger.",
    "I eat it anyway, on principle.",  # what "it" is stands elsewhere
    "Tarek likes it.",
    "Calf raises on the step.",
    "Nordwall started charging nine euros a month.",
    "No red at all for silver.",
    "Show it to the other three hospitals in January 2027.",
    "The squeak is gone.",
    "I built it because it was Sunday and the shop was closed.",
    "When you help me with a recipe, please give me the story first.",
    "I'll confirm it the minute the flights are booked in January.",
    "Never speak carelessly to those who care about you.",
    "Number: on the attached invoice, bottom left",
    "Le cake que je vous prie d'accepter est pour vous.",
    "Je passerai lundi et j'apporterai toujours une miche.",
]


@pytest.mark.parametrize("text", NOT_IN_PROSE)
def test_a_note_claims_less_than_it_says(text: str) -> None:
    assert in_prose(text) == {}


def test_what_stands_on_its_own_in_a_note_is_kept() -> None:
    assert in_prose("I am allergic to nickel.") == {("", "allergy: nickel"): "yes"}
    assert in_prose("I build about twelve frames a year.") == {("", "does: build twelve frame"): "yes"}
    assert in_prose("Frau Petzold keeps my spare key.") == {("Frau Petzold", "keeps: spare key"): "yes"}
    assert in_prose("In August we spent a week with my mother Maureen.") == {
        ("Maureen", "relation"): "mother"
    }
    assert in_prose("The doctor, Dr. Weiss, said my left knee has a small tear.") == {
        ("", "health: knee"): "tear"
    }


def test_a_thing_with_a_name_is_nobody() -> None:
    text = (
        "I feed my sourdough starter Gaston every morning. Gaston lives in the tall jar, he likes 24 degrees."
    )
    assert not [who for who, _ in in_prose(text) if who]


def test_front_matter_is_not_read() -> None:
    assert slots("---\ntitle: I live in Oslo\ndate: 2024-05-01\n---\n\n# Trip\n\nIt rained.\n") == {}


def test_an_age_is_believed_for_a_year() -> None:
    (claim,) = claims("I'm 34 years old.", said=SAID)
    assert claim.ends is not None
    assert (claim.ends.date() - SAID.date()).days == AGE_DAYS + 1


def test_until_a_month_that_is_over_means_the_next() -> None:
    (claim,) = claims("I'm on parental leave until January.", said=SAID)
    assert claim.ends is not None
    assert claim.ends.year == 2025


def test_endings_are_facts_or_close_what_was() -> None:
    assert slots("I no longer play the violin.") == {("", "plays: violin"): "no"}
    assert slots("We sold the Volvo.") == {("", "has: car"): "no"}
    assert slots("I've left the choir.") == {("", "member: choir"): "no"}
    assert slots("I don't like tea any more.") == {("", "taste: tea"): "dislike"}
    # These only close: where else they live, or what now, is not said.
    assert slots("I don't live in Malmö anymore.") == {("", "home"): "-malmö"}
    assert slots("I used to be a vegetarian.") == {("", "diet"): "-vegetarian"}


def test_a_correction_is_marked() -> None:
    (claim,) = claims("Correction, I live in Lund, not Malmö.", said=SAID)
    assert (claim.slot, claim.value, claim.corrects) == ("home", "lund", True)
    (claim,) = claims("I live in Lund.", said=SAID)
    assert not claim.corrects


def test_a_plan_ends_with_its_day_and_an_undated_one_after_a_while() -> None:
    (claim,) = claims("I have a dentist appointment on 20 May.", said=SAID)
    assert (claim.kind, claim.ends) == ("plan", datetime(2024, 5, 21))
    (claim,) = claims("We're planning to renovate the kitchen.", said=SAID)
    assert claim.ends is not None
    assert (claim.ends.date() - SAID.date()).days == PLAN_DAYS + 1
    (claim,) = claims("I'm moving to Uppsala in June.", said=SAID)
    assert (claim.kind, claim.ends) == ("plan", datetime(2024, 7, 1))


def test_what_is_unsure_is_less_certain() -> None:
    (sure,) = claims("I'm moving to Uppsala in June.", said=SAID)
    (unsure,) = claims("Maybe I'm moving to Uppsala in June.", said=SAID)
    assert sure.certainty == 1.0
    assert unsure.certainty < 0.5


def test_spans_are_the_clauses_verbatim() -> None:
    text = "We’ve had rain all week. I live in Tartu,  but my brother Ants lives in Riga!"
    found = {(c.subject, c.slot): text[c.start : c.end] for c in claims(text, said=SAID)}
    assert found["", "home"] == "I live in Tartu"
    assert found["Ants", "home"] == "my brother Ants lives in Riga"


def test_the_speaker_may_speak_under_their_name() -> None:
    assert slots("Ana: I live in Tartu.", speaker="Ana") == {("", "home"): "tartu"}
    assert slots("Ana: I live in Tartu.", speaker="Ben") == {("Ana", "home"): "tartu"}


@pytest.mark.parametrize(
    "text",
    [
        "word " * 60_000,
        "I live in " * 30_000,
        "\ud800 I live in \udfff",
        '"' * 100_000,
        "I'm " + "really " * 40_000 + "tired",
        "my " + "x-" * 100_000,
        "(I " * 50_000,
        "Aa. " * 75_000,
        "---\n" * 70_000,
        "Mum says my dog's cat's " * 12_000,
        "",
    ],
)
def test_hostile_text_is_read_without_harm(text: str) -> None:
    for claim in claims(text, said=SAID):
        assert 0 <= claim.start < claim.end <= len(text)


def test_no_more_than_the_limit() -> None:
    assert len(claims("I love tea. I love rum. I love jam. I love pie.", said=SAID, limit=3)) == 3
