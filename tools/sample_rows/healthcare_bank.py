# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Findings and note layouts for the healthcare rows. Held-out rows use only `HELD_OUT`: other words, other note layouts.

Layouts have {who}, {age}, {found} a list of findings, {denied} a list with or, {aside}, {days}; a patient's {told}.
"""

from __future__ import annotations

from dataclasses import dataclass

Finding = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Bank:
    findings: dict[str, Finding]
    """name -> (what staff write, noun phrases for "I have ..." and "no ...", a patient's own sentences)."""
    asides: tuple[str, ...]
    """Facts about the patient that point nowhere."""
    patient_asides: tuple[str, ...]
    days: tuple[str, ...]
    nurse: tuple[str, ...]
    doctor: tuple[str, ...]
    patient: tuple[str, ...]
    who: tuple[tuple[str, ...], tuple[str, ...]]
    """Short and long words for the person."""


TRAIN = Bank(
    findings={
        "sudden fever": (("fever of 39.5 since last night", "abrupt onset of high fever"), ("a high fever that came from nowhere",),
                         ("I was fine at noon and had a high fever by the evening",)),
        "fever": (("fever of 38.2", "raised temperature"), ("a fever",), ("my temperature is up",)),
        "aches": (("generalised muscle aches", "myalgia in back and legs"), ("aching muscles",), ("every muscle hurts",)),
        "runny nose": (("runny nose", "nasal congestion with clear discharge"), ("a runny nose", "a blocked nose"),
                       ("my nose runs all day",)),
        "sneezing": (("sneezing",), ("sneezing fits",), ("I sneeze a lot",)),
        "itchy eyes": (("itchy, watery eyes", "itching of eyes and palate"), ("itchy eyes",), ("my eyes itch and water",)),
        "season": (("symptoms each spring, worse outdoors", "worse on days with much pollen"), ("trouble whenever I sit in a meadow",),
                   ("it comes back every spring when the trees bloom", "it gets better when I stay indoors with the windows shut")),
        "slow start": (("gradual onset over two days", "mild symptoms, still at work"), ("only mild trouble that came slowly",),
                       ("it came on slowly and I still go to work",)),
        "scratchy throat": (("mild sore throat", "scratchy throat"), ("a scratchy throat",), ("my throat is a little scratchy",)),
        "sore throat": (("severe sore throat, painful swallowing", "marked throat pain"), ("pain on swallowing",),
                        ("it hurts so much to swallow that I only drink",)),
        "patches": (("white patches on the tonsils", "tonsils red with exudate"), ("white spots in my throat",),
                    ("I can see white spots at the back of my throat",)),
        "glands": (("tender glands in the neck", "swollen lymph nodes under the jaw"), ("swollen glands",), ("my neck glands are swollen and sore",)),
        "dry cough": (("dry cough",), ("a dry cough",), ("I have a tickly cough with nothing coming up",)),
        "night cough": (("cough at night",), ("coughing at night",), ("the cough wakes me at three in the morning",)),
        "phlegm": (("cough with green sputum", "productive cough, rusty sputum"), ("a cough with thick green phlegm",),
                   ("I cough up yellow-green phlegm",)),
        "chest pain": (("sharp chest pain on breathing in", "crackles at the right lung base"), ("a stabbing pain in my chest with each deep breath",),
                       ("it stabs in my side when I breathe in deeply",)),
        "breathless": (("shortness of breath", "breathing rate 26"), ("shortness of breath",), ("I get short of breath",)),
        "wheeze": (("wheeze on breathing out", "wheezing in both lungs"), ("wheezing",), ("my chest wheezes when I breathe out",)),
        "trigger": (("attacks on exercise and in cold air", "relief within minutes of an inhaler"), ("attacks when I run in the cold",),
                    ("it starts when I climb stairs in cold weather and passes with my brother's inhaler",)),
        "half head": (("throbbing headache on the left side", "one-sided pulsating headache"), ("a throbbing pain on one side of my head",),
                      ("the left half of my head throbs",)),
        "light": (("sensitivity to light and sound", "photophobia"), ("trouble with bright light",), ("I have to lie in a dark, quiet room",)),
        "aura": (("zigzag lines before the pain", "visual aura"), ("flickering spots in front of my eyes",), ("I saw zigzag lines before it began",)),
        "nausea": (("nausea",), ("nausea",), ("I feel sick",)),
        "band": (("pressing headache on both sides", "band-like head pain"), ("a tight feeling around my whole head",),
                 ("it feels like a tight band around my head",)),
        "stress": (("headache after long hours at the screen", "worse in stressful weeks"), ("more pain in stressful weeks",),
                   ("it comes at the end of stressful days at my desk",)),
        "neck": (("tense neck and shoulder muscles",), ("a stiff, tense neck",), ("my neck and shoulders are tense",)),
        "headache": (("headache",), ("a headache",), ("my head aches",)),
        "tired": (("fatigue",), ("no energy",), ("I am very tired",)),
        "vomiting": (("vomiting", "vomited three times"), ("vomiting",), ("I have vomited twice",)),
        "diarrhoea": (("watery diarrhoea", "six loose stools since yesterday"), ("diarrhoea",), ("I have had diarrhoea all day",)),
        "cramps": (("cramps all over the abdomen",), ("stomach cramps",), ("my whole stomach cramps",)),
        "others": (("family members ill after the same meal",), ("a family with the same trouble",), ("my children have the same after a birthday meal",)),
        "right low": (("tenderness in the right lower abdomen", "pain in the right iliac fossa"), ("pain low on the right of my belly",),
                      ("it hurts low down on the right side of my belly",)),
        "moved": (("pain that moved from the navel", "pain began around the navel, worse on moving"), ("a pain that has moved down from my navel",),
                  ("it began around the navel and every step makes it worse",)),
        "appetite": (("loss of appetite",), ("no wish to eat",), ("I do not want to eat",)),
        "burning": (("burning on urination", "dysuria"), ("burning when passing urine",), ("it burns when I pass urine",)),
        "often": (("frequent urination in small amounts", "urinary urgency"), ("a need to pass urine all the time",),
                  ("I have to go every half hour and hardly anything comes",)),
        "cloudy": (("cloudy urine",), ("cloudy urine",), ("my urine is cloudy and smells",)),
        "flank": (("flank pain in waves", "colicky pain from the back to the groin"), ("pain in waves from my back to my groin",),
                  ("waves of terrible pain go from my back down to the groin",)),
        "restless": (("restless, cannot find a comfortable position",), ("a pain that lets me neither sit nor lie",), ("I walk up and down because no position helps",)),
        "blood": (("blood in the urine", "microscopic haematuria"), ("blood in my urine",), ("my urine looks pink",)),
    },
    asides=("takes tablets for blood pressure", "no known allergies to drugs", "smokes ten a day", "had a knee operation last year",
            "works as a teacher", "weight stable", "lives with two cats", "type 2 diabetes, well controlled"),
    patient_asides=("I take tablets for my blood pressure", "I work in a school", "I have two small children", "I am not pregnant",
                    "My mother says I should come in", "I took a painkiller this morning"),
    days=("since yesterday", "for two days", "for three days", "for a week"),
    nurse=("{age}{who}. c/o {found} {days}. denies {denied}. {aside}.", "{age}{who}, triage: {found}; no {denied}. {aside}.",
           "{age}{who}. {aside}. {found} {days}, denies {denied}."),
    doctor=("{age}-year-old {who} presents with {found} {days}. No {denied}. {aside}.",
            "{age}-year-old {who}, {aside}. Complains of {found}. There is no {denied}.",
            "Seen today: {who} of {age} with {found}, without {denied}. {aside}."),
    patient=("{told}. I have no {denied}.", "{told}. {aside}. There is no {denied}.", "Hello, {told}. No {denied} so far. {aside}."),
    who=(("M", "F"), ("man", "woman")),
)  # fmt: skip

HELD_OUT = Bank(
    findings={
        "sudden fever": (("temp 39.8, came on within hours", "shivering with a temperature near 40 from one hour to the next"),
                         ("a burning temperature all of a sudden",), ("at lunch I felt well, by dinner I was shivering and boiling hot",)),
        "fever": (("temp 38.4", "feverish"), ("a temperature",), ("I feel hot and shivery",)),
        "aches": (("limbs and back hurting all over", "body pain everywhere"), ("pain in all my limbs",), ("my whole body feels beaten up",)),
        "runny nose": (("streaming nose", "stuffy nose"), ("a streaming nose",), ("I am going through a box of tissues for my nose",)),
        "sneezing": (("sneezes repeatedly",), ("sneezes",), ("achoo, achoo, the whole day",)),
        "itchy eyes": (("red eyes that prickle and run", "eyes being rubbed constantly"), ("prickling red eyes",), ("I cannot stop rubbing my eyes",)),
        "season": (("only when the grass is in flower", "present every May and June"), ("this every year when the grass is cut",),
                   ("rain helps, a walk through fields makes it much worse",)),
        "slow start": (("crept up over days, not very unwell", "feels only slightly ill"), ("nothing bad, it crept up over some days",),
                       ("it is more a nuisance than an illness and crept up bit by bit",)),
        "scratchy throat": (("slightly rough throat",), ("a rough throat",), ("my throat tickles a bit",)),
        "sore throat": (("throat so painful that food is refused", "agonising throat"), ("agony when swallowing",),
                        ("swallowing feels like broken glass",)),
        "patches": (("pus on both tonsils", "whitish coating at the back of the mouth"), ("a white coating on my tonsils",),
                    ("the mirror shows pus on my tonsils",)),
        "glands": (("lumps felt below the jaw, sore to touch",), ("sore lumps under my jaw",), ("there are sore lumps below my jaw",)),
        "dry cough": (("hacking cough, nothing brought up",), ("a hacking cough",), ("I keep coughing but it stays dry",)),
        "night cough": (("coughs mostly after midnight",), ("nightly coughing",), ("at night I sit up in bed coughing",)),
        "phlegm": (("brings up dark yellow mucus", "coughing out brownish slime"), ("yellow-brown mucus on coughing",),
                   ("brownish slime comes up when I cough",)),
        "chest pain": (("side of the chest hurts with every breath", "crackling heard over the left lung"), ("a chest that hurts on deep breaths",),
                       ("taking a full breath hurts like a knife in the ribs",)),
        "breathless": (("gets out of breath", "breathing fast"), ("trouble getting air",), ("I run out of air quickly",)),
        "wheeze": (("whistling sound from the chest", "whistles when exhaling"), ("a whistling chest",), ("my breathing whistles like a kettle",)),
        "trigger": (("brought on by jogging or frosty mornings", "settles after two puffs of the blue spray"), ("tightness after jogging on frosty mornings",),
                    ("sport brings it on, and a puff of the spray makes it go",)),
        "half head": (("hammering pain behind one eye", "pounding right temple"), ("hammering behind one eye",), ("my right temple pounds with every heartbeat",)),
        "light": (("asks for the curtains to be closed, noise unbearable", "cannot stand lamps"), ("trouble with lamps and noise",),
                  ("every lamp hurts, so I keep the curtains closed",)),
        "aura": (("saw shimmering shapes half an hour earlier",), ("shimmering shapes in my sight",), ("shimmering shapes showed up half an hour earlier",)),
        "nausea": (("queasy",), ("a queasy stomach",), ("I am queasy",)),
        "band": (("dull pressure over forehead and back of the head", "head feels squeezed evenly"), ("dull pressure all over my skull",),
                 ("as if a helmet two sizes too small squeezed my skull",)),
        "stress": (("after deadlines at the office", "fades on holiday"), ("this mostly after a day of deadlines",), ("on holiday it is gone, before deadlines it returns",)),
        "neck": (("hard knots in the shoulders",), ("knots in my shoulders",), ("my shoulders are full of knots",)),
        "headache": (("head pain",), ("a sore head",), ("my head hurts",)),
        "tired": (("worn out",), ("weakness",), ("I could sleep the whole day",)),
        "vomiting": (("throwing up", "cannot keep fluids down"), ("throwing up",), ("nothing stays down",)),
        "diarrhoea": (("liquid stools", "bowels open ten times today"), ("liquid stools",), ("I am on the toilet every few minutes and it is like water",)),
        "cramps": (("gripping belly pain that comes and goes",), ("gripping pains across my belly",), ("my belly grips and gurgles",)),
        "others": (("two colleagues sick since the canteen lunch",), ("colleagues with the same complaint",), ("half the office is ill since the canteen lunch",)),
        "right low": (("guards the lower right side of the belly", "sore to pressure above the right hip"), ("a sore spot above my right hip",),
                      ("pressing above my right hip makes me jump",)),
        "moved": (("started near the belly button, then travelled down", "jolts and steps hurt, first felt mid-belly"), ("a soreness that wandered down from the belly button",),
                  ("first it was near the belly button, now it sits lower and jolts hurt",)),
        "appetite": (("off food",), ("no hunger",), ("even the smell of food puts me off",)),
        "burning": (("stinging when peeing", "peeing hurts"), ("stinging when peeing",), ("peeing stings like fire",)),
        "often": (("on the toilet constantly for a few drops", "keeps needing to pee"), ("an urge to pee every few minutes",),
                  ("I run to the loo constantly for a few drops",)),
        "cloudy": (("murky, strong-smelling pee",), ("murky pee",), ("my pee looks murky",)),
        "flank": (("cramping below the ribs that shoots into the groin", "side pain surging and easing"), ("surges of pain from under the ribs to the groin",),
                  ("out of nowhere it surges from under my ribs into the groin, eases, then surges again",)),
        "restless": (("pacing the room, cannot keep still",), ("a pain that keeps me pacing the room",), ("I cannot keep still, I pace and writhe",)),
        "blood": (("reddish pee", "red cells on the dipstick"), ("reddish pee",), ("there was something red in the toilet bowl",)),
    },
    asides=("on a statin", "penicillin tolerated before", "retired driver", "wears hearing aids", "drinks a glass of wine on Sundays",
            "vaccinations up to date", "underactive thyroid, treated"),
    patient_asides=("I retired last year", "My neighbour drove me here", "I am on a statin", "I drank some tea", "I have never been in hospital",
                    "My partner is worried"),
    days=("from Monday on", "over the weekend", "as of this morning", "the past few days"),
    nurse=("pt {who}, {age} y: {found} ({days}); neg for {denied}; {aside}", "{who} {age}, phone call, {found}. Nil {denied}. Note: {aside}",
           "{aside}; {who} aged {age}; not reported: {denied}; reported: {found}"),
    doctor=("Thank you for seeing this {who}, aged {age}, {aside}. Story, {days}: {found}; {denied} absent.",
            "{who} ({age}). Findings: {found}. Absent: {denied}. Background: {aside}.",
            "I reviewed a {who} of {age}. Neither history nor examination showed {denied}; what stood out was {found}."),
    patient=("{told}. What I do not have is {denied}.", "{aside}. {told}. I looked out for {denied}, and was spared that.",
             "Since you asked: {denied}, not at all. But {told}."),
    who=(("male", "female"), ("gentleman", "lady")),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
