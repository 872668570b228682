# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases of the listings for training; those held out stand in real_estate_held_out.py.

No phrase names its reason as the answer does. Slots: {type}, {beds}, {place}, {extra} what counts for nothing, {remark} what a visit found.
"""

from __future__ import annotations

from dataclasses import dataclass

Phrases = tuple[str, ...]


@dataclass(frozen=True)
class Remarks:
    """What listings say of one topic."""

    raises: Phrases
    lowers: Phrases
    """Some of them praise what is a drawback."""
    elsewhere: Phrases
    """Of another home, of the past or of the future; counts for nothing."""


@dataclass(frozen=True)
class Bank:
    types: dict[str, Phrases]
    bedrooms: dict[int, Phrases]
    extras: Phrases
    places: Phrases
    openers: Phrases
    conditions: dict[str, Phrases]
    topics: dict[str, Remarks]
    visits: Phrases
    """Puts right what the listing says."""
    asides: Phrases
    joints: Phrases
    """What stands between two parts; around a space they are whole sentences."""


TRAIN = Bank(
    types={
        "apartment": ("a flat", "an apartment in a small block", "a flat in a house of twelve", "a condo", "an apartment"),
        "maisonette": ("a maisonette", "a flat spread over two floors", "a duplex flat", "an apartment on two floors"),
        "terraced house": ("a terraced house", "a house in the middle of a row", "a row house", "a town house wedged between two others"),
        "semi-detached house": ("a semi-detached house", "a semi", "one half of a pair of houses", "a house that shares one wall with its twin"),
        "detached house": ("a detached house", "a house standing alone on its plot", "a villa that touches no other building", "a house with free space on all four sides"),
        "bungalow": ("a bungalow", "a single-storey house", "a low house without an upstairs", "a house with everything on one level"),
    },
    bedrooms={
        1: ("one bedroom", "a single bedroom", "1 bedroom", "a bedroom and a box room"),
        2: ("two bedrooms", "a main bedroom and one for guests", "2 bedrooms", "a large bedroom and a small one"),
        3: ("three bedrooms", "two double bedrooms and a single one", "3 bedrooms, one of them tiny", "3 bedrooms"),
        4: ("four bedrooms", "two bedrooms at the front and two at the back", "4 bedrooms", "a bedroom for the parents and three for children"),
        5: ("five bedrooms", "5 bedrooms", "four bedrooms and a fifth under the roof", "a pair of master bedrooms and three others"),
    },
    extras=("", "", "", ", two baths", ", also a study", ", six rooms in all", ", 2 showers", ", 94 square metres"),
    places=("Alderby", "Mossgate", "Upper Wenning", "Port Callow", "Hexley", "Dunmarch", "Little Sorrow", "Tarnby Green", "Kestrel Hill", "Old Brindle"),
    openers=(
        "for sale: {type} in {place} with {beds}{extra}", "{place}: {type}, {beds}{extra}", "{type} with {beds}{extra}, {place}",
        "new on our books is {type} in {place} that has {beds}{extra}", "my aunt's home is on the market, {type} in {place} with {beds}{extra}",
        "we have to sell {type} in {place}: {beds}{extra}", "have a look at {type} with {beds}{extra} near {place}",
        "private sale, no agents please, {type}, {place}, {beds}{extra}", "what about {type} for a change? {beds}{extra}, in {place}",
        "this is {type} on the edge of {place}, {beds}{extra}", "to be auctioned in June: {type} at {place}, {beds}{extra}",
        "{beds}{extra} in {type}, right in {place}", "job abroad, so we part with {type} in {place} ({beds}{extra})",
        "looking for {beds}{extra} in {place}? Then see {type}", "offered by the heirs: {type} in {place}, {beds}{extra}",
        "file 208, {place}, {type}, {beds}{extra}", "price on request, {type} of {beds}{extra} in {place}",
        "you asked us for something in {place}; this is {type} and has {beds}{extra}",
    ),
    conditions={
        "new": ("finished this spring and never lived in", "the keys come straight from the builder", "you would be the first to sleep here", "the paint is hardly dry",
                "completed last month, with ten years of builder's warranty", "nobody has cooked in this kitchen yet", "built this year", "the film is still on the oven door"),
        "renovated": ("gutted three years ago and redone from the wiring up", "new kitchen, new baths and new floors in an old shell", "everything from the pipes to the plaster has been replaced",
                      "the owners spent two years bringing it up to date", "old bones, all else modern after a full overhaul", "a 1930s building, inside it was made over from top to bottom in 2023",
                      "taken back to the brick and done up with care", "what was a ruin was put right room by room last year"),
        "well kept": ("nothing to do and nothing fancy, all in order", "painted every few years, serviced every autumn", "looked after by one careful owner", "a few marks of use, no more",
                      "clean and sound throughout", "move in as it is, all works", "some years old and cared for", "tidy, sturdy and decently fitted"),
        "dated": ("an avocado bathroom of 1974, in working order", "carpets and wood panels from our parents' time", "all works, and all looks like 1982", "kitchen and tiles are those of 1979",
                  "everything runs, nothing is modern", "nothing is broken, but the taste is that of forty years ago", "orange tiles and brown fittings, still in use", "it was last redone when the Beatles split up"),
        "needs work": ("the roof lets in water and the floors sag", "a project for people with tools", "bare wires, no kitchen and no bath", "cracks in the gable and rot in the beams",
                       "not fit to live in until a builder has been", "it will have to be gutted", "damp up to the first window sill, plaster coming off", "a wreck with promise"),
    },
    topics={
        "transport": Remarks(
            raises=("the tram stops outside the front door", "four minutes on foot to the underground", "trains into the centre leave every ten minutes from the end of the road",
                    "the bus takes you everywhere from the corner", "ten steps to the metro", "leave the house at eight, sit in the express at five past",
                    "a direct line to the airport from a stop at the end of the lane", "with the station this close you can sell the second car"),
            lowers=("the nearest bus runs twice a day, three miles from here", "without a car you will not get anywhere", "the railway closed in the sixties and nothing has replaced it",
                    "it is forty minutes on foot to the first bus stop", "a place for people who love to drive, for there is no other way to get here",
                    "commuters should plan an hour before they see a platform", "the school bus is all that comes by", "keen hikers reach the station in half a day"),
            elsewhere=("the council talks of a tram line by 2040", "our other listing, in Harbour Road, has the underground at its door", "there used to be a railway halt here"),
        ),
        "street": Remarks(
            raises=("at night you hear the owls and nothing else", "a dead end where children play on the road", "no through traffic, no bars, no neighbours who drum",
                    "the bedrooms face a courtyard in which not a sound is heard", "thick walls, you would never know that a family lives next door", "people move here for the silence",
                    "three cars an hour is a busy day on this lane", "so peaceful that the ticking of the clock stands out"),
            lowers=("lorries go by from five in the morning", "the flight path runs right over the roof", "the bar opposite closes at three", "a vibrant corner where the party under your window never stops",
                    "the sellers leave you their earplugs", "next door is a sawmill with two shifts", "the neighbours practise the trumpet, and they practise a lot",
                    "never lonely, with six lanes of traffic in front of the living room", "every goods train makes the glasses ring in the cupboard"),
            elsewhere=("in the street behind, lorries thunder by", "the club that kept everybody awake was closed years ago", "the lane parallel to this one is a dead end without cars"),
        ),
        "light": Remarks(
            raises=("sun from breakfast to supper", "windows on three sides let the morning in", "the living room faces south through a wall of glass", "lamps stay off until the evening",
                    "skylights and tall windows everywhere", "daylight pours in from both ends", "even the hall gets sunshine", "plants grow like weeds indoors, so much sun comes in"),
            lowers=("you will want the lamps on at noon", "windows the size of a shoebox", "the rooms face north and see no sun from October to March", "cosy and dim as a wine cellar",
                    "the trees swallow what little sun there is", "late sleepers will love it, no ray of sun reaches the beds", "even in July it is gloomy inside", "so murky that you grope for the switch at midday"),
            elsewhere=("the twin across the yard gets all the sun", "a fir that made it as dim as a cave was felled long ago"),
        ),
        "parking": Remarks(
            raises=("a double garage comes with it", "two cars fit on the drive", "a numbered bay under the building is part of the price", "your car sleeps under its own roof",
                    "a carport for the camper", "no more driving round and round the block, a bay in the yard is yours", "a lock-up for the car right beside the door", "the kerb in front is kept for residents, who always find a gap"),
            lowers=("you will circle the block for half an hour every evening to leave the car", "no garage, no drive, and yellow lines on both sides", "the waiting list for a residents' permit is six years long",
                    "cars have to stay at the foot of the hill", "ideal for cyclists, the lane is closed to cars", "whoever brings a car leaves it at a pay garage for $30 a day",
                    "the drive is the neighbour's and the garage was turned into a room", "finding a gap for the car is a sport here"),
            elsewhere=("next door has a double garage, which is not for sale", "the town may dig an underground car park, nobody knows when"),
        ),
        "outside": Remarks(
            raises=("a walled garden with a pear tree", "the terrace takes a table for ten", "a lawn, fenced for the dog", "a balcony big enough for breakfast", "your own patch of green behind the kitchen",
                    "a roof deck for summer nights", "raised beds, a swing and a shed at the back", "your deck chairs go under your own apple trees"),
            lowers=("there is no place to sit in the open", "not so much as a balcony", "outdoors you own the doormat", "the garden belongs to the people next door", "fresh air comes through the window only",
                    "the yard is for the ground-floor tenant alone", "no mowing ever again, since not a blade of grass comes with it", "the washing dries indoors, with neither terrace nor balcony"),
            elsewhere=("the people opposite have a lovely garden", "a balcony could be added if the others agree some day"),
        ),
        "energy": Remarks(
            raises=("a heat pump and solar panels keep the bills tiny", "$40 a month for heating", "triple glazing and a foot of insulation", "rated A, warmed for next to nothing", "the panels on the roof earn more than the heating eats",
                    "a winter of gas costs less than a dinner out", "so well insulated that the radiators are off till December", "a small modern boiler that sips gas"),
            lowers=("single glazing throughout, and the gas bill shows it", "$500 a month for oil in winter", "rated G", "the warmth goes straight out through the roof", "electric heaters that eat money",
                    "draughty, with a boiler that gulps oil", "a place for people in thick jumpers, as warming it properly costs a fortune", "walls without insulation, one gasps at the heating bill"),
            elsewhere=("solar panels are planned for the town hall", "the sister house was fitted with a heat pump"),
        ),
        "view": Remarks(
            raises=("you look over the roofs down to the sea", "mountains fill the kitchen window", "from the sofa you watch the boats on the lake", "you see nothing but fields to the horizon", "the whole city lies at your feet",
                    "sunset over the valley, every evening, free of charge", "the back looks out on a park and its old oaks", "the cathedral stands framed in the window"),
            lowers=("all windows look at a concrete wall", "you look into the neighbours' kitchen, and they into yours", "the outlook is a scrapyard", "from the living room you see the bins of a hotel", "a gasworks fills the window",
                    "an urban panorama of fire escapes and air ducts", "look out and you face a grey factory", "a billboard hangs two yards in front of the glass"),
            elsewhere=("from the hill behind, they say, you can see the lake", "the tower that they plan next door will have the sea before its windows"),
        ),
        "layout": Remarks(
            raises=("every room opens off the hall", "kitchen, dining and living flow into one another", "no corner is wasted", "where you sleep is well apart from where you live", "rooms of equal size that can be used in any way",
                    "bath and bedroom lie side by side, guests have their own", "square rooms in which furniture fits", "a plan so clever that it feels twice the size"),
            lowers=("the bathroom can be reached only through the bedroom", "a corridor eats a third of the floor area", "you enter the living room through the pantry", "no wall is straight and no wardrobe will fit", "an individual plan: you cross the bathroom to get to the kitchen",
                    "to get to bed you squeeze past the cooker", "full of character, that is, of nooks that nothing fits into", "the living room is a tube two yards wide"),
            elsewhere=("the flat that we sold last week wasted half its space on a corridor", "a wall could go one day, which would make a better plan"),
        ),
        "access": Remarks(
            raises=("the lift stops at the door", "ground floor, not a single step", "wheelchairs and prams roll right in", "two lifts for eight homes", "you come in at street level", "a lift takes you up from the hall",
                    "wide doors and no thresholds", "grandmother gets in without help, no step anywhere"),
            lowers=("four flights up and no lift", "sixty-two steps up to the door", "it keeps you fit: fifth floor, on foot", "with a pram you will curse, there are three floors to climb", "removal men charge double for carrying everything to the top",
                    "the door is at the end of a steep spiral of iron steps", "a free gym comes with it, ninety steps twice a day", "the lift ends on the third floor and you live on the sixth"),
            elsewhere=("the rear building has a lift, this one is not part of it", "lifts are on the wish list of the owners' meeting"),
        ),
        "shops": Remarks(
            raises=("baker, butcher and chemist in the same street", "you can fetch rolls in your slippers", "the weekly market is on the square in front", "a supermarket across the road", "everything for daily life within five minutes",
                    "out of milk? The grocer is at the corner", "a row of small stores starts next door", "the mall is two blocks away"),
            lowers=("the last grocer closed years ago", "for a loaf of bread you drive nine miles", "stock up well, the village has no store left", "the nearest supermarket is in the next county", "a pint of milk is a half-day trip",
                    "a van with bread calls on Fridays, that is all", "you will learn to bake, because nobody sells bread for miles", "bring a big freezer, the next till is 25 minutes away"),
            elsewhere=("a supermarket has been promised for the day when the field is built on", "in our neighbour town you buy all you need in one street"),
        ),
    },
    visits=(
        "our surveyor found it otherwise: {remark}", "put right after the visit: {remark}", "not quite, says the caretaker: {remark}", "we went there and must correct the advert: {remark}", "the file tells another story: {remark}",
        "edit by the agent: {remark}, sorry for the mistake above", "in truth, and we have seen it: {remark}", "correction of 4 May: {remark}", "what we really saw: {remark}", "a buyer pointed out that this is wrong: {remark}",
    ),
    asides=(
        "", "", "", "viewings on Saturdays between ten and two", "the sellers can wait until autumn", "no pets were kept here", "please bring proof of funds", "the agent gets two per cent", "photos on request",
        "it was advertised once before", "the curtains stay", "sold with a fitted kitchen", "ask for Tom at the office", "the asking price is open to talks",
    ),
    joints=(" ", " ", " ", "\n- ", " / ", "\n"),
)  # fmt: skip
