# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases of product managers for the marketing rows. Held-out rows use only `HELD_OUT`: other products, phrases, layouts.

Slots of a fact: {v} its value. Of a frame: {f} a fact as a noun phrase, {c} as a clause. Of a piece: {name}, {kind}, {aud}
the audience, {not_aud} another one, {goal} what readers should do, {not_goal}, {chan} where the copy runs, {not_chan}.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    named: tuple[str, ...]
    said: tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    names: tuple[str, ...]
    kinds: dict[str, str]
    """Product -> the facts that can be given of it."""
    materials: tuple[str, ...]
    cloth: tuple[str, ...]
    """Products that are made of fabrics, not of materials."""
    fabrics: tuple[str, ...]
    places: tuple[str, ...]
    facts: dict[str, Fact]
    corrections: tuple[str, ...]
    """After a number: {w} is a wrong one."""
    prices: tuple[str, ...]
    days: tuple[str, ...]
    moved: tuple[str, ...]
    """After a price or date: {w} is the one that no longer holds."""
    audiences: dict[str, tuple[str, ...]]
    goals: dict[str, tuple[str, ...]]
    channels: dict[str, tuple[str, ...]]
    intro: tuple[str, ...]
    audience: tuple[str, ...]
    other_audience: tuple[str, ...]
    say: tuple[str, ...]
    hush: tuple[str, ...]
    say_clause: tuple[str, ...]
    hush_clause: tuple[str, ...]
    goal: tuple[str, ...]
    other_goal: tuple[str, ...]
    channel: tuple[str, ...]
    other_channel: tuple[str, ...]
    loud: tuple[str, ...]
    calm: tuple[str, ...]
    chat: str
    """Between the parts of a chat message."""
    labels: tuple[dict[str, str], ...]
    """Notes: a line for every piece, {it} its facts."""


TRAIN = Bank(
    names=(
        "Ternora", "Lumivo", "Brisk One", "Halden", "Pomelo 2", "Vasko", "Quillo", "Sorrel", "Zimba", "Marnie", "Ondo", "Kiteo",
        "Rillo", "Tamsin", "Boreal 3", "Juno Mini", "Cleva", "Arbo", "Fennick", "Nuvela", "Osprey Go", "Pikko", "Tolmi", "Verano",
        "Dapple", "Hexa 5", "Lindo", "Morrow",
    ),
    kinds={
        "travel mug": "material origin weight heat", "backpack": "material origin weight room", "bike lamp": "origin weight battery water",
        "speaker": "battery weight water origin", "kettle": "material speed noise origin", "rice cooker": "speed noise origin weight",
        "rain jacket": "material origin weight", "sports watch": "battery weight water material", "desk fan": "battery weight noise origin",
        "shoulder bag": "material origin weight room", "picnic blanket": "material origin weight", "camping stove": "speed weight material",
        "digital reader": "battery weight water", "lunch box": "material heat weight", "hair dryer": "weight noise speed", "parasol": "material origin weight",
        "scooter": "battery weight origin", "headset": "battery weight origin",
    },
    materials=("recycled steel", "oak", "aluminium", "bamboo", "sea plastic", "stainless steel", "porcelain", "cast iron"),
    cloth=("backpack", "rain jacket", "shoulder bag", "picnic blanket", "parasol"),
    fabrics=("linen", "waxed cotton", "old sails", "merino wool", "hemp", "recycled polyester", "vegan leather"),
    places=("Portugal", "Norway", "Ghent", "Vermont", "Slovenia", "Kyoto", "Leeds", "Chile"),
    facts={
        "material": Fact(("the {v} in it", "{v} as the material", "our use of {v}"), ("it is made of {v}", "we build it from {v}", "{v} is what it consists of")),
        "origin": Fact(("the factory in {v}", "its origin in {v}", "the place of manufacture ({v})"), ("it is made in {v}", "every piece comes from our plant in {v}", "we produce it in {v}")),
        "weight": Fact(("the weight of {v} g", "how light it is, {v} grams", "the {v} g on the scales"), ("it weighs {v} grams", "it comes in at {v} g", "you carry {v} grams and no more")),
        "room": Fact(("the {v} litres of space", "its volume of {v} l", "the {v}-litre main compartment"), ("it takes {v} litres", "{v} litres fit in", "there is space for {v} l")),
        "heat": Fact(("the {v} hours it keeps things hot", "how long it stays warm, {v} h", "the {v} warm hours"), ("food and drink stay hot for {v} hours", "it is still warm after {v} h", "it holds the heat for {v} hours")),
        "battery": Fact(("the {v}-hour battery", "battery life, {v} h", "the {v} hours per charge"), ("the battery lasts {v} hours", "one charge is good for {v} h", "it runs {v} hours before it needs a socket")),
        "speed": Fact(("how fast it is, {v} minutes", "the {v}-minute wait", "the {v} min it needs"), ("it is done in {v} minutes", "it needs {v} min from start to finish", "{v} minutes is all it takes")),
        "water": Fact(("the {v} m of water it survives", "the seal, good to {v} metres", "the dive rating of {v} m"), ("it is watertight down to {v} metres", "you can take it {v} m deep", "water stays out to {v} metres")),
        "noise": Fact(("the low noise of {v} dB", "how quiet it is, {v} decibels", "the {v} dB reading"), ("it makes {v} dB of noise", "you hear {v} decibels at most", "it stays at a quiet {v} dB")),
        "guarantee": Fact(("the {v}-year guarantee", "the guarantee of {m} months", "the {v} years we vouch for it"), ("it is guaranteed for {v} years", "we repair it free for {v} years", "the guarantee runs {m} months")),
        "returns": Fact(("the {v} days for returns", "the chance to send it back within {v} days", "the {v}-day right to return it"), ("you get your money back within {v} days", "buyers may return it for {v} days", "it can go back to us for {v} days")),
        "delivery": Fact(("free delivery", "shipping at no cost", "the delivery at our expense"), ("we deliver it free of charge", "shipping is on us", "nobody pays postage")),
        "price": Fact(("the price of {v}", "what it costs, {v}", "the price tag of {v}"), ("it costs {v}", "we sell it at {v}", "the price is {v}")),
        "from": Fact(("the launch on {v}", "the start of sales, {v}", "the first day, {v}"), ("it is in the shops from {v}", "sales start on {v}", "nobody can have it before {v}")),
        "until": Fact(("the last day, {v}", "the closing date {v}", "the end of the offer, {v}"), ("the offer ends on {v}", "it is over after {v}", "the deal holds up to {v}")),
    },
    corrections=(" (the old sheet says {w}, wrong)", ", not {w} as on the sample", " (it was {w} in the first version)"),
    prices=("{n} dollars", "${n}", "${n}", "USD {n}"),
    days=("{month} {d}", "{d} {month}", "{month} {th}"),
    moved=(" (before: {w})", ", no longer {w}", " instead of {w}"),
    audiences={
        "students": ("people at university", "freshers in halls", "anyone cramming for exams", "undergraduates on a budget", "the lecture hall crowd", "young people in their first term"),
        "families": ("mums and dads", "parents of small children", "households with kids", "couples with a baby", "people who pack for four", "parents on the school run"),
        "commuters": ("people on the morning train", "anyone who rides to the office by bus", "daily tram riders", "people with an hour's way to work", "those who change trains twice a day"),
        "athletes": ("people in training", "marathon runners", "gym members", "ambitious cyclists", "triathletes", "club swimmers"),
        "seniors": ("people over seventy", "pensioners", "retired couples", "older people living alone", "grandparents", "the generation 65 plus"),
        "hikers": ("people who walk in the hills", "backpackers on long trails", "mountain walkers", "those who sleep in a tent", "weekend trekkers"),
        "offices": ("small firms", "staff at their desks", "teams that share a workplace", "purchasing departments", "office managers", "companies that equip their people"),
    },
    goals={
        "Order now": ("buy it straight away", "put it in the basket today", "place an order", "become buyers at once"),
        "Pre-order now": ("reserve one before it is out", "pay ahead of the launch", "secure theirs before sales begin", "order in advance"),
        "Join the list": ("leave an address for the waiting list", "sign up to be told first", "put themselves down for news of it", "register their interest"),
        "Try it free": ("test it for a week at no cost", "borrow one without paying", "ask for a free trial", "take one home on loan"),
        "Win one": ("enter the prize draw", "take part in the contest", "play for one of ten pieces", "send in an answer to the quiz"),
    },
    channels={
        "tap the link": ("our Thursday newsletter", "the mailing to customers", "an e-mail to subscribers", "the monthly customer mail"),
        "link in bio": ("Instagram", "our social feed", "a post with a photo", "the TikTok account"),
        "scan the code": ("posters at bus stops", "a flyer", "a full page in the local paper", "the billboard on the ring road"),
        "visit our site": ("a radio spot", "the ad before the podcast", "the spoken spot on local radio", "a 20-second audio ad"),
        "reply YES": ("a text message", "an SMS to members", "the SMS round", "a text to all club numbers"),
        "ask our staff": ("the shop window", "a card on the counter", "the display in our stores", "the stand next to the till"),
    },
    intro=(
        "We need copy for {name}, our {kind}", "{name} is the {kind} we talked about", "the {kind} {name} is finally here", "next campaign: {name} ({kind})",
        "can you write something for our {kind} {name}?", "copy wanted for the {kind} called {name}", "new in the range is a {kind}, name of {name}",
        "about the {kind}: it goes by the name {name}", "{name}, {kind}, please draft", "our {kind} has a name now, {name}",
    ),
    audience=("it is meant for {aud}", "we had {aud} in mind", "buyers are {aud}", "please address {aud}", "{aud} are the ones we want", "write it for {aud}", "our target: {aud}"),
    other_audience=(
        "last year we went for {not_aud}, now it is {aud}", "not for {not_aud}, this one is for {aud}", "{not_aud} have their own model, so speak to {aud}",
        "forget {not_aud}, research says {aud} want it", "{aud} first; we gave up on {not_aud}",
    ),
    say=(
        "must be in: {f}", "please mention {f}", "do not leave out {f}", "people have to hear about {f}", "we are proud of one thing above all, {f}", "no copy without {f}",
        "never forget {f}", "the client insists on {f}", "nobody may miss {f}", "they should learn of {f}", "what sells it is {f}", "be sure to bring up {f}",
    ),
    hush=(
        "not a word about {f}", "leave out {f}, legal has not cleared it", "do not mention {f}", "keep quiet about {f}", "we cannot promise {f} yet", "skip {f}",
        "{f} is not approved, so it is out", "nobody outside may hear about {f} yet", "please no {f} in print", "still a secret: {f}", "we are not sure of {f}, better without",
    ),
    say_clause=("{c}", "{c}", "{c}", "say that {c}", "key point: {c}", "tell them {c}", "and they will like this: {c}"),
    hush_clause=("do not claim that {c}", "we used to say {c}, which is no longer true", "we cannot prove that {c}, so leave it", "the lab has doubts that {c}; nothing on it"),
    goal=("readers should {goal}", "the aim is that people {goal}", "get them to {goal}", "we want them to {goal}"),
    other_goal=("they cannot {not_goal} any more, but they can {goal}", "the point is not to {not_goal}, it is to {goal}", "instead of asking them to {not_goal}, ask them to {goal}"),
    channel=("it goes out through {chan}", "this is for {chan}", "place: {chan}", "we booked {chan}", "meant for {chan}"),
    other_channel=("{not_chan} got cancelled, so it goes to {chan}", "without {not_chan} this time, only {chan}", "we had {not_chan} last time, now {chan}", "{chan}, not {not_chan}"),
    loud=("make it loud", "be excited, it is a party", "lots of energy please", "shout a little", "as lively as you can"),
    calm=("keep it calm", "no shouting please", "sober tone", "quiet and serious", "nothing too excited"),
    chat=" / ",
    labels=(
        {"intro": "Product: {name}, {kind}", "audience": "For whom: {aud}", "say": "Must say: {it}", "hush": "Must not say: {it}", "goal": "Aim: {goal}", "channel": "Runs in: {chan}", "tone": "Tone: {tone}"},
        {"intro": "{kind} {name}", "audience": "target group = {aud}", "say": "yes: {it}", "hush": "no: {it}", "goal": "they should {goal}", "channel": "channel = {chan}", "tone": "({tone})"},
        {"intro": "* {name} ({kind})", "audience": "* who: {aud}", "say": "* in: {it}", "hush": "* out: {it}", "goal": "* then: {goal}", "channel": "* medium: {chan}", "tone": "* style: {tone}"},
    ),
)  # fmt: skip

HELD_OUT = Bank(
    names=(
        "Wexo", "Palmira", "Drift 4", "Nettle", "Oxbow", "Solenne", "Grebe", "Tuva", "Mistral X", "Kobbe", "Rowan Plus", "Yarrow", "Elko",
        "Caspian", "Ibis 7", "Jolie", "Umbra", "Stroma",
    ),
    kinds={
        "thermos flask": "material origin weight heat", "duffel bag": "material origin weight room", "headlamp": "battery weight water origin",
        "pocket radio": "battery weight water origin", "milk frother": "speed noise material", "coffee grinder": "speed noise origin weight",
        "poncho": "material origin weight", "fitness band": "battery weight water", "folding stool": "material origin weight",
        "rice steamer": "speed noise weight", "soup jar": "heat material weight", "trolley": "material room origin weight", "tablet": "battery weight noise",
        "tyre pump": "battery noise speed weight",
    },
    materials=("walnut", "titanium", "beech", "brass", "enamel", "carbon fibre"),
    cloth=("duffel bag", "poncho"),
    fabrics=("reused nylon", "felt", "organic canvas", "oilcloth", "alpaca"),
    places=("Galway", "Estonia", "Piedmont", "Oregon", "Lyon", "Uruguay"),
    facts={
        "material": Fact(("the {v} construction", "our choice of {v}", "the {v} we picked"), ("there is nothing in it but {v}", "we make this one out of {v}", "{v} all round, inside and out")),
        "origin": Fact(("our workshop in {v}", "its home, {v}", "the production in {v}"), ("it is manufactured in {v}", "{v} is where it is put together", "hands in {v} assemble it")),
        "weight": Fact(("its mere {v} grams", "the {v}-gram weight", "how little it weighs ({v} g)"), ("the scale shows {v} g", "all of it together is {v} grams", "at {v} g it is a featherweight")),
        "room": Fact(("the capacity ({v} litres)", "the {v} l inside", "how much goes in: {v} litres"), ("you can stow {v} litres", "it swallows {v} l", "inside there are {v} litres")),
        "heat": Fact(("hot contents after {v} hours", "the insulation, {v} h", "warmth that lasts {v} hours"), ("tea will steam {v} hours later", "nothing cools down for {v} h", "contents are kept hot {v} hours long")),
        "battery": Fact(("{v} h of running time", "the endurance of {v} hours", "the big battery ({v} hours)"), ("fully charged it goes on for {v} h", "it plays or shines {v} hours without a cable", "you recharge after {v} hours")),
        "speed": Fact(("the short {v} minutes of work", "its speed of {v} min", "a result after {v} minutes"), ("after {v} minutes you are finished", "the job takes it {v} min", "within {v} minutes it has done its work")),
        "water": Fact(("protection to {v} metres of depth", "the {v} m water rating", "its tight housing ({v} m)"), ("it may sink to {v} m unharmed", "at {v} metres below it still works", "down at {v} m not a drop gets in")),
        "noise": Fact(("its whisper of {v} dB", "the {v} decibels", "the sound level ({v} dB)"), ("nobody wakes up from its {v} dB", "with {v} decibels it hardly disturbs", "we measured {v} dB")),
        "guarantee": Fact(("{v} years of guarantee", "our {m}-month guarantee", "the guarantee ({v} years)"), ("within {v} years we replace a broken one", "our guarantee covers {v} years", "for {m} months the guarantee pays")),
        "returns": Fact(("the return period of {v} days", "{v} days to change one's mind", "returns accepted for {v} days"), ("customers can hand it back up to {v} days later", "unhappy buyers have {v} days to return it", "we refund everything for {v} days")),
        "delivery": Fact(("delivery without a fee", "carriage paid by us", "zero shipping costs"), ("the parcel arrives at no charge", "delivery won't cost a cent", "we bear the freight")),
        "price": Fact(("the {v} it goes for", "our price, {v}", "the sum of {v}"), ("it can be had for {v}", "shoppers pay {v}", "it is yours for {v}")),
        "from": Fact(("the release date, {v}", "availability as of {v}", "the opening day ({v})"), ("we release it on {v}", "it becomes available on {v}", "shelves get filled on {v}")),
        "until": Fact(("the deadline, {v}", "the end of the promotion on {v}", "{v} as the final day"), ("the promotion stops on {v}", "this is valid through {v}", "whoever comes later than {v} is too late")),
    },
    corrections=(" ({w} in the catalogue is a typo)", " and not {w}, sorry for the mix-up", " ({w} belonged to its predecessor)"),
    prices=("{n} US dollars", "{n} bucks", "$ {n}", "{n} USD"),
    days=("the {th} of {month}", "{th} {month}", "{month} the {th}"),
    moved=(" (changed, used to be {w})", ", the earlier {w} is void", " where {w} was planned"),
    audiences={
        "students": ("anybody writing a thesis", "campus life", "folks who live in a dorm", "those still going to seminars", "college kids"),
        "families": ("a mother or father of toddlers", "homes full of children", "parents and their little ones", "people pushing a pram"),
        "commuters": ("men and women who take the underground to their job", "folks stuck in the rush hour", "season ticket holders of the railway", "anyone travelling to work and back"),
        "athletes": ("serious sportspeople", "those preparing for a race", "rowers and sprinters", "folks with a strict workout plan"),
        "seniors": ("elderly customers", "men and women past retirement age", "grandma and grandpa", "folks drawing a pension"),
        "hikers": ("lovers of rough footpaths", "folks climbing from hut to hut", "ramblers and campers", "outdoor people with muddy boots"),
        "offices": ("businesses", "employees in meeting rooms", "whoever orders supplies for a company", "colleagues around the printer"),
    },
    goals={
        "Order now": ("purchase immediately", "go to the checkout right now", "get one at once for money", "buy without delay"),
        "Pre-order now": ("commit to one although it isn't released", "order early, prior to release", "book their copy while we still produce it"),
        "Join the list": ("subscribe for an alert", "enter their name so we can notify them", "get on our list of interested people"),
        "Try it free": ("give it a go without paying anything", "do a free test run", "use a loan unit at zero charge"),
        "Win one": ("join our raffle", "compete for a free unit in the lottery", "take a chance in the competition"),
    },
    channels={
        "tap the link": ("the weekly e-mail", "inboxes of our subscribers", "a newsletter edition"),
        "link in bio": ("a reel and a story", "Insta", "our followers on social media"),
        "scan the code": ("leaflets in letter boxes", "a printed magazine ad", "large placards in the station"),
        "visit our site": ("the breakfast show on the radio", "a voice ad for streaming", "something read aloud in a podcast"),
        "reply YES": ("short texts to mobile phones", "an SMS to their phones", "text alerts"),
        "ask our staff": ("signs on our shelves", "the sales floor", "a board at the entrance of each branch"),
    },
    intro=(
        "Briefing on {name}, which is a {kind}", "Dear team, the {kind} {name} deserves an ad", "here's what I know about {name} (a {kind})", "{name}! That's our latest {kind}",
        "hi, quick one: a {kind} named {name}", "We have baptised the {kind}: {name}", "To advertise: {name} / {kind}", "let's talk {kind}, to be precise {name}",
    ),
    audience=("this should speak to {aud}", "imagine {aud} when writing", "who buys it? {aud}", "made with {aud} in mind", "customers will mostly be {aud}"),
    other_audience=(
        "sales thought of {not_aud}, but we settled on {aud}", "I'd ignore {not_aud} and go for {aud}", "{aud}, rather than {not_aud}, are who we talk to",
        "it's {aud} we are after; {not_aud} come later",
    ),
    say=(
        "include {f}", "make sure to have {f} in there", "the ad is worthless unless it names {f}", "whatever you cut, not {f}", "I can't do without {f}", "sales wants to see {f}",
        "we'd be mad not to name {f}", "always room for {f}", "required: {f}", "it stands or falls with {f}", "don't you dare drop {f}",
    ),
    hush=(
        "omit {f}", "no mention of {f}, thanks", "steer clear of {f}", "under embargo: {f}", "strike {f}, says our lawyer", "{f} isn't confirmed, so out with it", "hold back {f} for now",
        "I'd rather not read about {f}", "drop {f}", "don't even hint at {f}",
    ),
    say_clause=("{c}", "{c}", "{c}", "good to know and good to print: {c}", "write down that {c}", "our best argument? {c}"),
    hush_clause=("nobody may write that {c}", "engineering is unsure whether {c}, hence silence", "some say {c}; we don't", "it would be a lie that {c}"),
    goal=("what I'd like: folks {goal}", "make everyone {goal}", "in the end they ought to {goal}", "purpose: have customers {goal}"),
    other_goal=("it's too late to {not_goal}, let them {goal}", "we don't need anyone to {not_goal}; they ought to {goal}", "rather than {not_goal}, visitors shall {goal}"),
    channel=("we publish through {chan}", "destination is {chan}", "we decided on {chan}", "it will reach people by way of {chan}"),
    other_channel=("{chan} it is, because {not_chan} proved too dear", "I've swapped {not_chan} for {chan}", "use {chan}; we dropped {not_chan}"),
    loud=("let it burst with joy", "crank up the volume", "wild and cheerful", "go big and bold"),
    calm=("stay modest", "gentle voice, thanks", "understated, no hype", "matter-of-fact"),
    chat=" - ",
    labels=(
        {"intro": "BRIEF {name} - {kind}", "audience": "Readers: {aud}", "say": "Mandatory: {it}", "hush": "Banned: {it}", "goal": "Call for action: {goal}", "channel": "Published via {chan}", "tone": "Voice: {tone}"},
        {"intro": "what: {kind} \"{name}\"", "audience": "customer: {aud}", "say": "include -> {it}", "hush": "exclude -> {it}", "goal": "outcome: {goal}", "channel": "vehicle: {chan}", "tone": "mood: {tone}"},
    ),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
