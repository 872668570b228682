# ruff: noqa: E501 - a question to a line
"""School questions by kind for the education rows. Held-out rows use only `HELD_OUT`: other questions, names, things, tables.

Slots: {n} and {m} children, {he}, {He}, {his} for {n}, {t} things, {cur} a money sign, {z} a number that does not matter;
the other letters are the numbers of the kind (education.py). What follows `->` is the unit of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bank:
    people: tuple[tuple[str, str, str], ...]
    """Name, he or she, his or her."""
    things: tuple[str, ...]
    leads: tuple[str, ...]
    """What may stand before a question."""
    keys: dict[str, tuple[str, ...]]
    """Kind of table -> what its rows may be called."""
    tables: tuple[tuple[str, str], ...]
    """One row of a table, and what stands between rows."""
    questions: dict[str, tuple[str, ...]]
    """Kind -> its questions."""


TRAIN = Bank(
    people=(
        ("Ana", "she", "her"), ("Ben", "he", "his"), ("Chloe", "she", "her"), ("Dario", "he", "his"), ("Emma", "she", "her"),
        ("Farid", "he", "his"), ("Grace", "she", "her"), ("Hugo", "he", "his"), ("Ines", "she", "her"), ("Jonas", "he", "his"),
        ("Kira", "she", "her"), ("Liam", "he", "his"), ("Mona", "she", "her"), ("Nils", "he", "his"),
    ),
    things=("stickers", "marbles", "shells", "pencils", "apples", "badges", "beads", "postcards", "buttons", "cookies", "balloons"),
    leads=("Question {z}: ", "{z}) ", "Can you help me? ", "For tomorrow: ", "Exercise {z}. ", "Miss Reed asks: ", "Warm-up. "),
    keys={
        "days": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday"),
        "names": ("Ada", "Bruno", "Carla", "Denis", "Elsa", "Finn"),
        "items": ("tea", "soup", "salad", "roll", "juice", "pie"),
    },
    tables=(("{key} {value}", " | "), ("{key}: {value}", "\n"), ("{key}: {value}", ", "), ("| {key} | {value} |", "\n")),
    questions={
        "groups_less": (
            "{n} buys {a} packs of {b} {t} and gives {c} of them to {m}. How many does {n} keep?",
            "A baker fills {a} trays with {b} rolls each. By noon {c} rolls are sold. How many are still there?",
            "{a} rows of {b} chairs are set up in the hall; then the caretaker takes {c} chairs away. How many chairs remain?",
            "There were {a} nests with {b} eggs in each. {c} eggs have hatched. Number of eggs not yet hatched?",
            "{n} has {a} bags, {b} {t} in every bag. {c} get lost on the way. What number does {he} bring home?",
        ),
        "groups_more": (
            "{n} sticks {b} photos on each of {a} pages, and {c} more on the cover. How many photos is that?",
            "At the zoo shop {a} boxes hold {b} {t} each, and {c} lie loose on the counter. Find the total.",
            "{a} teams of {b} players came by bus and {c} players came on foot. How many players came?",
            "{n} runs {b} km on each of {a} days and {c} km on Sunday. How far is that in the whole week? -> km",
            "A gym class costs {cur}{b}. {n} takes {a} classes and rents a locker for {cur}{c}. What is the bill? -> cur",
        ),
        "change": (
            "{n} buys {a} notebooks at {cur}{b} each and pays with {cur}{w}. What change does {he} get? -> cur",
            "A ticket costs {cur}{b}. Mr Hale takes {a} tickets and hands over {cur}{w}. How much money comes back? -> cur",
            "You have {cur}{w}. You pick {a} plants for {cur}{b} apiece. How much do you have after paying? -> cur",
            "{a} sandwiches, {cur}{b} each, paid from a purse with {cur}{w} in it - what is left in the purse? -> cur",
        ),
        "spend_two": (
            "{n} had {cur}{w}. A ball cost {cur}{a} and a net {cur}{b}. How much does {he} have now? -> cur",
            "Shopping list: cheese {cur}{a}, fish {cur}{b}. Dad pays with {cur}{w}. Work out the change. -> cur",
            "The library van left with {w} books. {a} were lent in the first village and {b} in the second. How many came back unlent?",
            "A rope of {w} m is used for a swing ({a} m) and a ladder ({b} m). How long is the piece that remains? -> m",
        ),
        "pool_share": (
            "{n} has {a} {t} and {m} has {b}. They put them together and pack them into {c} equal bags. How many go in each bag?",
            "{a} girls and {b} boys form {c} teams of equal size. How big is one team?",
            "Mum picked {a} plums on Friday, {b} on Saturday and shared them fairly among {c} neighbours. What did each neighbour get?",
            "A trip costs {cur}{a} for the bus and {cur}{b} for the museum. {c} friends split it evenly. What does each one pay? -> cur",
        ),
        "rest_share": (
            "Of {a} {t}, {b} are broken. {n} deals out the good ones evenly to {c} children. How many does each child get?",
            "{n} saves for a bike that costs {cur}{a}. {He} has {cur}{b} already and can put aside {cur}{c} a week. After how many weeks can {he} buy it?",
            "A book has {a} pages. {n} has read {b} of them and wants to finish it in {c} days. How many pages a day?",
            "The cook had {a} potatoes, threw away {b} and put the others into {c} pots, the same number in each. How many per pot?",
        ),
        "more_total": (
            "{n} caught {a} fish. {m} caught {b} more than that. How many fish did the two catch together?",
            "There are {a} goats on a farm and {b} more sheep than goats. How many animals are there in all?",
            "On day one we walked {a} km, on day two {b} km more than on day one. How long was the hike? -> km",
            "{m} owns {a} {t}, {n} owns {b} more than {m}. What do they own as a pair?",
        ),
        "fewer_total": (
            "{n} scored {a} points, {m} {b} fewer. What is their score as a team?",
            "Class 4a has {a} pupils; class 4b has {b} pupils less. How many pupils go on the trip if both classes go?",
            "The red jar holds {a} beans. In the green jar there are {b} beans fewer. How many beans in both?",
            "A mug costs {cur}{a}, a plate {cur}{b} less. What do you pay for one of each? -> cur",
        ),
        "times_total": (
            "{n} is {a} years old and {his} uncle is {k} times as old. How old are they together?",
            "{m} has {a} {t}. {n} has {k} times as many. How many have they got between them?",
            "A small bus takes {a} people and a big one {k} times that number. How many people fit into the two?",
        ),
        "difference": (
            "The oak is {a} m high and the birch {b} m. By how much is the oak higher? -> m",
            "{n} has collected {a} {t} in {z} weeks, {m} only {b}. How many more has {n}?",
            "{a} guests were invited and {b} came. How many stayed away?",
            "My homework says: {n} needs {a} stamps for a poster, {he} has {b}. How many are missing??",
        ),
        "product": (
            "A printer makes {b} pages a minute and cost {cur}{z}. How many pages does it print in {a} minutes?",
            "{n}, who is {z}, swims {a} lengths every morning. How many lengths is that in {b} mornings?",
            "One cake needs {b} eggs. How many eggs for {a} cakes?",
            "{m} and {z} friends watch a puppet show. The stage is {a} m long and {b} m deep. Its area in square metres?",
        ),
        "quotient": (
            "{q} {t} are packed in bags of {b}. How many bags are filled?",
            "{n} pays {cur}{q} for {b} equal lamps. What does one lamp cost? -> cur",
            "{q} cards are dealt to {b} players, and the game takes {z} minutes. How many cards does a player hold?",
        ),
        "fraction_of": (
            "There are {a} children at the party; {f} of them wear a hat. How many hats do you see?",
            "{n} has {a} {t} and {f} of them are red. How many red ones?",
            "A tank with room for {a} litres is {f} full. How many litres are in it? -> l",
            "Find {f} of {a}.",
        ),
        "fraction_left": (
            "{n} had {a} {t} and lost {f} of them. How many does {he} still have?",
            "A film is {a} minutes long and {f} of it is over. How many minutes are to come? -> min",
            "From a {a} m roll of wire, {f} is used up. What length stays on the roll? -> m",
            "In a choir of {a} singers, {f} are boys. How many are girls?",
        ),
        "percent_off": (
            "A coat at {cur}{a} is reduced by {r}%. What does it cost in the sale? -> cur",
            "Everything is {r}% off. {n} wants skates that were {cur}{a}. What must {he} pay? -> cur",
            "A school has {a} pupils. Today {r}% are ill. How many are in class?",
        ),
        "percent_of": (
            "{r}% of the {a} seats in the cinema are taken. How many people are watching?",
            "How much is {r}% of {cur}{a}? -> cur",
            "{n} got {r}% of the {a} answers wrong. How many answers were wrong?",
        ),
        "percent_more": (
            "Hiring a boat was {cur}{a} and goes up by {r}%. What is the new price? -> cur",
            "A box used to hold {a} biscuits; the new one holds {r}% more. How many are in the new box?",
            "A dog weighed {a} kg in spring and {r}% more in autumn. What was its weight then? -> kg",
        ),
        "convert_less": (
            "A board is {a} m long. {n} saws off {b} cm. How many cm are left? -> cm",
            "{n} has {a} kg of flour and uses {b} g for a cake. How many grams remain? -> g",
            "A can holds {a} litres of juice. {b} ml are poured out. What is still in it, in ml? -> ml",
            "The show lasts {a} hours, of which {b} minutes are breaks. How many minutes of show is that? -> min",
        ),
        "convert_share": (
            "{a} m of ribbon is cut into {c} equal pieces. How many cm is each piece? -> cm",
            "{n} pours {a} litres of tea into {c} equal cups. How many ml per cup? -> ml",
            "{a} kg of nuts fill {c} bags, all the same. What does a bag weigh in grams? -> g",
        ),
        "time_end": (
            "The train leaves at {s} and takes {h} h {k} min. When does it arrive?",
            "{n} starts to bake at {s}. The bread needs {h} hours and {k} minutes. At what time is it done?",
            "A match with its break goes on for {h} h {k} min. Kick-off: {s}. When is it over?",
        ),
        "time_start": (
            "{n} came home at {s} after a walk of {h} h {k} min. When did {he} set off?",
            "The film ended at {s}. It had lasted {h} hours {k} minutes. When did it begin?",
            "Dinner has to be ready at {s} and cooks for {h} h {k} min. When must it go into the oven?",
        ),
        "time_span": (
            "Break starts at {s} and ends at {e}. How many minutes is that? -> min",
            "The bus left at {s} and was at school at {e}. How long was the ride? -> min",
            "{n} practised the piano from {s} to {e}. For how many minutes? -> min",
        ),
        "table_gap": (
            "Visitors per day\n{days}\nHow many more came on the best day than on the worst?",
            "{names}\nThe list shows goals. Find the gap between the top scorer and the last one.",
            "Laps swum - {names}. What is the difference between the largest and the smallest number?",
        ),
        "table_sum": (
            "Loaves sold\n{days}\nHow many on {x} and {y} together?",
            "{names}\nThese are the books read this year. How many did {x} and {y} read between the two of them?",
            "Letters in the box: {days}. What do {x} and {y} make in total?",
        ),
        "table_goal": (
            "Tickets sold\n{names}\n{x} and {y} wanted to sell {g} as a pair. How many are they short?",
            "Trees planted: {days}. The plan for {x} plus {y} was {g} trees. How many are missing?",
        ),
        "price_list": (
            "Menu\n{items}\n{n} orders {k} x {x} and 1 x {y}. What is the bill? -> cur",
            "{items}\nHow much do {k} times {x} and once {y} cost? -> cur",
            "Canteen prices: {items}. The table by the door had {x} ({k} times) and {y} (once). What do they owe? -> cur",
        ),
        "round_up": (
            "{a} children go rafting, {b} to a boat. How many boats do they need?",
            "{n} has {a} photos. An album page holds {b}. How many pages will {he} use?",
            "An egg box takes {b} eggs. How many boxes for {a} eggs so that none stays out?",
        ),
        "remainder": (
            "{a} {t} are put into bags of {b}, as many full bags as possible. How many are left over?",
            "{n} shares {a} sweets equally among {b} friends and eats what cannot be shared. How many does {he} eat?",
            "From {a} cm of wire, {n} cuts pieces of {b} cm. How long is the scrap at the end? -> cm",
        ),
        "average": (
            "It was {a} degrees in the morning and {b} in the evening. What is the mean of the two?",
            "{n} got {a} points and then {b} points. What was {his} average?",
            "Two sacks weigh {a} kg and {b} kg. Average weight? -> kg",
        ),
        "perimeter": (
            "A rectangle is {a} cm long and {b} cm wide. How far is it round the outside? -> cm",
            "{n} puts a fence around a field of {a} m by {b} m. How much fence does {he} need? -> m",
            "How many cm of tape go round the edge of a {a} cm by {b} cm picture? -> cm",
        ),
    },
)  # fmt: skip

HELD_OUT = Bank(
    people=(
        ("Olga", "she", "her"), ("Pavel", "he", "his"), ("Quinn", "he", "his"), ("Rosa", "she", "her"), ("Samir", "he", "his"),
        ("Tilda", "she", "her"), ("Umar", "he", "his"), ("Vera", "she", "her"), ("Wanda", "she", "her"), ("Yusuf", "he", "his"),
    ),
    things=("coins", "pebbles", "toy cars", "walnuts", "ribbons", "magnets", "tulips", "peaches", "game cards"),
    leads=("No. {z} - ", "stuck on this one. ", "Test item {z}: ", "Please explain. ", "From my maths book, page {z}. "),
    keys={
        "days": ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat"),
        "names": ("Gus", "Hanna", "Ivo", "Jule", "Karl", "Lotte"),
        "items": ("milk", "cake", "toast", "cocoa", "pasta", "jelly"),
    },
    tables=(("{key} = {value}", "; "), ("- {key} {value}", "\n"), ("{key}, {value}", "\n"), ("{key} ({value})", " ")),
    questions={
        "groups_less": (
            "A florist ties {a} bunches, {b} roses per bunch; {c} roses wilt before evening. How many fresh roses has she got?",
            "Crates: {a}. Bottles per crate: {b}. Bottles smashed: {c}. Bottles whole?",
            "Every one of {a} benches seats {b} fans, yet {c} places are empty. How many fans are sitting?",
        ),
        "groups_more": (
            "In the canteen {a} tables seat {b} pupils each while {c} pupils stand. Count the pupils.",
            "To {his} {a} boxes of {b} {t}, {n} adds {c} new {t}. What has {he} in total?",
            "Grandpa cycles {b} km there on {a} mornings, plus one long tour of {c} km. Altogether? -> km",
        ),
        "change": (
            "{n} went into the shop with {cur}{w} and came out with {a} brushes that cost {cur}{b} a piece. What did {he} bring back? -> cur",
            "Entry is {cur}{b} per person. A group of {a} gives the cashier {cur}{w}. What should she return to them? -> cur",
        ),
        "spend_two": (
            "Auntie's gift was {cur}{w}; {n} spends {cur}{a} on paint, then {cur}{b} on paper. What remains of the gift? -> cur",
            "Out of {w} seedlings the frost took {a}, the snails {b}. How many survived?",
            "{w} passengers are on the tram, {a} get off at the market, {b} at the church. How many people ride on?",
        ),
        "pool_share": (
            "Two baskets, one with {a} eggs, one with {b}, are emptied into {c} boxes that end up the same. Eggs per box?",
            "{n} earned {cur}{a} by mowing and {cur}{b} by babysitting, all to be divided between {c} piggy banks in equal parts. What goes in one? -> cur",
        ),
        "rest_share": (
            "{a} km lie ahead. After the first {b} km the cyclists do the rest in {c} equal legs. Length of a leg? -> km",
            "Of the class fund of {cur}{a}, {cur}{b} goes to the coach driver and {c} pupils receive the remainder in equal shares. What is a share? -> cur",
            "{n} must learn {a} words, knows {b}, and learns {c} a day from now. How many days until {he} knows them all?",
        ),
        "more_total": (
            "A hen lays {a} eggs in May; in June it is {b} above that. And over both months?",
            "Upstairs live {a} people, downstairs {b} more than upstairs. How many live in the house?",
            "{n} read {a} pages yesterday and beat this by {b} pages today. Add up both days.",
        ),
        "fewer_total": (
            "{n}'s tower has {a} bricks, {m}'s is {b} bricks short of that. Bricks used by the two builders?",
            "In week one {a} visitors came, in week two it was down by {b}. Visitors over the fortnight?",
        ),
        "times_total": (
            "{n} jumped {a} times without a mistake, {m} managed {k} times {his} number. Jumps of the two added up?",
            "The puppy weighs {a} kg and its mother {k} times as much. What do the scales show with both on? -> kg",
        ),
        "difference": (
            "Yesterday's paper had {a} pages and today's, printed at {z} sharp, {b}. Today's is thinner by how many?",
            "{n} wants {a} {t}; so far {he} has {b}. How many does {he} still need?",
            "A snail went {b} cm, a beetle {a} cm. What lead has the beetle? -> cm",
        ),
        "product": (
            "At the age of {z}, {n} got a watch that ticks off {a} laps with {b} points a lap. Points in total?",
            "Every spider in the book is drawn with {b} legs. {a} spiders: legs?",
            "Tiles lie in {a} lines of {b} in the kitchen of {m}, flat {z}. Count them.",
        ),
        "quotient": (
            "{b} brothers inherit {q} {t} and split them fairly. What is one brother's part?",
            "{q} beads are threaded into bracelets of {b} beads. Number of bracelets?",
        ),
        "fraction_of": (
            "Exactly {f} of our {a} hens are brown. State the number of brown hens.",
            "{n} walked {f} of a path of {a} km before lunch. Distance by lunch? -> km",
            "The recipe asks for {f} of a {a} g bar of chocolate. Weight of that piece? -> g",
        ),
        "fraction_left": (
            "{m} eats {f} of the {a} grapes on the plate. And on the plate now?",
            "{n}'s pocket money is {cur}{a}, and {f} of it goes on comics. What can {he} save? -> cur",
        ),
        "percent_off": (
            "Voucher: minus {r}%! The tent on the poster is {cur}{a} without it. And with it? -> cur",
            "{r}% of {a} light bulbs in a street are out. How many still work?",
            "A lake {a} m deep lost {r}% of its depth in the drought. How deep is it now? -> m",
        ),
        "percent_of": (
            "Out of {a} emails, {r}% were junk. Give the number of junk mails.",
            "{n} donates {r}% of {his} {cur}{a}. What does the charity receive? -> cur",
        ),
        "percent_more": (
            "Last season the club had {a} members. It has grown by {r}% since. Members at present?",
            "Service of {r}% is put on top of a meal for {cur}{a}. What does the guest pay altogether? -> cur",
        ),
        "convert_less": (
            "{n}'s kite line measured {a} m before {b} cm tore away. Give the new length in cm. -> cm",
            "A {a} kg sack of sand has a hole, through which {b} g ran out. Grams inside? -> g",
            "Out of a bucket with {a} litres, {b} ml evaporate. Millilitres that stay? -> ml",
        ),
        "convert_share": (
            "{c} sisters get equal lengths from {a} m of cloth. One length in cm? -> cm",
            "A cheese of {a} kg feeds {c} guests alike. Portion in g? -> g",
            "{a} h of practice are spread over {c} equal sessions. Minutes per session? -> min",
        ),
        "time_end": (
            "Take-off {s}, flying time {h} h {k} min. Landing at?",
            "{n} lies down at {s} for {h} hours {k} minutes. What does the clock show on waking up?",
        ),
        "time_start": (
            "Closing time of the fair was {s}; it had been open {h} h and {k} min. Opening time?",
            "The cake came out at {s}, having spent {h} h {k} min inside. It went in at what time?",
        ),
        "time_span": (
            "{n} gets on the ferry at {s}, gets off at {e}. Minutes on the water? -> min",
            "Lesson: {s} - {e}. How long does it last? -> min",
        ),
        "table_gap": (
            "Rainy hours:\n{days}\nBy how many hours does the wettest day exceed the driest?",
            "Points so far: {names}. The leader is ahead of the lowest by how much?",
        ),
        "table_sum": (
            "Steps in hundreds:\n{days}\nAdd {x} to {y}.",
            "Who picked how many pears? {names}. {x} plus {y}: how many pears?",
        ),
        "table_goal": (
            "Bottles returned\n{names}\nTo win, {x} with {y} need {g}. What do they still lack?",
            "Ice creams sold: {days}. Had {x} and {y} brought {g} it would be a record. By how many did they miss it?",
        ),
        "price_list": (
            "Today at the kiosk:\n{items}\nSay you want {k} portions of {x} and a single {y}. Sum? -> cur",
            "{items}\n{n} carries {k} helpings of {x} plus one of {y} to the till. What total does it show? -> cur",
        ),
        "round_up": (
            "{a} tourists wait for cable cars with {b} places. What is the least number of cars?",
            "A ferry carries {b} cars a trip, and {a} cars queue. Trips until all are across?",
        ),
        "remainder": (
            "{n} builds towers of {b} blocks from {a} blocks. How many blocks are too few for another tower?",
            "A gardener sets {a} bulbs in rows of {b}, complete rows only. Bulbs left unplanted?",
        ),
        "average": (
            "{n} needed {a} min for one lap and {b} min for the next. Per lap, on average? -> min",
            "Ages in the chess final: {a} and {b}. Their mean age?",
        ),
        "perimeter": (
            "An ant walks once along all sides of a sheet, {a} cm by {b} cm. How many cm does it cover? -> cm",
            "The yard ({a} m x {b} m) gets a wall on its four sides. Length of the wall? -> m",
        ),
    },
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
