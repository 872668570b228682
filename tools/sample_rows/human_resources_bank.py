# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Clauses and questions of the staff policy rows for training; those held out stand in human_resources_held_out.py.

Slots: {c} whom or what a clause covers, {x} what it grants; {t} and {u} a lower and an upper bound in {c}; {v} a number in an
employee's words, {name} a colleague; of a layout {n} the clause's number, {clause} its text, {part} its section, {q} the question.
"""

from __future__ import annotations

from dataclasses import dataclass

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """A fact that clauses turn on. Sides of a number are `low`, `mid` and `high`; they share the facts of `any`."""

    conditions: dict[str, Phrases]
    """Side -> {c}, which is also the answer's `Condition`."""
    facts: dict[str, Phrases]
    """Side -> what an employee on that side says."""
    others: dict[str, Phrases]
    """Side -> the same said of somebody or something else, which counts for nothing."""


@dataclass(frozen=True)
class Wording:
    """One subject of the policy."""

    clauses: dict[str, Phrases]
    """`grant` for sums and spans; `yes` and `no` for rights and duties."""
    asks: Phrases


@dataclass(frozen=True)
class Layout:
    head: str
    clause: str
    foot: str


@dataclass(frozen=True)
class Bank:
    splits: dict[str, Split]
    subjects: dict[str, Wording]
    names: Phrases
    asides: Phrases
    questions: Phrases
    """Orders of {fact}, {other}, {aside} and {ask}, each a whole sentence."""
    layouts: tuple[Layout, ...]


TRAIN = Bank(
    splits={
        "service": Split(
            {"low": ("staff with under {t} of service", "employees who have worked here for less than {t}", "staff who have not yet completed {t}"),
             "mid": ("staff with {t} to {u} of service", "employees who have worked here for {t} or more but less than {u}"),
             "high": ("staff with {t} of service or more", "employees who have worked here for at least {t}", "staff who have completed {t}")},
            {"any": ("I have been here for {v}", "I joined the company {v} ago", "it is now {v} since I was hired", "I have worked for you for {v}",
                     "my first day was {v} ago", "so far I have {v} of service")},
            {"any": ("my colleague {name} has been here for {v}", "{name}, at the next desk, joined {v} ago")},
        ),
        "contract": Split(
            {"permanent": ("permanent staff", "staff on a permanent contract"), "fixed": ("staff on a fixed-term contract", "staff whose contract ends on a set date"),
             "agency": ("agency workers", "workers supplied by an agency"), "intern": ("interns", "students on an internship")},
            {"permanent": ("I have a permanent contract", "my contract has no end date", "since spring my contract is a permanent one"),
             "fixed": ("my contract runs until the end of June", "I was hired for eighteen months only", "my contract ends on 30 September"),
             "agency": ("I am employed by an agency and only work here", "an agency sent me to you", "my payslip comes from the agency that sent me"),
             "intern": ("I am here for a three-month internship", "I am a student and do my internship in your lab", "this is my second month as an intern")},
            {"permanent": ("{name} has a permanent contract",), "fixed": ("the contract of {name} runs out in March",),
             "agency": ("{name} was sent by an agency",), "intern": ("{name} is an intern",)},
        ),
        "hired": Split(
            {"low": ("staff hired before {t}", "employees whose contract began before {t}"),
             "high": ("staff hired in {t} or later", "employees whose contract began in {t} or afterwards")},
            {"any": ("I was hired in {v}", "my contract dates from {v}", "I have been on the staff since {v}")},
            {"any": ("{name} was hired in {v}",)},
        ),
        "shift": Split(
            {"night": ("night workers", "staff on the night shift"), "day": ("day workers", "staff on the day shift"),
             "weekend": ("weekend workers", "staff who work weekends only")},
            {"night": ("I work from ten at night to six in the morning", "I only do nights"),
             "day": ("I work from eight to four, Monday to Friday", "I start at seven and am home by five, on weekdays"),
             "weekend": ("I work on Saturdays and Sundays and study during the week", "I am here on weekends only")},
            {"night": ("{name} does nights",), "day": ("{name} works from eight to four",), "weekend": ("{name} comes on weekends",)},
        ),
        "probation": Split(
            {"on": ("staff on probation", "employees still in their probation"), "off": ("staff who have passed probation", "employees whose probation is over")},
            {"on": ("my probation ends next month", "I am still on probation", "I have two months of probation left"),
             "off": ("I passed my probation in spring", "my probation ended last year", "probation is behind me, luckily")},
            {"on": ("{name} is still on probation",), "off": ("{name} passed probation long ago",)},
        ),
        "grade": Split(
            {"lead": ("managers", "staff who lead a team"), "none": ("staff without a team", "staff who lead nobody")},
            {"lead": ("I lead a team of six", "nine people report to me", "I manage the export department"),
             "none": ("nobody reports to me", "I do not lead anyone", "I am a clerk with no team of my own")},
            {"lead": ("{name} leads a team of ten",), "none": ("{name} leads nobody",)},
        ),
        "place": Split(
            {"office": ("office staff", "staff based in the office"), "field": ("field staff", "staff who work at customers' sites"),
             "home": ("home-based staff", "staff whose desk is at home")},
            {"office": ("my desk is in the main office", "I come to the office every day"),
             "field": ("I repair lifts at customers' sites", "I visit clients all day"),
             "home": ("I work from my own house", "my workplace is a room in my flat")},
            {"office": ("{name} sits in the office",), "field": ("{name} visits clients",), "home": ("{name} works from a house in the hills",)},
        ),
        "child": Split(
            {"low": ("parents of a child under {t}", "staff with a child younger than {t}"),
             "high": ("parents of a child aged {t} or over", "staff whose youngest child is {t} or older")},
            {"any": ("my daughter is {v}", "my only son is {v} years old", "I have one child, aged {v}")},
            {"any": ("the boy of {name} is {v}",)},
        ),
        "hours": Split(
            {"low": ("staff who work under {t} hours a week", "staff contracted for fewer than {t} hours a week"),
             "high": ("staff who work {t} hours a week or more", "staff contracted for at least {t} hours a week")},
            {"any": ("I work {v} hours a week", "my contract says {v} hours a week", "at the moment I do {v} hours per week")},
            {"any": ("{name} works {v} hours",)},
        ),
        "relation": Split(
            {"close": ("a partner, child or parent",), "wider": ("a grandparent, aunt, uncle or cousin",), "friend": ("a friend or neighbour",)},
            {"close": ("my mother died on Sunday", "my husband has died", "I have lost my son"),
             "wider": ("my grandfather died last night", "my aunt has died", "my cousin was killed in an accident"),
             "friend": ("my best friend has died", "the old man next door died, and I found him")},
            {"close": ("{name} lost a father in May",), "wider": ("{name} lost an uncle in May",), "friend": ("{name} lost a friend in May",)},
        ),
        "ahead": Split(
            {"low": ("less than {t} ahead",), "high": ("at least {t} ahead", "{t} ahead or earlier")},
            {"any": ("the days off that I want begin in {v}", "my trip starts in {v}, and I am asking today", "it is {v} until the first day that I want off")},
            {"any": ("{name} asked {v} ahead",)},
        ),
        "absence": Split(
            {"low": ("of up to {t}", "that last no more than {t}"), "high": ("of more than {t}", "that last more than {t}")},
            {"any": ("I was in bed with flu for {v}", "I have been ill for {v}", "I missed {v} because of my back")},
            {"any": ("last year I was ill for {v}",)},
        ),
        "day": Split(
            {"weekday": ("on working days",), "weekend": ("on Saturdays and Sundays",), "holiday": ("on public holidays",)},
            {"weekday": ("I stayed until nine on Tuesday", "I did three extra hours on Thursday evening"),
             "weekend": ("I came in for five hours last Sunday", "I worked all Saturday before the audit"),
             "holiday": ("I worked on New Year's Day", "I was called in on the national holiday")},
            {"weekday": ("{name} stayed late on Monday",), "weekend": ("{name} came in on a Sunday",), "holiday": ("{name} worked on a public holiday",)},
        ),
        "trip": Split(
            {"home": ("on trips within the country",), "abroad": ("on trips abroad",)},
            {"home": ("I am going to a fair two hours from here, in our own country", "I go by train to our branch in the capital"),
             "abroad": ("I fly to a supplier in another country", "I need my passport for this trip")},
            {"home": ("{name} stayed within the country",), "abroad": ("{name} went abroad in May",)},
        ),
        "night": Split(
            {"same day": ("on trips without a night away",), "overnight": ("on trips with a night away",)},
            {"same day": ("I will be home the same evening", "I left at six and was home by nine in the evening"),
             "overnight": ("I will sleep in a hotel", "I was away for two nights")},
            {"same day": ("{name} was home the same evening",), "overnight": ("{name} slept in a hotel",)},
        ),
        "amount": Split(
            {"low": ("of up to {t}", "that cost {t} at most"), "high": ("of more than {t}", "that cost more than {t}")},
            {"any": ("I want to buy a desk lamp for {v}", "the printer ink costs {v}", "I need a new drill, price {v}")},
            {"any": ("{name} bought one for {v}",)},
        ),
        "distance": Split(
            {"low": ("staff who move less than {t}",), "high": ("staff who move {t} or more", "staff who move at least {t}")},
            {"any": ("my new flat is {v} from the old one", "for this job I am moving {v}")},
            {"any": ("{name} moved {v}",)},
        ),
        "course": Split(
            {"required": ("required for the job",), "chosen": ("chosen by the employee",)},
            {"required": ("my boss told me to take the forklift course", "without this certificate I am not allowed to weld"),
             "chosen": ("I would like to learn Spanish, though nobody asked me to", "I picked a photography course because I enjoy it")},
            {"required": ("{name} has to take a course for the job",), "chosen": ("{name} took a course for fun",)},
        ),
        "reason": Split(
            {"quits": ("when the employee resigns",), "cut": ("when the post is cut",), "retires": ("when the employee retires",)},
            {"quits": ("I have found another job and am leaving", "I handed in my resignation"),
             "cut": ("my post is being cut", "you are closing my department and I have to go"),
             "retires": ("I am turning 66 and will retire", "after 40 years of work I am retiring")},
            {"quits": ("{name} resigned in May",), "cut": ("the post of {name} was cut",), "retires": ("{name} retired in May",)},
        ),
    },
    subjects={
        "annual": Wording({"grant": ("{c} get {x} of annual leave", "annual leave for {c} is {x}", "{c} are entitled to {x} of annual leave")},
                          ("how many days of annual leave do I get?", "what is my annual leave?", "how much leave do I have in a year?")),
        "carry over": Wording({"grant": ("{c} may carry {x} of leave over into the next year", "for {c}, {x} of unused leave move to the next year")},
                              ("how many unused days can I take into next year?", "I will not use up all my leave; how much can I carry over?")),
        "parental": Wording({"grant": ("{c} get {x} of paid parental leave", "paid parental leave for {c} lasts {x}")},
                            ("we are expecting a baby; how long is my paid parental leave?", "how many weeks of parental leave are paid in my case?")),
        "unpaid": Wording({"grant": ("{c} may take {x} of unpaid leave", "unpaid leave for {c} is limited to {x}")},
                          ("how long an unpaid leave could I take?", "I want to travel without pay; for how long may I go?")),
        "bereavement": Wording({"grant": ("{x} of paid leave are given on the death of {c}", "on the death of {c}, staff may stay away for {x}")},
                               ("how many days may I stay away?", "how much paid leave is there for this?")),
        "request": Wording({"yes": ("leave is granted if requested {c}", "leave requested {c} is granted"), "no": ("leave requested {c} is refused",)},
                           ("can I still take the leave?", "will my request be granted?", "is that early enough?")),
        "sick pay": Wording({"grant": ("{c} get full pay for {x} of illness", "when ill, {c} are paid in full for {x}")},
                            ("I face a long illness; for how long do I get full pay?", "how long will my pay go on if I stay ill?")),
        "sick note": Wording({"yes": ("a doctor's note is needed for absences {c}", "absences {c} need a doctor's note"),
                              "no": ("no doctor's note is needed for absences {c}", "absences {c} need no doctor's note")},
                             ("do I need a doctor's note?", "must I bring a note from my doctor?")),
        "child care": Wording({"grant": ("{c} get {x} a year to look after a sick child", "{c} may stay at home for {x} with a sick child")},
                              ("how many days can I stay at home when my child is ill?", "how much time off is there for a sick child?")),
        "overtime": Wording({"grant": ("overtime {c} is paid with an extra {x}", "the supplement for overtime {c} is {x}")},
                            ("what extra do I get for that?", "which supplement applies to my overtime?")),
        "bonus": Wording({"yes": ("{c} receive the yearly bonus", "the yearly bonus is paid to {c}"),
                          "no": ("{c} do not receive the yearly bonus", "no yearly bonus is paid to {c}")},
                         ("will I get the yearly bonus?", "do I have a right to the bonus?")),
        "pension": Wording({"grant": ("the company adds {x} to the pension of {c}", "for {c} the pension contribution is {x} of pay")},
                           ("how much does the company pay into my pension?", "what share of pay goes into my pension?")),
        "meals": Wording({"grant": ("{c} get {x} per shift for meals", "the meal allowance for {c} is {x} per shift")},
                         ("what do I get for meals?", "how high is my meal allowance?")),
        "remote": Wording({"yes": ("{c} may work from home", "working from home is open to {c}"),
                           "no": ("{c} may not work from home", "working from home is not open to {c}")},
                          ("may I work from home on Fridays?", "can I do some of my work from home?")),
        "flexible": Wording({"yes": ("{c} may choose when they start work", "starting times are free for {c}"),
                             "no": ("{c} may not choose when they start work", "starting times are fixed for {c}")},
                            ("can I choose when I start work?", "may I start an hour later than planned?")),
        "breaks": Wording({"grant": ("{c} have {x} of paid break", "the paid break of {c} lasts {x}")},
                          ("how long is my paid break?", "how much of my break is paid?")),
        "per diem": Wording({"grant": ("the daily allowance {c} is {x}", "staff receive {x} a day {c}")},
                            ("what is my daily allowance?", "how much do I get for each day?")),
        "purchases": Wording({"yes": ("purchases {c} need approval", "approval is needed for purchases {c}"),
                              "no": ("purchases {c} need no approval", "no approval is needed for purchases {c}")},
                             ("do I need approval?", "must somebody approve this first?")),
        "equipment": Wording({"grant": ("{c} may spend {x} on equipment", "the equipment budget of {c} is {x}")},
                             ("how much may I spend on equipment?", "I need a screen and a chair; what is my budget?")),
        "relocation": Wording({"grant": ("{c} get {x} towards moving costs", "moving costs of {c} are paid up to {x}")},
                              ("how much of my moving costs do you pay?", "what will I get for the move?")),
        "course cost": Wording({"grant": ("the company pays {x} of the cost of courses {c}", "for courses {c}, {x} of the fee is paid")},
                               ("how much of the fee do you pay?", "which share of the cost will I get back?")),
        "study days": Wording({"grant": ("{c} get {x} a year for training", "training time for {c} is {x} a year")},
                              ("how many days a year can I spend on training?", "how much training time do I have?")),
        "notice": Wording({"grant": ("the notice period of {c} is {x}", "{c} must give {x} of notice")},
                          ("I want to resign; what is my notice period?", "how long before I leave must I give notice?")),
        "severance": Wording({"grant": ("a payment of {x} of salary is due {c}", "{c}, a payment of {x} of salary is due")},
                             ("what payment can I expect?", "how many weeks of salary am I paid?")),
    },
    names=("Anna", "Victor", "Priya", "Mehmet", "Clara", "Joel", "Ines", "Pavel"),
    asides=(
        "", "", "", "my manager did not know", "I could not find it in the handbook", "I work in purchasing", "I hope you can help",
        "I need this for my planning", "I hope this is the right place to ask", "it is not urgent", "I am from the Harrow plant",
    ),
    questions=("{fact} {ask}", "{fact} {aside} {ask}", "{ask} {fact}", "{aside} {fact} {ask}", "{ask} {fact} {other}", "{fact} {other} {ask}", "{other} {fact} {ask}"),
    layouts=(
        Layout("", "{n} {clause}", "Question: {q}"), Layout("Staff handbook, part {part}", "{n} {clause}", "{q}"),
        Layout("", "({n}) {clause}", "Employee: {q}"), Layout("From our policy:", "- {n}: {clause}", "{name} asks: {q}"),
    ),
)  # fmt: skip
