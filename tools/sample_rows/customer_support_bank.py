# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Customers' messages for the support rows. Held-out rows use only `HELD_OUT`: other words, articles, names and openings.

Slots: {item} the article of the message, {extra} another one, {order} its number, {day} a weekday.
"""

from __future__ import annotations

from dataclasses import dataclass

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Bank:
    situations: dict[str, Phrases]
    """What happened, without a wish; the wishes that fit each kind stand in the generator."""
    asks: dict[str, Phrases]
    """Label -> the one wish of a message."""
    ruled_out: dict[str, Phrases]
    """Label -> a sentence in its words which says that this is settled or not wanted."""
    slots: dict[str, Phrases]
    openers: Phrases
    closers: Phrases
    greetings: Phrases
    farewells: Phrases
    abbreviations: dict[str, str]
    """Word -> how a chat writes it."""


TRAIN = Bank(
    situations={
        "broken": (
            "the {item} from order {order} came with a crack", "my {item} stopped working after two days", "I opened the parcel and the {item} was broken",
            "the {item} I bought last month has a loose part", "one side of the {item} came off on the first day",
            "I paid for express delivery of a {item} and it arrived damaged", "the box with the {item} was wet and what was inside had suffered",
        ),
        "wrong": (
            "I ordered a {item} and got a {extra}", "you sent me somebody else's order", "order {order} came today with the wrong article",
        ),
        "missing": (
            "one part of order {order} was not in the box", "the parcel came, but the {item} is missing from it", "my delivery {order} was not complete",
        ),
        "unsuitable": (
            "the {item} is not what I expected from the photos", "the {item} is the wrong size for us", "my sister gave me the {item} but I already have one",
            "the {item} does not match the rest of my things", "I tried the {item} once and it is not for me",
        ),
        "waiting": (
            "on {day} I ordered a {item}", "my order {order} was paid a week ago", "I am writing about order {order}, the {item}",
            "the {item} was promised for {day} and is late", "I got a mail that my {item} will be delayed", "my order {order} still says in preparation",
        ),
        "sent back": (
            "I returned the {item} on {day}", "you have had my {item} back for some time", "the courier picked up the {item} that I did not want",
            "order {order} went back to you unopened", "your mail said that my return of the {item} was accepted",
        ),
        "charged": (
            "this morning I saw your name on my card statement", "my bank shows a payment to your shop on {day}", "the statement of this month has just come",
            "there is a debit from your shop that surprised me",
        ),
        "subscribed": (
            "I have had the coffee plan since spring", "my monthly box came on {day}", "I am a member of your club", "the trial month of my plan is nearly over",
            "I signed up for the yearly plan last summer",
        ),
    },
    asks={
        "cancel order": (
            "please stop the order before it leaves your warehouse", "I would like to cancel it", "can you take the order off your list, I no longer want it",
            "please call the whole thing off", "I have bought a {item} elsewhere, so do not send yours", "kindly cancel what I ordered",
            "is it still possible to withdraw my order?", "I changed my mind and do not want it any more", "do not ship it, we no longer need it",
            "please delete the order, my wife has bought one already",
            "cancellation please, and no shipment", "you may sell my {item} to somebody else", "there is no need for it now, the party was cancelled",
            "I take back my order, as my old {item} works again",
            "I no longer need the {item}, so the order is off", "nothing should be sent, I made a mistake when I bought it", "please void my purchase while it is still with you",
            "too late for the birthday, so I take my order back", "I want out of this one before it costs me more",
        ),
        "change order": (
            "please add a second {item} to the same order", "can you make it two instead of one?", "could you put the bigger size into the order, as nothing has left yet?",
            "I clicked on blue but want grey; can you correct the order before it leaves?", "please take the gift wrapping out of the order and send the rest",
            "can a {extra} be added to the parcel?", "I would like one fewer, the rest of the order stands", "please switch the order from standard to express",
            "the number of pieces should be four", "I forgot to put the {extra} into the basket, can it still go along?",
            "no engraving after all, everything else as ordered", "the order should say left-handed, I missed that field",
            "besides the {item} I also want a {extra} in the parcel, same bill", "quantity one was wrong, we are three people",
            "next-day delivery instead of the slow one, I pay the difference", "put black on the order rather than brown, nothing else changes",
            "remove the lid from my order but keep the rest",
        ),
        "change address": (
            "please send it to my office instead, 14 Mill Lane", "I have moved, so everything goes to 8 Harbour Road from now on", "can the next parcel go to my neighbour at number 9?",
            "could you correct the street in my details, it is Elm and not Helm?", "the house number you have is wrong, please make it 27",
            "I will be at my parents' place, so let it be delivered there", "how do I tell you where I live now?", "please note my new postcode, 40212",
            "please update my delivery address, our home is in Oak Row now", "can it go to a parcel locker at the station?",
            "my flat has a new number after the renovation, 12 b",
            "new job, new place: use 70 Castle Road as my home", "the street name is misspelled on your side, mine is Birch Way",
            "for the summer all parcels go to our cottage, 2 Lake Path", "can I alter where it is dropped off? My workplace would be better",
        ),
        "track delivery": (
            "where is the parcel now?", "when will it arrive?", "has it left your warehouse?", "can you find out what the courier has done with it?",
            "please tell me on which day I should be at home to receive it", "is it still on its way or lost?", "do you have a number with which I can follow the parcel?",
            "how much longer will it take?",
            "any news of the delivery date?", "the courier says he came by twice, so where has it gone?", "the page only says shipped, how near is that?",
            "is there a map that shows where the van is?", "the carrier has been silent since the weekend, what is up with it?", "today or tomorrow, when does it come?",
            "give me a date on which it is here", "why is it taking so long?",
        ),
        "refund": (
            "I would like my money back", "please refund the price of the {item}", "please pay back what it cost me", "I want a full refund",
            "could you return the amount to my card?", "all I want is to be paid back", "please give me back the $48 that I paid", "I expect you to reimburse me",
            "I want to see that sum on my account again", "not a voucher, real money back please",
            "cash back is all that I accept", "put the $30 on my card again", "I insist on a refund for this", "no goods any more, just pay me what I spent",
        ),
        "refund status": (
            "when will the money be on my account?", "how long does the refund take?", "has the refund been sent off?", "it has been two weeks, where is my money?",
            "the credit is still not on my card; is it under way?", "can you check how far the repayment has got?", "on what date did you transfer the amount?",
            "you promised to pay me back by {day}; what has become of that?",
            "was the sum sent to my old or my new account, and when?", "you said five days for the reimbursement, it is the ninth",
            "nothing from you on my bank account so far, why?", "the refund was due last week, can you see it?", "do refunds always need this long?", "is the repayment a matter of days or of weeks?",
            "did the money leave your bank?",
        ),
        "return instructions": (
            "how do I send it back?", "which label do I stick on the box to return it?", "to which place should I return it?", "do I have to pay for postage if I send it back?",
            "can your courier pick it up from my home, and what must I prepare?", "may I return it in another box than yours?", "until what day may I send it back?",
            "please explain the steps for returning it",
            "do you need the receipt in the parcel when it comes back?", "must it go by post or may I bring it along in person?",
            "where do I get a return form?", "can a return be collected at my door?", "what is the deadline for returns?", "who takes returns for you here in the village?",
            "in what packaging should it travel back?",
        ),
        "replacement": (
            "please send me a new {item} of the same kind", "please send another one", "I just need one that is whole and right", "could you ship the correct thing this week?",
            "please send what I actually paid for", "could a fresh one be put in the mail?", "I still want the {item}, so send one that is as it should be",
            "please get a proper one to me by {day}", "can I have what I ordered, without mistakes this time?",
            "get me one without faults", "let a new parcel leave today with the true contents",
            "same article, but a good one this time, please post it", "send me the thing that belongs in there", "a new {item} would make me happy",
            "could you deliver a second time, correctly?",
        ),
        "exchange": (
            "can I swap it for a larger one?", "I would like a different model for it", "please change it for one in green", "may I trade it in for the next size?",
            "could I have another colour for it?", "I would rather have the {extra} for the same price, can we swap?", "can it be exchanged for the lighter version?",
            "it should be in white, would you take mine and send that?", "I am after an exchange, wood instead of plastic", "a smaller one in its place, please",
            "I hand this in and get a narrower one, is that possible?", "swap it for the deluxe model, please, I pay the rest", "have you got the same, only longer, to trade?",
        ),
        "repair": (
            "can you mend it?", "please have it repaired under the guarantee", "where can I get it fixed?", "is there a workshop that takes care of this?",
            "I would like a technician to look at it", "could you fix mine and send it back to me?", "please put it in order, I am attached to this one",
            "can I get the spare part and somebody who puts it on?",
            "your engineer should have a look and put in a new screw", "the warranty covers repairs, who does them near me?",
            "can somebody glue or solder it?", "fix it, please, a new one would not be the same", "I bring it to you and you repair it, is that all right?",
            "how long does the repair take, and when may I bring it?",
        ),
        "login help": (
            "I cannot get into my account, can you help?", "my password is refused; what can I do?", "please unlock my account", "the site does not let me sign in; how do I get back in?",
            "I forgot which mail I signed up with, how do I log in?", "the code for signing in never comes, please send me one", "how do I set a new password?",
            "I was locked out after three attempts; please let me in again",
            "I stand in front of a closed account, what now?", "my sign-in fails on every device", "which of my two mails opens my account?",
            "logging in gives an error whatever password I use", "I need the link for a forgotten password", "no text message with the security code reaches my phone",
            "someone else's name shows when I log in, how do I reach my own account?", "my username is rejected",
        ),
        "invoice copy": (
            "could you mail me the invoice again?", "I need the bill as a PDF", "please send a copy of the invoice", "my accountant wants the receipt, where do I get it?",
            "I lost the paper with the price on it; can I have it once more?", "please issue the bill in the name of my firm and send it", "where can I download the invoice?",
            "I need something in writing that shows the tax I paid",
            "the tax office asks for last year's receipt, please email it", "the bill lacks my VAT number, may I have one with it?",
            "email the receipt to me, please", "a duplicate of my invoice is needed for the insurance", "there was no bill in the box, send one",
            "my boss needs a document that proves what I paid", "print or PDF, I just need the invoice",
        ),
        "charge query": (
            "why was my card charged twice?", "what is the $12 on my statement for?", "the amount taken is higher than the one shown; please explain", "please look into the second debit",
            "I do not recognise this payment, what is it?", "can you tell me why I pay more than last month?", "the sum that was taken is wrong, please check it", "what are these extra four dollars?",
            "you booked the same sum again, why?", "there is a fee that I cannot place", "I had a voucher for $10, yet the full price was debited, why?",
            "the price was to stay as it was, so where does the rise come from?",
            "two debits, one purchase: how can that be?", "I agreed to $20 and you charged me $26", "what did I pay this fee for?",
            "your price and my statement differ, which one is right?", "explain the charge of last week",
        ),
        "cancel subscription": (
            "please end my subscription", "I do not want it to renew next month", "how do I get out of the monthly plan?", "please stop the membership as of today",
            "take me off the plan, I hardly use it", "this month shall be my last with the plan", "I would like to leave the club", "please do not debit any further months, I am done with the plan",
            "it must not go on after the trial", "I am leaving, so close the plan",
            "cancel my plan at the end of this period", "no renewal, please, we have had enough of it", "I quit the membership", "stop my monthly deliveries for good",
            "where can I switch the subscription off?",
        ),
        "staff complaint": (
            "I want to report how rudely your colleague spoke to me", "please tell the manager that the man on the phone laughed at me", "your driver shouted at my mother, and I want that looked into",
            "the lady in the chat was insulting, and I expect an apology", "I was treated like a thief in your shop, and your boss should know", "I would like to complain about the person who hung up on me",
            "somebody should talk to your phone staff about manners", "your technician smoked in my kitchen; please deal with him",
            "two of your movers were drunk, take note of that", "the shop assistant called me names, what will you do about him?",
            "your agent promised to call back and then made fun of me",
            "the woman at the desk was rude to my son, I want to complain", "your delivery man swore at us, please tell his superior",
            "I expect an apology from your helpline agent for his tone", "this is about the behaviour of your clerk, who mocked me", "an employee of yours lied to me, have a word with her",
        ),
        "product question": (
            "how heavy is the {extra}?", "before I order another thing: can the {extra} be cleaned with water?", "is the {extra} suitable for children?", "what is the difference between the two versions of the {extra}?",
            "do you also have the {extra} in red?", "how long is the guarantee on the {extra}?", "which material is the {extra} made of?", "does the {extra} last outdoors as well?",
            "can I leave the {extra} in the rain?", "is the {extra} delivered in one piece or do I build it?", "who makes the {extra}?",
            "would the {extra} carry an adult?",
            "what size is the {extra} when set up?", "can water harm the {extra}?", "steel or plastic, what is in the {extra}?", "is the {extra} strong enough for two people?",
            "in which colours is the {extra} made?",
        ),
    },
    ruled_out={
        "cancel order": ("I do not want to cancel anything", "the order I wanted to cancel in May is long settled"),
        "change order": ("nothing has to be added to the order", "adding to my last order worked fine"),
        "change address": ("my address is still the same", "the new address I gave you last month is already in your system"),
        "track delivery": ("I do not mind when a parcel arrives", "my other parcel arrived on time, thanks"),
        "refund": ("I am not asking for my money back", "a refund is no use to me"),
        "refund status": ("the refund for an earlier order came through fine", "this is not about the refund from last year"),
        "return instructions": ("I know how to send things back", "I have printed the return label before"),
        "replacement": ("please do not send a new one", "I have no use for another one of the same"),
        "exchange": ("I do not want to swap it for a different one", "another size or colour would not help"),
        "repair": ("I do not want anything repaired", "mending it makes no sense to me"),
        "login help": ("my password works by the way", "I got back into my account in the end"),
        "invoice copy": ("I have the invoice", "the bill you mailed me is all right"),
        "charge query": ("the double charge from last month has been explained", "the amount on my card is correct"),
        "cancel subscription": ("my subscription can go on as it is", "I have no wish to leave the club"),
        "staff complaint": ("your colleague on the phone was very kind", "I have nothing against your driver, he was polite"),
        "product question": ("what the {extra} can do I have read on your site", "I know all about the material, thanks"),
    },
    slots={
        "item": ("kettle", "desk lamp", "rain jacket", "backpack", "coffee grinder", "blender", "tent", "desk chair", "clock", "bread knife"),
        "extra": ("folding table", "tool box", "picnic basket", "garden bench", "step ladder"),
        "day": ("Monday", "Tuesday", "Thursday", "Friday"),
    },
    openers=(
        "", "", "", "", "I have been a customer for ten years", "I tried to call but nobody answered", "sorry for writing twice", "I could not find this on your site",
        "my husband told me to write to you", "this is the first time that I write to a shop",
    ),
    closers=("", "", "", "", "thanks for your help", "please answer by mail", "I am at work until five", "I hope that is possible", "have a nice day"),
    greetings=("Dear customer service,", "Dear Sir or Madam,", "Good morning,", "Hello team,"),
    farewells=("Kind regards, Ruth Aldham", "Yours sincerely, T. Bekker", "Best wishes, Mona", "Many thanks, Igor Salt"),
    abbreviations={"please": "pls", "you": "u", "your": "ur", "and": "&", "because": "cause", "would": "wd", "before": "b4"},
)  # fmt: skip

HELD_OUT = Bank(
    situations={
        "broken": (
            "unpacked the {item} this morning only to find it scratched all over", "the {item} gave up after one week", "there's a piece snapped off the {item}",
            "the {item} you shipped on {day} has a fault", "something rattles inside my {item}", "the {item} fell apart in my hands",
        ),
        "wrong": (
            "there's a {extra} in the package where a {item} should be", "whoever packed {order} mixed it up with another customer's",
            "this {extra} isn't at all what I'd bought",
        ),
        "missing": (
            "the package had a hole and no {item}", "number {order} turned up incomplete, minus the {item}", "everything's here but the {item}",
        ),
        "unsuitable": (
            "the {item} looks nothing like the picture", "I'm afraid the {item} won't do for our house", "the {item} turned out not to fit", "the {item} was a present that missed the mark",
        ),
        "waiting": (
            "{order} was placed over the weekend", "I bought a {item} from you on {day}", "the {item} I picked hasn't turned up", "you told us {day} for the {item}, then a week later",
            "I've a {item} on order with you",
        ),
        "sent back": (
            "the {item} has been in your hands since {day}", "I dropped the {item} off at the post office for you", "{order} was refused at the door and travelled home to you",
            "you confirmed that the {item} reached your depot",
        ),
        "charged": (
            "I was going through my bank app", "your shop pops up in my spending for {day}", "just had my credit card summary", "you debited me on {day}",
        ),
        "subscribed": (
            "I've been getting the tea box for half a year", "we're on your family tariff", "I joined your premium scheme in January", "my free weeks of premium run out on {day}",
        ),
    },
    asks={
        "cancel order": (
            "scrap the order, would you?", "I won't be needing the {item} after all; don't bother dispatching it", "let's forget about this purchase", "pull it from the queue before the van is loaded",
            "count me out, I've found one in town", "there's no point in posting it now, the birthday's over", "undo my purchase if it isn't too late", "can this order be cancelled at such short notice?",
            "can I still cancel the {item}?", "stop that order for me, would you?",
        ),
        "change order": (
            "bump the quantity up to three, would you?", "I picked the wrong shade at checkout, make it charcoal while it's with you", "throw in a {extra} as well and bill me for the lot",
            "drop the cable from my basket but leave everything else", "upgrade me to next-day shipping on that one", "I meant medium when I picked small, alter that before packing",
            "leave out the gift card, otherwise go ahead as planned",
            "add one more to my order, would you?", "amend the order so that it reads linen, not velvet",
        ),
        "change address": (
            "reroute it to my workplace, would you? It's 3 Quay Street", "we've got a new flat, so scratch the old street from your files", "there's a typo in where I live: Oak, not Oat",
            "whatever you send next, drop it at my sister's, 61 Vine Court", "put 5 Canal View on my profile, that's my home as of {day}", "anything for me goes to the cottage until August",
            "how can I have the delivery address updated?",
            "my new address is 3 Hill Place, use it for the parcel",
        ),
        "track delivery": (
            "any idea what's keeping it?", "what are its whereabouts?", "did the van even set off?", "when can I count on the doorbell ringing?",
            "the tracking map hasn't moved since {day}, where's it stuck?", "should I stay in today or go out?", "give me a rough delivery date, will you?", "has the carrier lost it?",
            "where's my parcel hiding?", "when does the delivery get here?",
        ),
        "refund": (
            "just credit my card and we're even", "I'd sooner have the cash in my pocket again", "reverse the payment, would you?", "I want every cent I spent on the {item}",
            "a refund is what I'm after", "kindly reimburse the full price", "put the sum on my bank account again, that's all", "I think I'm owed the purchase price",
            "pay me back, please", "I'd like my money, all of it, returned to the card",
        ),
        "refund status": (
            "still nothing on my bank statement, what's the hold-up?", "any news on the cash you owe me?", "shouldn't the credit have shown up by now?", "by which date can I expect the refund?",
            "did someone forget to press the button for my payout?", "how many more working days before I'm repaid?", "where does my reimbursement stand?",
            "how long till the refund gets to my account?", "where's my money, have you transferred it yet?",
        ),
        "return instructions": (
            "what's the procedure for shipping it to you?", "do you collect it or should I queue at the post office?", "who covers the cost if it travels in the other direction?",
            "is there a form to put in the box when it goes back?", "can I hand it in at your store in town?", "how many days do I have before it's too late to bring it in?", "what address does a return go to?",
            "how would I return it?", "what label goes on for a return?",
        ),
        "replacement": (
            "pop a new one in the post, would you?", "I still need a {item}, get me a decent one", "send out the article I really paid for", "ship it again, this time checked before packing",
            "I'd be happy with an intact one by {day}", "make good on the order and supply what I should've got", "a second try with the very same article would be fine",
            "send me another, please", "I want the correct {item}, please ship that one",
        ),
        "exchange": (
            "got it in other sizes? I'd give this one for it", "I'd prefer a beige one, can we do a straight switch?", "any chance of trading up to the deluxe edition if I hand this in?",
            "let me have a narrower one for it", "what I'd love is to trade it for a {extra}", "one of another make in its place would be perfect", "is an exchange for the plain model possible?",
            "swap it for a bigger one, would you?",
        ),
        "repair": (
            "could someone patch it up?", "is this something your service desk can glue?", "I'd like it repaired rather than thrown away", "book me in with an engineer, would you?",
            "who does the fixing while it's under warranty?", "tell me where to bring it so that it's made to work again", "fix what I have and I'm happy",
            "could you repair it for me?",
        ),
        "login help": (
            "the page says wrong credentials whatever I type, get me in", "how do I reset a forgotten password?", "my account is blocked, open it up for me", "the verification text doesn't show up on my phone, so I'm stuck at the door",
            "it throws me out each time I enter my details, any trick?", "I've a new phone number and can't pass the security step", "what's my username? I can't recall it",
            "I can't log into my account, help", "my password won't work any more",
        ),
        "invoice copy": (
            "mind sending the paperwork for my tax return?", "my boss won't pay me without a proof of purchase, email it over", "I binned the bill by mistake, a duplicate would be great",
            "where do I find a breakdown of what I paid?", "I'd need a document with VAT number and total", "forward the receipt to my bookkeeper, would you?", "print the invoice out for me one more time, will you?",
            "email me the invoice, please", "a copy of the receipt would do",
        ),
        "charge query": (
            "there are two identical debits, how come?", "somebody took $30 off my card under your name, what for?", "the total doesn't add up with what the site quoted, who got it wrong?", "walk me through this $7 fee",
            "why has the price per month jumped?", "I never agreed to such a sum, look into it", "I make it $59, you charged $66; what's the rest?",
            "why did you charge my card two times?", "explain this payment, please",
        ),
        "cancel subscription": (
            "cancel my membership, I'm out", "I'd like this to be the final month", "turn off the auto-renewal, would you?", "it was fun, but the plan ends here", "end the subscription, we've got more than we can use",
            "where's the button to quit?", "I won't be continuing, so end it at the next date",
            "I want to stop the monthly plan", "don't renew my subscription, please",
        ),
        "staff complaint": (
            "the chap at your helpline called me stupid, and his superior should hear about it", "I'm writing about the conduct of your delivery man, who kicked the gate", "the woman at the till rolled her eyes at my son, that isn't on",
            "somebody ought to have a word with the agent who swore at me", "I demand an apology from the fellow who mocked my accent", "your clerk ignored me for half an hour while chatting; take it up with her",
            "the way your fitter talked to my wife was a disgrace, I'm lodging this formally",
            "I'd like to complain about a colleague of yours who was rude",
        ),
        "product question": (
            "how many kilos can the {extra} take?", "is the {extra} waterproof?", "what are the measurements of the {extra}?", "does assembling the {extra} call for two people?",
            "for a damp cellar, is the {extra} better in steel or in oak?", "is the {extra} sold in white too?", "can the {extra} be stacked?",
            "is the {extra} solid pine or mere veneer?", "could a toddler pinch a finger in the {extra}?",
        ),
    },
    ruled_out={
        "cancel order": ("cancelling the order is out of the question", "the purchase I withdrew in March was handled well"),
        "change order": ("leave the quantity in my order alone", "last time you altered my order in no time"),
        "change address": ("we haven't moved, the address stands", "the street on the label was spot on"),
        "track delivery": ("I'm in no hurry as to delivery", "tracking the parcel was a breeze"),
        "refund": ("a refund isn't what I'm after", "you can keep the money"),
        "refund status": ("the refund due from March reached my bank", "the earlier repayment has been credited"),
        "return instructions": ("how to return things I know by heart", "I've sent stuff back before and need no label"),
        "replacement": ("a new one would only gather dust", "don't post me another one"),
        "exchange": ("swapping it for a different size or colour isn't an option", "I wouldn't switch to other models"),
        "repair": ("having it repaired isn't worth it", "I've no time for technicians and workshops"),
        "login help": ("logging in is no trouble nowadays", "resetting my password went smoothly"),
        "invoice copy": ("the invoice is in my folder", "the receipt has reached my bookkeeper"),
        "charge query": ("the payment on my statement adds up", "the double debit in June has been cleared up"),
        "cancel subscription": ("the subscription suits us", "no plans to leave the club, mind"),
        "staff complaint": ("the man on your phone line was a gem", "hats off to your driver, such a polite lady"),
        "product question": ("what the {extra} is made of I've looked up", "size and weight are clear to me"),
    },
    slots={
        "item": ("toaster", "rug", "keyboard", "suitcase", "mirror", "hand mixer", "garden hose", "razor", "floor fan"),
        "extra": ("shelf unit", "storage trunk", "camping stool", "serving trolley", "plant stand"),
        "day": ("Wednesday", "Saturday", "the 3rd", "the 19th"),
    },
    openers=(
        "", "", "", "", "quick one", "me again", "not sure I'm in the right place", "the chatbot got me nowhere", "we're normally happy with you", "my flatmate says you're quick to reply",
    ),
    closers=("", "", "", "", "cheers", "much appreciated", "text me if that's easier", "we leave on holiday soon", "looking forward to hearing from you"),
    greetings=("To whom it may concern,", "Good evening,", "Hi folks,", "Dear shop,"),
    farewells=("With gratitude, Edda Lunt", "Respectfully, P. Oyelaran", "All the best, Jonah", "Sincerely yours, Carmen Vidal"),
    abbreviations={"are": "r", "with": "w/", "have": "hv", "people": "ppl", "about": "abt", "something": "sth", "today": "2day"},
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
