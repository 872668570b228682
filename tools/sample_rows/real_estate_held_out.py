# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases of the held-out listings: the topics of real_estate_bank.py in other words, places, layouts."""

from __future__ import annotations

from tools.sample_rows.real_estate_bank import Bank, Remarks

HELD_OUT = Bank(
    types={
        "apartment": ("a unit in a residential tower", "a flat in a former mill", "a flat that is one of eight in the building", "a city flat"),
        "maisonette": ("a two-level flat", "a flat with an upper and a lower storey of its own", "a town maisonette"),
        "terraced house": ("a mid-terrace house", "a house joined to its neighbours on both sides", "a terraced cottage"),
        "semi-detached house": ("a house built against the neighbour on one side only", "the left half of a double house", "a brick semi"),
        "detached house": ("a family house, detached", "a house with nobody behind any of its walls", "a farmhouse with land all around it"),
        "bungalow": ("a three-winged bungalow", "a home with no upper floor", "a one-floor house"),
    },
    bedrooms={
        1: ("1 bed", "just the one place to sleep", "a bedroom for two people, and that is it"),
        2: ("2 beds", "a couple of bedrooms", "a master bedroom plus a nursery"),
        3: ("3 beds", "a big bedroom and two little ones", "a trio of bedrooms"),
        4: ("4 beds", "four rooms to sleep in", "three bedrooms on the sunny side, one opposite"),
        5: ("5 beds", "five rooms to sleep in", "bedrooms for a family of five, one each"),
    },
    extras=("", "", "", ", 1 bathroom", ", one shower room", ", a home office", ", 3 cupboards"),
    places=("Quarrendon", "Fallowmere", "Saint Orrin", "Bexholt", "Lower Tannet", "Greywick", "Pilgrim's Oak"),
    openers=(
        "{place} - {type} - {beds}{extra}", "on offer: {type} with {beds}{extra} in the heart of {place}", "we are proud to present {type}, {beds}{extra}, {place}", "{type} seeks new owners! {beds}{extra}. Location: {place}",
        "vendor's description. {type} at {place}, {beds}{extra}", "selling up after a divorce, {place}, {type}, {beds}{extra}", "ref. KW-31, {type} within {place}, comprising {beds}{extra}", "just listed in {place}: {type}. {beds}{extra}",
        "hi, I'm selling {type} ({beds}{extra}) over in {place}", "no chain. {type}, {beds}{extra}, {place} postcode", "could {place} be your next address? {type}, {beds}{extra}", "the bank sells {type} located at {place}, {beds}{extra}",
    ),
    conditions={
        "new": ("handed over by the developer in March, unused", "brand new, first occupancy", "no previous occupants, the builders have only just left", "still smells of fresh timber, no one has moved in so far", "a this-year build"),
        "renovated": ("stripped out and rebuilt inside two winters ago", "a refurbishment from cellar to attic was done in 2022", "behind the Victorian front all fittings are now contemporary", "comprehensively modernised by the present vendors",
                      "the old interior went into a skip and a modern one came in"),
        "well kept": ("maintained with love, ready to occupy", "in fair shape all round, no jobs waiting", "neat and solid, ordinary wear only", "the owner fixed each little thing at once", "no luxury, no defects either"),
        "dated": ("usable as it stands, though the decor is pure seventies", "flowery wallpaper and a pink tub, both functional", "an interior that time forgot, yet nothing has failed", "functional fittings that were fashionable under Jimmy Carter", "granny's furnishings and granny's kitchen, still going"),
        "needs work": ("uninhabitable right now, bring a contractor", "walls wet, ceilings fallen in", "a handyman's dream: hardly anything is intact", "the shell can be saved, the rest cannot", "half demolished and never completed"),
    },
    topics={
        "transport": Remarks(
            raises=("subway entrance across the road", "a rail stop two minutes' stroll away", "your commute starts on the doorstep, where line 7 pulls up", "buses around the clock right outside", "owning no car is easy, five tram routes meet here"),
            lowers=("public transit? Forget it", "the last coach service was scrapped", "a taxi to the nearest railway costs $45", "far from any bus or rail route", "splendid isolation, reachable by your own vehicle alone"),
            elsewhere=("a subway extension has been discussed since the nineties", "my previous flat had a bus at the doorstep"),
        ),
        "street": Remarks(
            raises=("birdsong is the loudest thing around", "traffic-calmed, and calm it is", "nobody disturbs your sleep here", "a hushed cul-de-sac", "you could hear a pin drop, day and night"),
            lowers=("the motorway hums behind the hedge all night", "sirens from the fire station next to it", "drunks sing beneath the balcony at weekends", "for people who like it lively: a nightclub shares the wall", "jackhammers, trams, church bells, pick your alarm clock"),
            elsewhere=("the district across the river suffers from a noisy motorway", "rowdy tenants lived here, they have left"),
        ),
        "light": Remarks(
            raises=("flooded with sun all day", "huge panes facing south-west", "radiant interiors thanks to a glass front", "not a shady spot in it", "glazed on every side, airy and luminous"),
            lowers=("electric lamps burn here even at lunchtime", "north-facing slits instead of windows", "shaded all year by the office tower", "owls and bats would feel at home in these sunless rooms", "an intimate twilight reigns whatever the weather"),
            elsewhere=("the show home, unlike this one, gets sunshine from all sides", "last year's scaffolding, long since taken down, made it pitch-dark"),
        ),
        "parking": Remarks(
            raises=("comes with its own bay for a vehicle", "room for three vehicles in the forecourt", "a heated garage is included", "you roll on to your private driveway", "residents' spaces are plentiful and free"),
            lowers=("where to put a vehicle is your problem", "permit holders fight over each kerbside metre", "drivers end up leaving the car half a mile off", "a car-free quarter, for better or worse", "garages nearby are rented out for years to come"),
            elsewhere=("a forecourt for vehicles belongs to the plot behind", "once upon a time a garage stood here"),
        ),
        "outside": Remarks(
            raises=("sip your coffee on the south-facing loggia", "a leafy plot with roses and a pond", "a private patio for barbecues", "half an acre of orchard is yours", "french doors lead to a sunny deck"),
            lowers=("zero square feet in the open air", "sadly lacking a balcony or patio", "gardening enthusiasts should look elsewhere", "the courtyard is out of bounds to this unit", "a walk in the public park replaces the garden that is missing"),
            elsewhere=("the family two doors down enjoys a deck of its own", "somebody might lay out a communal orchard in years to come"),
        ),
        "energy": Remarks(
            raises=("a passive house, almost no fuel needed", "utility charges are laughably small", "excellent certificate, class A+", "photovoltaics cover most of the consumption", "thick cladding holds the warmth for days"),
            lowers=("heating devours half a salary", "certificate: class H, the worst there is", "wind whistles through the window frames all winter", "you heat the sparrows, too, with an uninsulated attic", "the meter spins like mad as soon as it gets cold"),
            elsewhere=("the annex, sold separately, is a passive house", "grants for cladding may come next year"),
        ),
        "view": Remarks(
            raises=("a sweeping panorama of the bay", "gaze at vineyards from the bath", "unspoilt outlook across the river meadows", "snowy peaks greet you in the morning", "far-reaching vistas over treetops"),
            lowers=("the only thing to see is a brick firewall", "faces a tyre dump", "eye to eye with the people opposite, three metres off", "for friends of industrial romance: chimneys and pipes before every pane", "the windows overlook a slaughterhouse yard"),
            elsewhere=("vineyards once lay before it, that was long ago", "a viewpoint over the bay is an hour's hike from there"),
        ),
        "layout": Remarks(
            raises=("sensibly arranged, each door leads where you want it", "an open plan around a central kitchen", "well-proportioned rooms off a short passage", "not a wasted metre in the floor plan", "easy to furnish, right angles everywhere"),
            lowers=("guests must pass your bed to find the toilet", "a maze of passages and half rooms", "the kitchen is at the far end from where one eats", "quirky angles that defeat every sofa", "one long narrow pipe of a lounge, and doors in all the wrong spots"),
            elsewhere=("another home we sell is a maze, yours is not that one", "an architect has sketched a smarter floor plan, unbuilt"),
        ),
        "access": Remarks(
            raises=("step-free from pavement to bathtub", "elevator on site", "suits wheelchair users", "no climbing, the entrance is level with the path", "an elevator serves all landings"),
            lowers=("no elevator, top storey", "a hundred and four treads between you and the mailbox", "a workout with each bag of groceries, six storeys by foot", "unsuitable for anyone with bad knees, it is a long climb", "narrow winding treads lead up to it"),
            elsewhere=("block B got an elevator, this is block C", "funds for an elevator have been asked for in vain"),
        ),
        "shops": Remarks(
            raises=("grocery, pharmacy and bank round the corner", "a farmers' market on the doorstep", "everyday errands done on foot in minutes", "three delis along the pavement", "a 24-hour convenience store in the building opposite"),
            lowers=("provisions have to be ordered or driven in", "the closest grocery is a forty-minute ride", "not one bakery or pharmacy in the valley", "a paradise for self-sufficient people, as there is nowhere to buy food", "forgot the butter? Half a tank of petrol"),
            elsewhere=("a shopping centre is on the drawing board for 2032", "in the capital you would have a deli at each corner"),
        ),
    },
    visits=(
        "valuer's remark, which overrides the brochure: {remark}", "having inspected it in person, we disagree with that: {remark}", "update from a viewing, the above is untrue: {remark}", "erratum! {remark}", "please strike the respective line, as {remark}",
        "inspection report says the contrary: {remark}", "(confirmed on site, and not as claimed: {remark})",
    ),
    asides=(
        "", "", "", "call after six", "serious enquiries only", "a deposit secures it", "open house next Sunday at noon", "vendor is in no hurry", "wine cabinet negotiable", "the tax is payable by the purchaser", "floor plan as a PDF",
    ),
    joints=(" ", " ", " ", "\n* ", " | ", " -- "),
)  # fmt: skip
