# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Products, remarks and frames for the retail rows. Held-out rows use only `HELD_OUT`: other products, remarks, frames.

No remark names its aspect. Slots: {p} the product, {q} a product that is not reviewed, {brand}, {d} a length of time, {old} a former
product, {former} what is said of it, {remark} what is said of this one.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remarks:
    """What a buyer says who speaks of an aspect."""

    good: tuple[str, ...]
    bad: tuple[str, ...]
    sarcastic: tuple[str, ...]
    """Praise that means the opposite; whole sentences."""
    former: tuple[str, ...]
    """Of a former product; follows a subject."""


@dataclass(frozen=True)
class Bank:
    products: dict[str, tuple[str, ...]]
    """Kind of product -> products."""
    brands: tuple[str, ...]
    times: tuple[str, ...]
    aspects: dict[str, Remarks]
    openers: tuple[str, ...]
    along: tuple[str, ...]
    """Joins two remarks of one mind; each starts with the mark that ends the first."""
    against: tuple[str, ...]
    """Joins two remarks of different minds."""
    former: tuple[str, ...]
    verdicts: dict[str, tuple[str, ...]]
    again: dict[str, tuple[str, ...]]
    others: tuple[str, ...]
    """What somebody else will buy; says nothing about the buyer."""
    edits: tuple[str, ...]
    """What an update starts with."""


TRAIN = Bank(
    products={
        "cordless": ("cordless vacuum", "beard trimmer", "leaf blower", "hand mixer", "power drill", "toy robot", "desk fan", "massage gun"),
        "worn": ("rain jacket", "bike helmet", "backpack", "wool cardigan", "wetsuit", "knee brace", "winter coat", "baby carrier"),
        "gadget": ("headset", "fitness watch", "headlamp", "hearing aid", "heated vest"),
        "home": ("bookshelf", "bunk bed", "garden bench", "shoe rack", "floor lamp", "camping table", "swivel chair", "play tent"),
        "plugged": ("kettle", "blender", "dehumidifier", "sewing machine", "rice cooker", "coffee grinder", "space heater"),
    },
    brands=("Velmora", "Karrowin", "Tindrik", "Brimleigh", "Noxdale", "Fenwop"),
    times=("two weeks", "a month", "three months", "half a year", "ten days"),
    aspects={
        "price": Remarks(
            good=("I got change from a twenty", "the discount made it almost a gift", "what it costs is more than fair",
                  "I paid less for it than for a pizza dinner", "you will not find it for less anywhere", "for so little money I got plenty",
                  "it cost half of what the big brands ask", "it was a real bargain", "it is worth every cent"),
            bad=("for that sum I expected gold", "they charge double because of the name", "my whole month's budget went on it",
                 "nobody should ask that much money for it", "two weeks later it was on offer for half of what I paid", "it is far too dear for what you get",
                 "you mostly pay for the logo", "the same thing costs a third less next door", "it burned a hole in my wallet"),
            sarcastic=("Wonderful, I only had to skip rent to afford it", "What a steal, and the thief was the shop"),
            former=("cost me a fortune", "was twice as expensive", "was dirt cheap"),
        ),
        "fit": Remarks(
            good=("it is snug around the waist and never rubs", "even when I run it stays in place", "soft on the skin and just wide enough",
                  "it sits as if it had been made for me", "nothing pinches or slips, even after hours", "it hugs the body without squeezing",
                  "it adjusts until it stays exactly where it should", "I forget that I have it on", "it follows every move I make"),
            bad=("it rubs my neck sore", "one side is tighter than the other", "it flaps about whenever I move", "I cannot breathe properly in it",
                 "it pinches after ten minutes", "it keeps sliding down", "it is so tight that it leaves red marks", "it hangs on me like a sack",
                 "it digs into my skin", "I have to tug it back into place all the time"),
            sarcastic=("Fantastic, now I know how a sausage feels", "Great choice if you happen to have the build of a gorilla"),
            former=("slipped off all the time", "rubbed my skin raw", "was comfy from day one"),
        ),
        "size": Remarks(
            good=("it stands on the narrow shelf and leaves room to spare", "the measures are exactly as stated", "it folds so small that it goes under the sofa",
                  "it takes up hardly any room", "there is space left for it even in my narrow hallway", "it is compact enough for the caravan",
                  "it was no bigger than the picture promised", "it slips into the gap beside the fridge", "it is neat and small, just what my tiny flat needs"),
            bad=("it blocks the way to the window", "a giant of a thing, nobody warned me", "it is so small that it is useless for grown-ups",
                 "it takes up half the room", "it is much bigger than in the photo", "it is far too bulky for a normal cupboard",
                 "it turned out tiny, like something from a doll's house", "we had to move a wardrobe to make space for it", "it is too wide to get through the door"),
            sarcastic=("Lovely, I always wanted to climb over something on the way to bed", "Perfect, as long as you live in a castle with empty halls"),
            former=("filled the whole corner", "was as bulky as a fridge", "tucked away nicely"),
        ),
        "battery": Remarks(
            good=("after a whole weekend of use it still had power", "an hour at the socket is enough for days", "I left the cable at home for the whole trip",
                  "one charge lasts me the whole week", "charged on Sunday, it is still going on Thursday", "I plug it in once a month, if that",
                  "it runs for hours without the cable", "it is full again after a short coffee break", "it has never run dry on me"),
            bad=("I am always looking for a socket", "by noon the power is gone", "it goes red and stops in the middle of things",
                 "it is flat after twenty minutes", "it spends more time on the charger than in use", "it dies before I am half done",
                 "it loses its charge overnight", "it needs eight hours at the socket for one of use", "the last bar goes from green to dead in seconds"),
            sarcastic=("Brilliant, a wireless device that never leaves the wall", "Nice of it to give me ten whole minutes before it falls asleep"),
            former=("had to be charged twice a day", "ran out of juice in no time", "went a week per charge"),
        ),
        "packaging": Remarks(
            good=("every corner was protected with thick card", "it lay in the parcel like an egg in a nest", "easy to open, nothing to throw away",
                  "it came in a sturdy box with everything in its place", "it was wrapped so well that not a scratch got through", "no plastic at all, just neat cardboard around it",
                  "each part had its own padded bag", "the box was so pretty that I kept it", "foam on all sides, nothing could rattle on the way"),
            bad=("the carton had been taped up by a madman", "it rolled around loose in the parcel", "I filled a whole bin with the rubbish around it",
                 "it was thrown into a carton without any padding", "the box was crushed and half open", "there were three layers of plastic foil around every little part",
                 "it took scissors, a knife and a lot of swearing to get it out", "the wrapping was torn and full of holes", "a huge box full of foam chips for such a little thing"),
            sarcastic=("Many thanks for the confetti that used to be a box", "I adore cutting through nine layers of foil"),
            former=("arrived in a torn bag", "came in a squashed carton", "was wrapped like a jewel"),
        ),
        "delivery": Remarks(
            good=("the courier was quick and kind", "not even a day between click and doorstep", "they rang to agree on the hour and were on the dot",
                  "it was at my door the next morning", "it arrived two days earlier than promised", "ordered at night, unpacked the following noon",
                  "the driver even carried it up to the third floor", "I could follow the van to the minute", "it turned up right on the day they said"),
            bad=("the postman gave it to a stranger", "I had to collect it from a depot at the other end of town", "a month on the road for a trip of forty miles",
                 "it took five weeks to get here", "it was left in the rain behind the bins", "I waited at home three days for a driver who never rang",
                 "the parcel went to the wrong street first", "it came a week after the birthday it was meant for", "the tracking said tomorrow for nine days"),
            sarcastic=("Great service, it only went around the world once before it found me", "How thoughtful of the courier to hide the parcel in a puddle"),
            former=("came three weeks late", "got lost on the way", "was here within a day"),
        ),
        "instructions": Remarks(
            good=("every button is described in plain words", "the pictures show each move, so putting it to use took no time", "the letters on the parts tell you what belongs together",
                  "the booklet explains every step with clear drawings", "setting it up was easy thanks to a well written leaflet", "the quick guide had me going in five minutes",
                  "even my grandfather understood the manual", "the steps are printed so plainly that you cannot go wrong", "a short video shows exactly how to start"),
            bad=("no word about how to switch it on", "the translation is gibberish", "step two comes after step five", "we guessed for an hour how to put it to use",
                 "the manual is in six languages and none makes sense", "half of the steps are missing in the leaflet", "I had to look online to find out how to start it",
                 "the drawings show a different model", "the tiny print in the booklet is impossible to follow", "nowhere does it say what goes where"),
            sarcastic=("I love puzzles, so a leaflet without words was a treat", "Superb manual, if you happen to read ancient Martian"),
            former=("had a useless booklet", "came without any guide", "had a manual that a child could follow"),
        ),
        "smell": Remarks(
            good=("nothing at all for the nose, as it should be", "it has a pleasant note of clean cotton", "no stench, no vapour, not even when warm",
                  "it has no chemical odour at all", "I was glad that it gives off no fumes", "it came out of the box fresh as laundry",
                  "my sensitive nose found nothing to complain about", "even on the first day there was no whiff of plastic", "it stays fresh even when it gets damp"),
            bad=("it has the aroma of old socks", "my eyes water from the vapour", "I have aired it for days and the stench stays",
                 "it stinks of glue", "even after a week of airing it reeks of rubber", "it gives off a chemical odour that makes my head ache",
                 "the whole room stank of petrol after I opened it", "it has a musty whiff, like an old cellar", "my wife banned it to the balcony because of the fumes"),
            sarcastic=("Delightful, with a fine bouquet of burnt tyre", "If you miss the air of a paint shop, this is your lucky day"),
            former=("stank like a wet dog", "reeked of solvent", "gave off no odour"),
        ),
        "noise": Remarks(
            good=("we watch films while it is on", "so silent that I thought it was off", "it purrs like a kitten",
                  "you hardly hear it running", "it whispers along while the baby sleeps", "I can talk on the phone next to it",
                  "it only gives a soft hum", "it runs so quietly that I check if it is on", "not even the cat wakes up when it starts"),
            bad=("it screeches each time I switch it on", "we have to shout while it is on", "there is a loud clatter from inside", "my ears ring when I switch it off",
                 "it roars like a jet", "it makes such a racket that the dog hides", "I need ear plugs when it runs", "it whines at a pitch that goes through walls",
                 "the neighbours have already knocked because of the din", "it rattles and buzzes at every level"),
            sarcastic=("Perfect for people who have always dreamed of living at an airport", "A treat for the ears, if you like the dentist"),
            former=("howled like a siren", "was loud enough to wake the street", "ran without a sound"),
        ),
        "durability": Remarks(
            good=("the kids have thrown it about and it does not mind", "not a scratch after all this time", "it is solid and will outlive me", "it has been dropped and washed and is none the worse",
                  "it still works like on the first day", "it has survived a toddler and two moves", "nothing has come loose in daily use",
                  "it is built like a tank", "it takes rough handling without a crack", "everything still holds after a hard winter"),
            bad=("there is a crack in it already", "one knock and it was done for", "it came apart in my hands", "the seam has split",
                 "it broke in the second week", "the first part has already come off", "it cracked when I put it down", "it fell to bits after a handful of uses",
                 "the thin plastic snapped right away", "it gave up the ghost a day after the warranty"),
            sarcastic=("Impressive, it held together for a whole nine days", "I really enjoy collecting the pieces that drop off"),
            former=("fell apart within months", "broke after a week", "held for ten years"),
        ),
        "support": Remarks(
            good=("they wrote back within minutes and knew what to do", "a patient man on the phone talked me through it", "the people at the shop listened and helped",
                  "the helpline sorted out my question in one call", "a friendly lady answered my mail within the hour", "somebody rang me back and took all the time I needed",
                  "the chat people were patient and knew their stuff", "I got a reply from a human, on a Sunday", "customer service went out of its way for me"),
            bad=("I wrote to the maker five times and heard nothing", "the lady at the desk only shrugged", "an hour in the queue and then the line went dead", "their help desk has no idea and no manners",
                 "nobody answers the hotline", "my mails have gone without a reply for three weeks", "the man on the phone was rude and hung up",
                 "they only send the same standard text over and over", "I was passed from one clerk to the next", "the chat robot did not understand a single question"),
            sarcastic=("I now know the whole song of the waiting loop, thank you", "So kind of them to plan to answer my mail before I retire"),
            former=("was from a firm that never picked up the phone", "had a hotline that was a joke"),
        ),
        "looks": Remarks(
            good=("guests admire it", "it has clean, modern lines", "such a stylish thing that I leave it out on the table", "the green is wonderful",
                  "it is a real eye-catcher", "the colour is even nicer than in the photo", "everyone asks me about the elegant shape", "it goes well with everything I own",
                  "it is simply beautiful", "the surface gleams like silk"),
            bad=("the shade clashes with my whole room", "I hide it when guests come", "it is white in the advert and yellow in real life", "smudges and scratches in the paint from the start",
                 "the colour is a dull brown, not the red in the picture", "it is as ugly as a brick", "it has a tacky shine that makes me cringe",
                 "the pattern is printed crooked", "the paint has blotches all over", "my daughter calls it the ugliest thing in the house"),
            sarcastic=("Stunning, if your favourite colour is dishwater", "A real beauty, best enjoyed with your eyes closed"),
            former=("was an eyesore", "had a horrid colour", "was prettier"),
        ),
    },
    openers=(
        "Bought this {p} for my daughter.", "I have had the {brand} {p} for {d} now.", "This {p} was a present from my wife.",
        "Ordered the {p} together with a {q}.", "My second week with the {brand} {p}.", "Got the {p} for our holiday flat.", "Needed a {p} in a hurry.",
        "About the {p}:", "{brand} {p}, used nearly every day.", "After a lot of reading I went for the {p} by {brand}.", "A {p}, what can one say about a {p}.",
        "First {p} of my life.", "I wanted a {q} and ended up with this {p}.", "So this is the famous {brand} {p}.", "Tested the {p} for {d}.",
        "Since my {q} went so well I also took the {p}.", "{d} with this {p}.", "My husband brought home a {p}.", "The {p} is for my father, he is eighty.",
        "Not sure what to say about the {p}.", "I collect things by {brand}, now the {p}.", "I lost my {p} on a train, so here comes the {brand} one.", "Picked the {p} over the {q}.",
        "Saw the {p} on a friend's terrace and had to have it.", "Here is what I think of the {p}.", "We share one {p} in our house.",
    ),
    along=(". ", ", and ", "; ", ". Also, ", ". On top of that "),
    against=(", but ", ". However, ", " - though ", ". Still, "),
    former=(
        "My old {p} {former}.", "The one I had before {former}.", "I came from a {p} of another make that {former}.", "(The {p} it replaces {former}.)",
        "My sister's {p} {former}.", "Years ago I had a {p} that {former}.",
    ),
    verdicts={
        "satisfied": ("All in all I am very happy with it.", "It is a keeper.", "I am glad to have it.", "The rest is a detail, I love it.", "Five stars from me.",
                      "I would not want to be without it."),
        "mixed": ("So I cannot make up my mind.", "Three stars, no more and no less.", "Some of it good, some of it not.", "It is fifty-fifty for me.", "Neither great nor terrible.",
                  "I am torn."),
        "dissatisfied": ("I want my refund.", "I regret ordering it.", "What a disappointment.", "That ruins it for me.", "One star, and that is generous.",
                         "In the end it was a waste."),
    },
    again={
        "yes": ("I have already ordered a second one for my office.", "When this one is worn out I will get the same.", "I would pick it again any time.",
                "Next month I am getting another one for the cottage.", "I would order it once more without a thought."),
        "no": ("Next time I am going for another make.", "I will not order it again.", "I would not pick it a second time.", "My next {p} will be from somebody else.",
               "Never again for me."),
    },
    others=("My brother is thinking of getting one.", "A friend of mine would never order one.", "My neighbour has two of these.", "My boss has just bought the same.",
            "A colleague says he will not get another.", "My mother wants one too."),
    edits=("Edit: {remark}", "Update after {d}: {remark}", "EDIT: I spoke too soon. {remark}", "Edit, {d} later: {remark}", "Update: things have changed. {remark}"),
)  # fmt: skip

HELD_OUT = Bank(
    products={
        "cordless": ("hedge cutter", "milk frother", "pet clipper", "window cleaner", "screwdriver", "bike pump"),
        "worn": ("ski glove", "sun hat", "running vest", "dog harness", "motorbike suit", "back support", "waistcoat"),
        "gadget": ("sleep tracker", "bone headphone", "smart ring", "warming insole"),
        "home": ("bedside table", "laundry basket", "bar stool", "clothes rail", "toddler cot", "folding sofa", "wine rack"),
        "plugged": ("toaster", "bread maker", "hair dryer", "juicer", "paper shredder", "humidifier"),
    },
    brands=("Zaffino", "Quillmar", "Pellurio", "Drosselby", "Mubaxa"),
    times=("five weeks", "a season", "forty days", "most of a year"),
    aspects={
        "price": Remarks(
            good=("at that sum you cannot say no", "a tenner well spent", "others charge double and offer nothing more", "my budget was small and even so there was change",
                  "it is a lot of product for few coins"),
            bad=("it is daylight robbery", "I could have had a weekend away for the same sum", "it is way overpriced", "twenty less would have been fair",
                 "they charge extra for every single bit"),
            sarcastic=("Marvellous, my bank manager sends his regards", "Only the cost of a small yacht, how modest"),
            former=("cost next to nothing", "had cost me a week's wages"),
        ),
        "fit": Remarks(
            good=("it feels like a second skin", "it moves with me and stays put when I bend", "snug, yet it does not press anywhere", "after a day of wearing it I feel no sore spot",
                  "it could have been tailored for my odd build"),
            bad=("it wobbles about with every step", "it chafes so badly that I bled", "it is loose where it should be firm and tight where it should give",
                 "I can barely breathe once it is on", "it rides up as soon as I bend"),
            sarcastic=("Ideal for anyone who thinks blood flow is a luxury", "Splendid, there is room in it for me and a friend"),
            former=("gave me blisters", "would not stay put"),
        ),
        "size": Remarks(
            good=("it tucks away on the lowest shelf", "my studio is minute and it does not get in the way", "I measured first, and it matched to the inch",
                  "so slim that I can store it behind the curtain", "a small footprint, which is what I was after"),
            bad=("it is a monster that blocks the corridor", "the photo lies, it is a giant", "I expected something for adults and got something for dwarfs",
                 "it leaves me no space to move", "we can no longer open the window with it standing there"),
            sarcastic=("Ha, just what I needed: a thing that wants its own postcode", "Terrific for a family of mice"),
            former=("blocked the way to the kitchen", "was a proper giant"),
        ),
        "battery": Remarks(
            good=("I took it on a nine-day trip and never had to plug it in", "at bedtime it still shows eighty per cent", "I cannot recall when it last asked for power",
                  "a short stop at the plug keeps it alive for ages", "it just keeps going, day after day, without the cable"),
            bad=("by lunch it begs for a socket", "it conks out in the middle of the job", "it will not hold its power for more than one go",
                 "I have to carry a power bank for it", "the red light blinks as soon as I unplug it"),
            sarcastic=("Hooray for freedom: a metre and a half of it, as long as the cable", "Enjoy it while it is awake, which is the time of a song"),
            former=("was empty by noon", "kept going for days"),
        ),
        "packaging": Remarks(
            good=("unboxing it felt like Christmas, all snug in paper", "they packed it as if it were a vase", "not a gram of waste, it was rolled up in a cloth pouch",
                  "the carton was thick and the corners were protected", "even the smallest screw sat in a labelled sachet"),
            bad=("the carton looked as if an elephant had sat on it", "no padding at all, it tumbled about in there", "so much tape that I cut my thumb",
                 "opening it left me with a sack of plastic rubbish", "the seal was missing and someone had been inside before me"),
            sarcastic=("Top marks for stuffing it in an old crisp bag", "It takes real talent to use a whole roll of tape"),
            former=("had been packed by a vandal", "lay in a lovely case"),
        ),
        "delivery": Remarks(
            good=("ordered at breakfast, in my hands by supper", "they brought it on a holiday, before breakfast", "the courier was here sooner than I could blink",
                  "they let me choose the hour and kept to it", "it got to our island without a hitch"),
            bad=("I had to fetch it myself, the courier had given up", "by the time it came the party was over", "they dumped it at a stranger's house",
                 "the van never came, so it sat in a warehouse for a month", "three times they wrote that I was out, while I sat by the window"),
            sarcastic=("Snails everywhere can be proud of this courier", "Ordered in spring, received with the first snow, bravo"),
            former=("spent a month at sea", "landed at the wrong house"),
        ),
        "instructions": Remarks(
            good=("page by page it tells you what to press", "I am hopeless with such things, yet the pictures got me there", "the card that comes with it says all you need, in plain words",
                  "they marked each piece with a letter, so putting it together is child's play", "the help pages in the app leave no question open"),
            bad=("not a word in the box on how to use it", "whoever translated that paper was drunk", "the steps in the guide are in the wrong order",
                 "it took an engineer friend to work out what to press", "the sheet covers safety for ten pages and use for two lines"),
            sarcastic=("Guessing which knob does what fills the long evenings, cheers", "The translation is pure poetry, shame about the meaning"),
            former=("came with a sheet in Klingon", "was explained page by page"),
        ),
        "smell": Remarks(
            good=("I put my nose right up to it: nothing", "for once, something new that does not pong", "not a trace of factory air about it", "there is a pleasant note of cedar to it",
                  "asthma runs in our family and nobody sneezed"),
            bad=("it pongs like an old trainer", "I have aired it and aired it, the stink will not go", "it gives off a vapour that makes my eyes water",
                 "there is an acrid note of scorched rubber", "now my cupboard has the aroma of a tar pit"),
            sarcastic=("Mmm, eau de chemical plant, my favourite", "Who needs perfume when you can have mouldy cheese"),
            former=("had the aroma of mothballs", "ponged for a year"),
        ),
        "noise": Remarks(
            good=("my husband slept right through it", "it is hushed even at full power", "we can watch a film with it switched on", "it purrs, no more than that",
                  "the first time I thought it was not working, so silent is it"),
            bad=("my ears ring afterwards", "conversation stops when I press the switch", "it screeches like a tram in a bend", "at night you can tell from the street that it is on",
                 "a loud hum day and night"),
            sarcastic=("Charming, like having a brass band in the kitchen", "My deaf uncle is thrilled with it"),
            former=("sounded like a tractor", "was as silent as a grave"),
        ),
        "durability": Remarks(
            good=("the kids have jumped on it and it did not mind", "not one scratch despite my clumsy hands", "solid through and through",
                  "it shows no wear although we treat it badly", "washed, dropped, kicked, and none the worse for it"),
            bad=("a piece broke off in my hand", "it lasted until the first frost and no longer", "a big crack runs through it by now", "one knock and it was scrap",
                 "it split down the middle"),
            sarcastic=("Well done, now I own a very modern heap of scrap", "It is a kit, as I found out: it takes itself apart"),
            former=("was scrap by Easter", "outlived my marriage"),
        ),
        "support": Remarks(
            good=("one call and a kind young man talked me through it", "they wrote back before my tea was cold", "the people behind it really listen to you",
                  "their advice line is worth gold", "I asked three daft things and was treated like a king"),
            bad=("five letters to the maker, five times silence", "they hung up on me, twice", "their service people shrugged and sent me away",
                 "I held the line for an hour and got nobody", "when I phoned, the staff had no clue and no manners"),
            sarcastic=("Forty minutes of flute music per call, at no extra charge", "They care so much that they have switched off their telephone"),
            former=("came from people who never wrote back", "had the kindest advice line"),
        ),
        "looks": Remarks(
            good=("it is so pretty that I could stare at it all day", "I get compliments on the design from all visitors", "the blue is deep and rich", "so stylish that it has pride of place",
                  "it is a handsome thing with clean lines"),
            bad=("it has all the beauty of a car park", "the colour clashes with everything", "smudges and uneven seams wherever you glance", "I hide it when visitors come",
                 "in the advert it was white, what I have is the yellow of old teeth"),
            sarcastic=("Gorgeous, it would suit a dungeon very well", "A feast for the eye, said no one ever"),
            former=("was a sight to behold", "was hideous"),
        ),
    },
    openers=(
        "The {p} is here, and here is my verdict.", "{d} with the {p} from {brand}.", "Purchased: one {p}.", "My aunt gave me this {p} when she gave me a {q}.",
        "Having sold my {q}, I treated myself to a {p}.", "Review of the {brand} {p}:", "Hi all, quick word on the {p}.", "We use the {p} at work.",
        "Let me be brief on this {p}.", "{brand} makes a {p}, who knew.", "Months of saving, then finally the {p}.", "Not my first {p} but my first {brand}.",
        "For my birthday I got the {p} by {brand}.", "Thoughts on a {p}.", "It had to be a {p}, and {brand} was in stock.", "The whole street talks of the {brand} {p}, so I tried it.",
    ),
    along=(". ", ", plus ", ". What is more, ", ". Besides, "),
    against=(", yet ", ". Then again, ", ". Mind you, ", ". At the same time, "),
    former=(
        "What I used until last year {former}.", "The {p} we threw out {former}.", "For comparison: its forerunner {former}.", "A rival's {p} that I sent back {former}.",
        "In my parents' house there was a {p} which {former}.",
    ),
    verdicts={
        "satisfied": ("On balance, a lovely thing.", "Thumbs up.", "Best thing I got this year.", "I am chuffed.", "Would recommend to anyone, warts and all."),
        "mixed": ("A middling affair.", "Half of me is pleased, half is not.", "So-so.", "Six out of ten, I suppose.", "Can't say yes, can't say no."),
        "dissatisfied": ("Off it goes, back to the shop.", "I feel cheated.", "Stay away from it.", "Thumbs down.", "Frankly, a dud."),
    },
    again={
        "yes": ("There is another on its way to my summer house.", "If it got stolen I would replace it with an identical one.", "Given the choice, I would do the same purchase tomorrow.",
                "I am putting two more in my basket."),
        "no": ("That was my first and last one from them.", "Should I need one in future, it will be a different brand.", "Fool me once, as they say; there is no second time.",
               "With what I know today I would leave it in the shop."),
    },
    others=("My gran intends to order three.", "The lad next door swears he would not have it as a gift.", "Our club has since bought a dozen.", "My cousin is done with this brand."),
    edits=("PS, {d} on: {remark}", "Addendum: {remark}", "** revised ** {remark}", "I have to correct myself after {d}. {remark}"),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
