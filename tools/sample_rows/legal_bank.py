# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Clauses for the legal rows: stems, each with endings that put the risk elsewhere. Held-out rows use only `HELD_OUT`.

A stem and its endings share their words, so who bears what decides the label, not a word. Slots: {P} the party that
pays, {S} the party that supplies, and the time spans and sums of the bank's `slots`, whose size matters: see README.
"""

from __future__ import annotations

from dataclasses import dataclass

U, N, C, L, X, A = "uncapped exposure", "no remedy", "unilateral change", "lock-in", "loss of control", "acceptable"
Frame = tuple[str, dict[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Bank:
    parties: tuple[tuple[str, str], ...]
    """(the party that pays, the party that supplies)."""
    slots: dict[str, tuple[str, ...]]
    leads: tuple[str, ...]
    tails: tuple[str, ...]
    """Sentences that carry no risk, added for their words."""
    frames: tuple[Frame, ...]


TRAIN = Bank(
    parties=(("Customer", "Supplier"), ("Client", "Contractor"), ("Company", "Agency")),
    slots={
        "short": ("three days'", "five days'", "ten days'", "one week's"),
        "long": ("sixty days'", "ninety days'", "three months'"),
        "leave": ("thirty days'", "one month's", "sixty days'"),
        "window": ("six months", "nine months", "one hundred and eighty days"),
        "term": ("three years", "five years", "seven years", "forty-eight months"),
        "year": ("the last twelve months", "the preceding year", "one full year"),
        "token": ("$100", "$250", "one week's fees", "$500 in all"),
        "blink": ("two days", "three days", "one week"),
        "cause": ("the use of the software", "work done on the site", "errors in the documents", "the delivery of the goods",
                  "a breach of data protection law"),
        "goods": ("its fuel", "its packaging", "its printed matter", "all spare parts", "its cleaning products"),
        "work": ("reports, designs and software", "drawings and models", "texts, films and photographs", "code and documents"),
        "price": ("its fees", "the monthly charge", "the hourly rate", "the price of the service"),
    },
    leads=(
        "", "subject to clause 4, ", "for the avoidance of doubt, ", "unless the schedule says otherwise, ",
        "under the order signed by both parties, ", "in addition to the terms of the order, ",
    ),
    tails=(
        "", "Notices must be given in writing and reach the other party during business hours.",
        "Invoices are payable within thirty days of receipt, in the currency of the order.",
        "This clause survives the end of the agreement, whatever the reason for its end.",
        "The parties meet once a quarter to review the services and keep minutes of what was said.",
        "Headings and examples do not affect the meaning of this agreement.",
        "A waiver of a right under this clause is valid only if it is signed by the party giving it.",
        "Each party keeps the fees and data named in the schedule up to date.",
        "A limit or term stated in an earlier version of this agreement no longer has effect.",
    ),
    frames=(
        ("the {P} shall indemnify the {S} against all claims arising from {cause}", {
            U: (", whatever their amount", ", and no limit in this agreement applies to that duty",
                ", also where the {P} could not have prevented them, up to any sum a court may award"),
            A: (", up to the fees paid in {year}", ", but only where the {P} caused them, and never above the fees of {year}"),
        }),
        ("the {S} shall indemnify the {P} against all claims arising from {cause}", {
            A: (", whatever their amount", ", and no limit in this agreement applies to that duty",
                ", up to twice the fees paid in {year}"),
            N: (", but what it owes shall never be more than {token}",
                ", provided that the {P} reports the claim within {blink} and takes {token} in full settlement"),
        }),
        ("if the service does not reach the agreed level, the {P}", {
            N: (" may report it, but receives no refund and no damages",
                " has no claim except to a new attempt, at a time that suits the {S}",
                " continues to pay in full and may not claim damages"),
            A: (" receives a refund for the time lost and may claim damages up to the fees of {year}",
                " may end this agreement and recover what it has paid in advance"),
        }),
        ("the {S} may raise {price}", {
            C: (" at any time by posting new prices on its website", " on {short} notice, and the {P} must pay the new rate",
                " whenever it sees fit, and the {P} may not refuse the increase"),
            A: (" only with the signed approval of the {P}",
                " once a year on {long} notice, and the {P} may leave free of charge before the increase applies"),
            L: (" by no more than inflation, and the {P} must stay for {term} all the same",),
        }),
        ("this agreement runs for {term} and", {
            L: (" the {P} may not end it earlier for any reason",
                " then renews for as long again unless the {P} cancels {window} before the end",
                " a {P} that leaves early must pay the fees for all the remaining time"),
            A: (" the {P} may end it at any time on {leave} notice without charge",
                " then ends by itself unless both parties sign an extension"),
            C: (" the {S}, but not the {P}, may end it sooner on {short} notice and without a reason",),
        }),
        ("data that the {P} stores with the {S}", {
            X: (" may be analysed, combined and sold by the {S} for its own business",
                " may be kept by the {S} after this agreement ends and used for any purpose"),
            A: (" may be used only to perform the services and is returned at the end",
                " remains with the {P}, and the {S} deletes its copies on request"),
        }),
        ("all {work} made for the {P}", {
            X: (" belong to the {S}, which may offer them to others, rivals of the {P} included",
                " stay the property of the {S} even when the {P} has paid for them in full"),
            A: (" become the property of the {P} once they are paid for",
                " belong to the {P}, and the {S} may not offer them to others"),
        }),
        ("the total liability of the {S} under this agreement", {
            N: (" shall not exceed {token}", " is excluded, also where it was careless",
                " is limited to {token}, whatever loss the {P} suffers"),
            A: (" shall not exceed twice the fees of {year}",
                " is limited to the fees of {year}, except for fraud and injury, where no limit applies"),
        }),
        ("the total liability of the {P} under this agreement", {
            U: (" has no limit, also for indirect loss", " is not subject to any maximum, whatever loss the {S} suffers"),
            A: (" shall not exceed the fees of {year}", " is excluded for indirect loss and otherwise limited to the fees of {year}"),
        }),
        ("the {S} may suspend or withdraw the service", {
            C: (" as it chooses, without notice and without giving a reason", " on {short} notice, even if all invoices are paid"),
            A: (" only if an invoice stays unpaid for sixty days after a reminder", " only when the {P} has agreed in writing"),
        }),
        ("the {P} shall reimburse the {S} for", {
            U: (" every expense that the {S} chooses to incur, with no budget agreed beforehand",
                " all its costs in connection with {cause}, however high they turn out"),
            A: (" travel costs approved beforehand, up to $400 a month", " proven costs of {cause}, up to the fees of {year}"),
        }),
        ("for {term} the {P} shall buy {goods}", {
            L: (" from the {S} alone, even if others offer better terms",
                " in the stated amounts and pay for them whether or not it needs them"),
            A: (" from whomever it prefers, the {S} being one source among several",
                " from the {S} as it needs them, and may stop on {leave} notice"),
        }),
        ("the {S} may change the content of the services", {
            C: (" as it thinks best, and its decision is final", " from one day to the next, and the fees remain due in full"),
            A: (" after both parties have signed the change", " on {long} notice, and the {P} may then leave without charge"),
        }),
        ("the goods are supplied", {
            N: (" as they are, and the {P} bears the cost of any defect found later",
                " with no promise of quality, and complaints made after {blink} are not considered"),
            A: (" with a two-year guarantee under which the {S} repairs defects at its own cost",
                " after inspection, and the {S} bears the cost of any defect found later"),
        }),
        ("the name and logo of the {P}", {
            X: (" may be used by the {S} in any advertisement without asking", " may be lent by the {S} to its other business partners"),
            A: (" may be used by the {S} only after the {P} has approved each use", " may not be used in any advertisement"),
        }),
        ("if a third party sues because of {cause},", {
            U: (" the {P} pays the whole of the defence and any award, however high",),
            A: (" the {S} pays the whole of the defence and any award, however high",
                " each party pays half of the defence, the {P} never more than $5,000"),
            N: (" the {P} defends itself and may ask the {S} for {token} and nothing more",),
        }),
        ("late payment by the {P}", {
            U: (" makes it liable for all resulting losses of the {S}, direct and indirect, with no maximum",),
            C: (" by a single day lets the {S} rewrite the terms at once",),
            A: (" carries interest of four percent a year and has no other consequence",),
        }),
        ("disputes about quality are decided by", {
            N: (" the {S} itself, and the {P} gives up its right to go to court",
                " the {S}, and the {P} must pay whatever the outcome and may not ask for money back"),
            A: (" an independent expert, and the party found wrong pays the costs", " the courts at the seat of the {P}"),
        }),
        ("the {P} may move to another provider", {
            L: (" only after {term}, and must then pay a leaving charge equal to the fees of {year}",
                " only if it first pays the {S} for the rest of the {term} agreed"),
            A: (" at the end of any month, and the {S} helps with the move free of charge", " on {leave} notice and owes nothing more"),
        }),
        ("when this agreement ends, the {S}", {
            X: (" keeps the records of the {P} and may license them to others", " may go on using the records of the {P} to build its own products"),
            L: (" releases the {P} only against payment of the fees of {year}",),
            A: (" returns the records of the {P} and destroys its copies",),
        }),
        ("the standard terms of the {S}", {
            C: (" form part of this agreement in the version that the {S} publishes from time to time, effective at once",),
            A: (" do not apply, and only terms signed by both parties count",),
        }),
        ("know-how that the {P} shares during the work", {
            X: (" may be used freely by the {S} for other customers", " becomes part of the knowledge of the {S}, which may sell it on"),
            A: (" stays secret for five years and may be used for this work alone",),
        }),
    ),
)  # fmt: skip

KINDRED: tuple[Frame, ...] = (
    ("the {P} keeps the {S} free from claims over {cause}", {
        U: (" and pays the full amount, as no ceiling applies", ", however many and however large they are"),
        A: (" if the {P} was at fault, with a ceiling of the fees of {year}",),
    }),
    ("faults that come to light after delivery", {
        N: (" are no concern of the {S}, which owes neither repairs nor a refund", " must be put right by the {P}, the {S} having promised nothing"),
        A: (" are put right at the expense of the {S}", " give the {P} a right to repairs, free of charge, for two years"),
    }),
    ("what the {P} gets for its money", {
        C: (" can be altered or cut by the {S} overnight", " is decided by the {S} alone and may differ from month to month"),
        A: (" is altered only if both parties sign",),
    }),
    ("the brand and pictures of the {P}", {
        X: (" are free for the {S} to show in promotions and to hand on to partners",),
        A: (" are shown in promotions once the {P} has cleared the text", " are not for the {S} to show or hand on"),
    }),
    ("files that the {P} uploads", {
        X: (" can be exploited by the {S} for good, in any product", " may be passed on for money by the {S}"),
        A: (" are wiped when the contract is over and are never passed on",),
    }),
    ("should the {P} want to leave early,", {
        L: (" every fee for the rest of {term} falls due at once", " it owes a further year of fees"),
        A: (" it gives {leave} notice and owes no further fee",),
    }),
    ("the subscription renews", {
        L: (" for {term} at a time, with no way out in between", " for another {term} unless the {P} has objected {window} ahead"),
        A: (" for a month at a time, and the {P} is free to stop",),
    }),
    ("where the service is bad or fails,", {
        N: (" the {P} still owes the full price and recovers nothing", " the {P} can ask for {token}, and its damages end there"),
        A: (" the {P} owes nothing for that time and can walk away", " the {S} is liable for the loss up to the fees of {year}"),
    }),
    ("costs of {cause}", {
        U: (" are charged on to the {P}, without an estimate or an upper limit",),
        A: (" are borne by the {S} itself", " are charged on to the {P} up to the estimate it approved"),
    }),
    ("for overdue fees the {P} is liable", {
        U: (" and likewise for any loss whatsoever that follows from them, without an upper limit",),
        A: (" with a flat sum of $15, and that is all",),
    }),
    ("new conditions", {
        C: (" can be imposed by the {S} with {short} notice, and the {P} has no say in them",
            " bind the {P} as soon as the {S} puts them online"),
        A: (" bind the {P} if it has signed them", " come with {long} notice, and until then the {P} is free to leave"),
    }),
    ("a judge or a mediator", {
        N: (" may not be called in by the {P}, since the {S} settles every complaint as it sees fit",),
        A: (" may be called in by either party if a complaint is not settled",),
    }),
    ("rights in the {work} ordered by the {P}", {
        X: (" are kept by the {S}, which is free to resell them to competitors",),
        A: (" are transferred to the {P} with payment",),
    }),
    ("as long as the contract lasts, the {P}", {
        L: (" must buy {goods} from nobody but the {S}, for {term} at least", " must pay for a fixed volume of {goods}, needed or not"),
        A: (" may buy {goods} from anybody it likes",),
    }),
    ("the access of the {P} is switched off", {
        C: (" whenever the {S} likes, even when it is fully paid up", " with {short} notice, for reasons that the {S} need not explain"),
        A: (" if the {P} asks for that, and in no other case", " after three months without payment and two reminders"),
    }),
)  # fmt: skip
"""More train stems, in words nearer to the held-out ones; how many of them are used is legal.py's knob."""

HELD_OUT = Bank(
    parties=(("Buyer", "Vendor"), ("Subscriber", "Provider"), ("Licensee", "Licensor")),
    slots={
        "short": ("48 hours'", "four days'", "six days'", "24 hours'"),
        "long": ("four months'", "75 days'", "a hundred days'"),
        "leave": ("two weeks'", "45 days'", "four weeks'"),
        "window": ("two hundred days", "eight months", "half a year"),
        "term": ("a decade", "six years", "72 months", "four years"),
        "year": ("the past year", "the twelve months before the event", "the current contract year"),
        "token": ("a flat $50", "$300", "the price of a single day", "$75"),
        "blink": ("24 hours", "two working days", "36 hours"),
        "cause": ("operating the machine", "content placed on the platform", "an accident on the premises", "infringement of a patent",
                  "damage to the building"),
        "goods": ("electricity", "ink and toner", "raw cotton", "laboratory supplies"),
        "work": ("training material", "dashboards and scripts", "inventions and prototypes", "brochures and artwork"),
        "price": ("the fees", "the subscription fee", "the rent for the equipment", "the price per unit"),
    },
    leads=(
        "", "as agreed between the parties, ", "except as set out in annex B, ", "for the time being, ",
        "with regard to the order placed in January, ", "by way of clarification, ",
    ),
    tails=(
        "", "English law governs this contract, and its courts have jurisdiction.", "Annex A lists the contact persons on each side and their deputies.",
        "Each side keeps one original copy of the contract in its files.", "Public holidays at the place of performance are not counted.",
        "Should one provision of the contract be void, the others stand as they are.",
        "Annex C says in which currency fees are stated and how notices are sent.",
    ),
    frames=(
        ("should anyone bring a claim over {cause},", {
            U: (" it is the {P} that indemnifies the {S} for the full amount, no ceiling being agreed",
                " the {P} covers everything the {S} has to pay, be it a small sum or a ruinous one"),
            A: (" it is the {S} that indemnifies the {P} for the full amount, no ceiling being agreed",
                " the {P} covers what the {S} has to pay, but never beyond the fees of {year}"),
            N: (" the {P} bears the whole loss, and the {S} pays at most {token}",),
        }),
        ("where the service of the {S} is bad or fails,", {
            N: (" the {P} cannot recover anything from it and still owes the agreed payment",
                " it may try again if it wishes, which is all that the {P} can ask",
                " damages end at {token}, no matter how great the loss"),
            A: (" the {P} gets a refund and can hold it liable for the loss, up to the fees of {year}",
                " the {P} need not pay and can walk away from the contract"),
        }),
        ("{price} can go up", {
            C: (" as soon as the {S} says so, whether or not the {P} agrees", " with {short} notice, which the {P} has to accept",
                " as often as the {S} likes, by a mere update of its list"),
            A: (" provided that the {P} has agreed in writing", " each spring with {long} notice, the {P} being free to leave before then"),
        }),
        ("the contract lasts {term};", {
            L: (" there is no way out for the {P} until then", " a {P} that wants to leave early owes every fee that would still have come due",
                " it is prolonged by the same span if the {P} has not objected {window} before"),
            A: (" with {leave} notice the {P} can leave early and owes nothing for it", " it is not prolonged unless both parties sign again"),
            C: (" the {S} is free to stop sooner with {short} notice, a right that the {P} does not have",),
        }),
        ("data that the {P} uploads", {
            X: (" can be mined and passed on for money by the {S}", " stays on the servers of the {S} for good, to be exploited as it likes"),
            A: (" serves no purpose other than running the service, and is wiped once the contract is over",
                " is never passed on, and the {P} can take it away whenever it likes"),
        }),
        ("rights in {work} that the {P} orders", {
            X: (" rest with the {S}, free to resell them to competitors", " stay with the {S}, however much the {P} pays for them"),
            A: (" pass to the {P} together with payment", " are the {P}'s from the start, and the {S} cannot resell them"),
        }),
        ("the liability of the {S}, for whatever reason,", {
            N: (" is {token}", " is nothing at all, gross mistakes included"),
            A: (" is three times the fees of {year}", " equals the fees of {year}, with no ceiling for wilful acts"),
        }),
        ("the liability of the {P}, for whatever reason,", {
            U: (" knows no upper limit, lost profits of the {S} included", " is not limited in any way"),
            A: (" is at most the fees of {year}", " is limited to $2,000 and leaves out lost profits of the {S}"),
        }),
        ("switching the service off", {
            C: (" is up to the {S}, which need not explain itself or warn the {P}", " takes the {S} no more than {short} notice, paid-up accounts included"),
            A: (" requires the {P} to have ignored two reminders over three months", " is possible if the {P} asks for it, and not otherwise"),
        }),
        ("costs of the {S} for {cause}", {
            U: (" are charged on to the {P} without any ceiling or prior estimate", " must be refunded by the {P}, be they ten dollars or ten million"),
            A: (" are paid by the {S} out of its own pocket", " are refunded by the {P} if it approved the estimate, and up to that estimate"),
        }),
        ("{goods} for the plant", {
            L: (" must come from the {S} and nobody else for {term}, cheaper offers notwithstanding",
                " must be taken and paid for by the {P} in a fixed volume over {term}, needed or not"),
            A: (" may come from the {S} or from anybody else, as the {P} decides", " is ordered from the {S} as required, and the {P} can stop with {leave} notice"),
        }),
        ("what the service comprises", {
            C: (" can be redefined by the {S} in one night, while the price stays as it is", " can be cut back by the {S} alone, the {P} having no say in it"),
            A: (" can be altered if both parties put it in writing", " can be cut back with {long} notice, in which case the {P} is free to leave"),
        }),
        ("faults in the equipment", {
            N: (" are the {P}'s own bad luck, the {S} having promised nothing", " are repaired free of charge only if reported within {blink}"),
            A: (" are put right by the {S} for 36 months at no expense to the {P}", " are at the {S}'s expense even if noticed late"),
        }),
        ("the brand of the {P}", {
            X: (" can appear in the {S}'s promotions as the {S} pleases", " can be handed by the {S} to third parties for their promotions"),
            A: (" can appear in promotions if the {P} has cleared them first", " must be kept out of the {S}'s promotions"),
        }),
        ("once the contract is over, the {S}", {
            X: (" holds on to the {P}'s files and can make money from them", " is free to train its own products on the {P}'s files"),
            L: (" lets the {P} go only after receiving another year of fees",),
            A: (" gives the {P}'s files back and holds on to none",),
        }),
        ("if the {P} is overdue with an instalment,", {
            U: (" it is liable for any loss whatsoever of the {S}, without an upper limit",),
            C: (" the {S} can put new conditions in place that same day, with no say for the {P}",),
            A: (" a fee of $20 falls due and that is all",),
        }),
        ("a complaint of the {P}", {
            N: (" is settled by the {S} as it sees fit, and bringing it before a judge is ruled out",),
            A: (" goes to a neutral mediator, and can still be brought before a judge",),
        }),
        ("the rules that the {S} puts online", {
            C: (" bind the {P} as they read on any given day, revisions included",),
            A: (" do not bind the {P}, whose signature is needed for each revision",),
        }),
    ),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
