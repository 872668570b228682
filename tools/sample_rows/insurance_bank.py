# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases of the claim notes for training; those held out stand in insurance_held_out.py.

Slots: {who} the customer, {he}, {him}, {his} the pronouns; {paper} what proves this kind of loss; {span} from the loss to the day we
heard of it, {sum} what is claimed, both of a size that matters.
"""

from __future__ import annotations

from dataclasses import dataclass

Phrases = tuple[str, ...]


NOTHING_TO_SEE = ("seen", "unseen")
NO_VISIT = ("large", *NOTHING_TO_SEE)


@dataclass(frozen=True)
class Kind:
    """One kind of loss and the facts that only it has."""

    losses: Phrases
    papers: Phrases
    covered: Phrases
    excluded: Phrases
    doubtful: Phrases
    agrees: Phrases
    contradicted: Phrases
    never: Phrases = ()
    """States that make no sense here: a stolen bag is not to be seen on the spot."""


@dataclass(frozen=True)
class Bank:
    customers: tuple[tuple[str, str], ...]
    """(name, pronoun)."""
    kinds: tuple[Kind, ...]
    facts: dict[str, Phrases]
    """Facts that any kind of loss can have; the states of `STATES` in insurance.py."""
    spans: dict[str, Phrases]
    """`soon` and `late`, which share the frames of `notice`."""
    sums: Phrases
    """Spellings; {n} the number."""
    openers: Phrases
    asides: Phrases
    joints: Phrases
    abbreviations: dict[str, str]


TRAIN = Bank(
    customers=(
        ("Mr Okafor", "he"), ("Mr Brandt", "he"), ("Mr Petrescu", "he"), ("Mr Holloway", "he"), ("Mr Singh", "he"), ("the tenant", "he"),
        ("Ms Lindqvist", "she"), ("Ms Duarte", "she"), ("Ms Farrow", "she"), ("Ms Novak", "she"), ("Mrs Abbott", "she"), ("our customer", "she"),
    ),
    kinds=(
        Kind(
            losses=("the hose of {who}'s washing machine came off and the kitchen floor is under water", "{who}: a pipe behind the sink burst at night, parquet swollen", "water from {who}'s dishwasher ran through the floor"),
            papers=("plumber's bill", "floor layer's quote"),
            covered=("the plumber says that it was no slow leak, the hose tore all at once", "the hose was new and fitted by a firm, so nothing is ruled out", "slow leaks are not insured, but this one came within a minute"),
            excluded=("the plumber found that it had dripped for years, and slow leaks are not insured", "{he} had joined the pipe himself with tape, and the terms rule out such work", "the water came from rain on the balcony, which this policy leaves out"),
            doubtful=("{he} runs a catering firm from this kitchen, it is open whether a home policy answers for that", "the flat stood empty for weeks, and we do not know how long this tariff allows", "was it the mains or the drain? Only one of them is insured"),
            agrees=("the neighbour below saw it drip that very night", "the water meter jumped that night, just as {he} says"),
            contradicted=("{he} says that {he} mopped all night, but a stamp shows that {he} was abroad", "the meter shows no loss of water at all on that day"),
        ),
        Kind(
            losses=("{who}'s e-bike is gone from the cellar", "somebody took {who}'s racing bike outside the gym", "cargo bike of {who} stolen at the station"),
            papers=("police report", "purchase receipt"),
            covered=("the cellar was shut and the door was forced", "it stood there with two good locks, as the terms want", "unlocked bikes are not insured, but this one was chained to a post"),
            excluded=("it was not locked, as {he} admits, and unlocked bikes are not insured", "it was taken while lent out for money, which the terms rule out", "the thief is {his} own brother who lives there, and thefts inside the household are excluded"),
            doubtful=("it was locked, though not to a post; if that is enough has to be looked up", "the bike is {his} employer's, so whether our policy applies is an open question"),
            agrees=("the receipt is three years old and shows the frame number", "a camera shows two strangers who cut the lock"),
            contradicted=("the receipt is dated two days after the theft", "the same bike has been for sale online under {his} name since"),
            never=NO_VISIT,
        ),
        Kind(
            losses=("a van scraped {who}'s parked car", "{who} reversed into a bollard, bumper and rear light broken", "{who} hit a deer on the country road"),
            papers=("garage estimate", "accident form"),
            covered=("the driver has held a licence for ten years and is named in the policy", "the breath test was clean", "track days are excluded, but this was on the way to work"),
            excluded=("it happened in a race on a closed track, which the terms rule out", "the driver had no licence, and so there is no cover", "the breath test was far above the limit, drunk driving is excluded"),
            doubtful=("the driver is not named in the policy, there may be an exception for guests", "{he} has delivered parcels with it lately, and it has to be seen whether the tariff allows that"),
            agrees=("the paint in the scratch is that of the other car", "both drivers tell the same story"),
            contradicted=("{he} speaks of a white van, the paint in the scratch is green", "{he} says Tuesday noon, but the car stood on the ramp of a garage all Tuesday"),
        ),
        Kind(
            losses=("the storm took tiles off {who}'s roof", "a gust tore down {who}'s awning", "hail smashed the greenhouse of {who}"),
            papers=("roofer's quote", "list of damage"),
            covered=("the roof was sound and only five years old", "all windows were shut, so the open window clause does not bite", "it was wind, not flood, and wind is insured"),
            excluded=("the roofer says that the battens were rotten, and wear is not insured", "a window had been left open, and rain through open windows is excluded", "it was groundwater, not wind; this policy leaves water from below out"),
            doubtful=("the shed is not on the plan, we do not know if it belongs to the insured building", "the policy asks for force 8, and nobody knows yet how strong it was"),
            agrees=("half the street has the same damage from that night", "the weather station measured force 10 in the village"),
            contradicted=("according to the weather office there was not a breath of wind that week", "the same broken tiles can be seen in a street photo of two years ago"),
        ),
        Kind(
            losses=("{who}'s phone fell down the stairs", "{who} dropped a tablet into the bath", "laptop of {who}, tea over the keyboard"),
            papers=("repair quote", "invoice for the device"),
            covered=("it was in one piece when it was insured", "an accident, not temper, so it is insured", "old cracks are excluded, but there were none"),
            excluded=("{he} threw it at the wall in anger, and intent is excluded", "the display was cracked before we insured it, and old damage is not covered", "it is one of the refurbished devices that the terms leave out"),
            doubtful=("used for the office as well, perhaps the firm's policy comes first", "does the plan cover phones only or every device? Nobody here can say"),
            agrees=("the serial number fits the policy", "{he} tells it in the form as {he} did on the phone"),
            contradicted=("last week {he} told the hotline that it was stolen, now it is broken", "the serial number is that of a phone which we replaced last year"),
            never=NO_VISIT,
        ),
        Kind(
            losses=("{who}'s flat was broken into during the holidays", "jewellery and a laptop taken from {who}'s house", "{who}'s studio was robbed, cameras gone"),
            papers=("police report", "list of what was taken"),
            covered=("the door was locked and forced with a crowbar", "nobody of the house had a hand in it", "open doors are ruled out, but this one was bolted"),
            excluded=("{he} had left the door open all day, and the terms rule that out", "it was the lodger, and theft by people who live there is not insured", "all of it stood in the yard, and things left outside are excluded"),
            doubtful=("the pieces belonged to a visitor, unclear if guests' things are included", "above a certain worth a safe is needed, and we do not know which class applies here"),
            agrees=("the glass lies inside, as it should", "older pictures show {him} with the pieces"),
            contradicted=("the window was broken from the inside, all glass lies in the garden", "the watch on {his} list was pawned in spring, by {him}"),
            never=NOTHING_TO_SEE,
        ),
        Kind(
            losses=("a pan caught fire, {who}'s kitchen is burnt", "a candle set {who}'s curtains alight", "a socket smouldered at {who}'s, the living room is full of soot"),
            papers=("fire brigade report", "electrician's statement"),
            covered=("an accident, says the fire brigade, nobody was careless", "no trade use, just a family home", "intent is excluded, but the brigade found nothing of the kind"),
            excluded=("the grown-up son lit it on purpose, and intent is excluded", "{he} ran a paint workshop there, and trade use is not insured", "fireworks indoors, which the terms rule out by name"),
            doubtful=("the flat had been let to students, open whether the tariff includes that", "it was careless, and whether this tariff covers carelessness has to be looked up"),
            agrees=("the brigade found it just as {he} describes it", "the neighbours' account fits {his}"),
            contradicted=("{he} was cooking, {he} says, yet the gas had been cut off for a month", "a neighbour saw the furniture being carried out the day before"),
        ),
        Kind(
            losses=("{who}'s suitcase did not come off the belt", "a rucksack was taken from {who} on the night train", "{who}'s bag was snatched in the old town"),
            papers=("airline's report", "boarding pass"),
            covered=("two weeks of holiday, well inside the longest trip that is insured", "the bag was on {his} shoulder all the time", "bags left alone are excluded, but {he} never let go of it"),
            excluded=("the trip lasted 90 days and the cover ends after 45", "the bag was left alone on a bench, and that is ruled out", "what was lost is cash alone, and cash is not insured"),
            doubtful=("only private trips are insured, and nobody knows if this was one", "{his} credit card has a cover of its own, it is open which one answers first"),
            agrees=("the airline confirms the loss", "what {he} lists can be seen in a photo from the packing"),
            contradicted=("the airline says that {he} checked in no luggage", "{he} claims a coat that {he} wears in a photo of the week after"),
            never=NO_VISIT,
        ),
        Kind(
            losses=("{who}'s dog knocked over a neighbour's vase", "{who}'s child kicked a ball through a shop window", "{who} spilled wine on a friend's designer sofa"),
            papers=("letter of the injured party", "dealer's valuation"),
            covered=("it belongs to somebody else, as a liability policy wants", "no contract and no rent between the two, so no exclusion", "one's own things are excluded, but this was not {his} own"),
            excluded=("the thing was {his} own, and liability does not answer for one's own things", "{he} did it on purpose after a quarrel, and intent is excluded", "borrowed for money, and hired things are left out"),
            doubtful=("a sitter was in charge that day, open whether she counts as insured", "both live in one household, perhaps, which would change all; not known"),
            agrees=("the neighbour gives the same account", "two guests saw it happen"),
            contradicted=("the other side knows nothing of any such thing", "the shop sold that piece only a day after it is said to have broken"),
            never=NOTHING_TO_SEE,
        ),
    ),
    facts={
        "in force": ("premium paid up to December", "the premium came in on time", "the policy has run without a break for years", "a reminder went out in spring and was settled a week before the loss",
                     "cover began three weeks before it happened", "there is a payment plan and all instalments are in", "one debit bounced, but the money came well before the loss", "{he} has cancelled, but only as of next year, so cover still ran",
                     "nothing owed on the account", "renewed in January, last invoice settled",
                     "it was unclear if the extra module was added, our copy shows that it was", "the new address was not known to the system, but {he} had sent it in time"),
        "ended": ("premium unpaid since January, cover had stopped after the second reminder", "the contract ended the week before it happened", "cover began three days after the event", "cancelled as of 31 March, and the loss is from April",
                  "the policy was taken out the day after", "no premium for a year, so we had closed the contract before", "{he} was insured with us until last summer, this is from last week", "the reminder ran out without a payment, and with it the cover; the loss came later",
                  "{he} had left us for another insurer before it happened", "the debit bounced twice and the money never came, so there was no cover on the day"),
        "open": ("the premium arrived on the day of the loss, nobody can say whether before or after", "two policies could answer for this, which of them is not known", "I cannot see in the system if the extra module was ever added",
                 "{he} moved, and we do not know whether the new address got on to the policy", "an old tariff, somebody must read whether it includes this at all", "it is unclear who in the household is insured",
                 "our own records give two start dates, one before the loss and one after it", "the legal team has to say whether this falls under section 4"),
        "notice": ("reported {span}", "we heard of it {span}", "{he} called us {span}", "the form reached us {span}", "first notice to us: {span}", "{he} wrote in {span}", "{span} {he} told the branch about it", "entered in our system {span}"),
        "complete": ("{paper} and photos are in the file", "the {paper} was lacking at first and arrived on Monday", "all papers here, {paper} too", "we asked for the {paper} and it came by return", "nothing is lacking in the file",
                     "the first scan of the {paper} was black, the new one is fine", "{he} has sent everything on the list", "the {paper} came with the form", "photos plus {paper} attached", "{he} had forgotten the {paper}, it is here by now"),
        "missing": ("the {paper} is still to come", "no {paper} so far", "{he} promised the {paper} for next week", "photos are here, the {paper} is not", "the scan of the {paper} is black and nobody can read it", "page two of the {paper} is lacking",
                    "{he} sent the same photo twice and no {paper}", "we have a phone call and nothing else on paper", "{he} forgot to enclose the {paper}", "{he} is waiting for the {paper} {him}self", "reminded of the {paper} last week, in vain", "half of the {paper} cannot be read"),
        "agrees": ("the photos were taken on the day itself", "{he} has told it the same way three times", "at first two dates did not fit, a typing error of ours, put right since", "the witness says the same", "the traces match what {he} describes",
                   "the bill looked forged, but the firm confirms it", "it smelled of a second claim for one loss, the older one was for something else"),
        "contradicted": ("the photos were taken a month before the loss", "each time {he} calls the story is a different one", "the same photos came with a claim two years ago", "the witness was not even in town that day", "the traces cannot come from what {he} describes", "the bill is a forgery, the firm does not exist",
                         "{he} claims the same loss from two insurers", "the firm on the bill says that it never worked for {him}", "the numbers on the receipt have been altered", "{he} told the branch one thing and the police another",
                         "the date on the receipt is later than the loss", "a colleague found {his} photos on the internet", "{he} asked for this very cover one day and had the loss the next, and the witness says it was staged"),
        "sum": ("{sum} in all", "the bill comes to {sum}", "{he} claims {sum}", "repair would be {sum}", "it is about {sum}", "estimate {sum}", "damage put at {sum}", "{he} wants {sum}"),
        "seen": ("the pictures show all of it", "cause and extent are plain", "the cause was unknown at first, an expert has found it", "nothing hidden, what is broken can be seen", "it was feared that more is damaged, a tradesman has ruled that out"),
        "unseen": ("how far the damage goes cannot be told from the pictures", "nobody can say what caused it without standing in front of it", "behind the surface there may be more, somebody must have a look", "the pictures do not tell whether it can be repaired",
                   "the cause is unknown so far, it has to be looked at on the spot", "two tradesmen disagree about the extent, someone of ours should see it", "all we have of the damage is one dark picture, it may be much more",
                   "the extent of the damage is anybody's guess until it is opened up"),
    },
    spans={
        "soon": ("the same day", "the next morning", "after two days", "four days later", "a week later", "after ten days", "within 24 hours", "two weeks later"),
        "late": ("after seven weeks", "three months later", "half a year later", "after nine weeks", "80 days later", "two months afterwards", "after a whole summer", "more than a year later"),
    },
    sums=("${n}", "${n}", "{n} dollars", "$ {n}"),
    openers=("", "", "", "new in my tray:", "morning all, what do we do with this one?", "for the file:", "from the branch:", "call at 9:40.", "handover:", "could you look at this?", "my notes on this:", "second look please."),
    asides=("", "", "", "premium is $480 a year", "sum insured $60,000", "a deductible of $200 applies", "customer since 2008", "friendly on the phone", "please call back in the evening", "no earlier claims", "{he} asks how long it will take",
            "bought three months ago", "replacement value when new: $9,500", "the agent is a cousin of mine, so you decide", "{he} also wants a quote for a second policy", "it is open whether {he} wants a hire car", "we do not know {his} new phone number", "unclear where {he} spends the winter"),
    joints=(" ", " ", " ", "; ", "\n- ", ", "),
    abbreviations={"premium": "prem.", "policy": "pol.", "customer": "cust.", "please": "pls", "photos": "pics", "insured": "ins.", "before": "bef.", "without": "w/o", "received": "recd", "and": "&"},
)  # fmt: skip
