# ruff: noqa: E501 - phrases stand side by side, a list to a line
"""Phrases of tickets for the technology rows. Held-out rows use only `HELD_OUT`: other services, people, phrases, layouts.

Slots: {it} a service (`it` after an opener that names it), {svc} and {env} its name and where it runs, {other_env} where it
is not wanted, {who} a user, {other} another person, {system} what the user works with. Of a call: {when} a delay, {good} and
{bad} versions, {n} and {old} replicas, {age} of a backup, {span} a time, {prio} how bad it is, {role}, {days}, {password}.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bank:
    services: tuple[str, ...]
    systems: tuple[str, ...]
    people: tuple[str, ...]
    environments: dict[str, tuple[str, ...]]
    spans: dict[int, tuple[str, ...]]
    """Minutes."""
    later: tuple[str, ...]
    now: tuple[str, ...]
    ages: dict[int, tuple[str, ...]]
    """Hours."""
    days: dict[int, tuple[str, ...]]
    roles: dict[str, tuple[str, ...]]
    narrowed: tuple[str, ...]
    """A {role} and one that is not wanted, {not_role}."""
    priorities: dict[str, tuple[str, ...]]
    password: dict[bool, tuple[str, ...]]
    requests: dict[str, tuple[str, ...]]
    not_this: dict[str, tuple[str, ...]]
    """What was done before or is not wanted; of accounts: {who} has no such need."""
    not_here: tuple[str, ...]
    openers: tuple[str, ...]
    user_openers: tuple[str, ...]
    not_user: tuple[str, ...]
    subjects: tuple[str, ...]
    background: tuple[str, ...]
    """What a ticket tells besides, for its words and numbers."""
    tails: tuple[str, ...]


TRAIN = Bank(
    services=(
        "billing-api", "search-index", "mail-gateway", "orders-db", "image-resizer", "login-service", "report-worker", "cart-api", "stock-sync",
        "invoice-printer", "customers-db", "video-encoder", "price-feed", "session-cache", "payroll-db", "webhook-relay",
    ),
    systems=("crm", "wiki", "payroll", "git", "jira", "ledger", "warehouse-app", "vpn", "dashboard", "archive"),
    people=(
        "Maria Keller", "Tom Hale", "Anna Berg", "Ravi Nair", "Lucy Chen", "Omar Saleh", "Petra Novak", "Jack Doyle", "Ines Costa", "Karl Brandt",
        "Yuki Mori", "Grace Obi", "Leo Marsh", "Dana Weiss", "Paul Roux", "Nina Falk",
    ),
    environments={
        "production": ("on prod", "in production", "in the live system", "on the live servers"),
        "staging": ("on staging", "in the staging environment", "on stg"),
        "test": ("on test", "in the test environment", "on the QA servers"),
        "development": ("on dev", "in development", "on the dev cluster"),
    },
    spans={
        10: ("10 minutes", "ten minutes"), 15: ("15 min", "a quarter of an hour"), 20: ("20 minutes", "twenty min"), 30: ("half an hour", "30 min", "30 minutes"),
        45: ("45 min", "three quarters of an hour"), 60: ("an hour", "1 h", "60 minutes"), 90: ("an hour and a half", "90 minutes", "1.5 hours"),
        120: ("two hours", "2 h", "120 min"), 180: ("three hours", "3 h"), 240: ("4 hours", "four hours"),
    },
    later=("in {span}", "{span} from now", "in about {span}, when the batch is done"),
    now=("", "", "now", "right away", "at once"),
    ages={
        1: ("an hour ago", "1 h ago"), 2: ("two hours ago", "2 hours ago"), 4: ("four hours ago", "4 h ago"), 6: ("six hours ago", "6 hours ago"),
        12: ("half a day ago", "twelve hours ago"), 24: ("one day ago", "24 h ago"), 48: ("two days ago", "48 hours ago"), 72: ("three days ago", "3 days ago"),
    },
    days={1: ("one day", "24 hours"), 3: ("three days", "3 days"), 5: ("five days", "5 days"), 7: ("a week", "7 days"), 14: ("two weeks", "14 days"), 21: ("three weeks", "21 days"), 30: ("30 days", "thirty days")},
    roles={
        "read": ("read access", "view rights", "read-only access"),
        "write": ("write access", "editing rights", "rights to change entries"),
        "admin": ("admin rights", "full control", "administrator access"),
    },
    narrowed=("{role}, not {not_role},", "{role} ({not_role} would be too much)", "{role} instead of {not_role}"),
    priorities={
        "P1": ("nobody can work", "the whole company is at a standstill", "everything is down", "critical, we lose money every minute"),
        "P2": ("many customers are affected", "high priority", "half of the users feel it", "urgent, though people can still work"),
        "P3": ("only a few people notice", "normal priority", "one team is held up a little", "medium, there is a workaround"),
        "P4": ("it is just cosmetic", "low priority", "no hurry at all", "trivial, whenever there is time"),
    },
    password={
        True: ("and set a new password", "and reset the password as well", "with a fresh password, the old one is forgotten"),
        False: ("", "but keep the password", "and leave the password alone", "the password is still known"),
    },
    requests={
        "restart_service": (
            "please restart {it} {when}", "can someone bounce {it} {when}?", "kill {it} and start it again {when}", "turn {it} off and on again {when}", "we need a restart of {it} {when}",
            "a reboot of {it} {when} should do", "let {it} come up afresh {when}", "stop {it} and bring it back up {when}",
        ),
        "roll_back": (
            "put {it} back to {good}", "go back to {good} with {it}, {bad} is broken", "undo the release of {it}, we want {good} again", "swap {bad} for {good} again for {it}",
            "return {it} to version {good}, the last good one", "please install the older {good} for {it} in place of {bad}", "since {bad} nothing works, so {good} for {it} again",
        ),
        "scale_service": (
            "run {it} with {n} instances", "take {it} from {old} to {n} copies", "we need {n} pods for {it}, there are {old}", "please set {it} to {n} replicas", "make it {n} workers for {it} instead of {old}",
            "{n} instances of {it} please, {old} don't fit the load", "resize {it} so that {n} nodes serve it",
        ),
        "restore_backup": (
            "bring back the data of {it} as it was {age}", "use the backup of {it} from {age}", "please restore {it} to the state of {age}", "reset the tables of {it} to how they were {age}", "load the dump of {it} taken {age}",
            "we want the records of {it} from {age} again", "data of {it} should be what it was {age}",
        ),
        "open_incident": (
            "please open an incident for {it}: {prio}", "raise {it} as an incident, {prio}", "{prio}; log an incident for {it}", "call the on-call people about {it}, {prio}", "this has to be an incident ({it}), {prio}",
            "file an incident about {it} ({prio})", "put {it} on record as an incident: {prio}",
        ),
        "mute_alerts": (
            "silence the pager for {it} for {span}", "no alarms for {it} for {span} please", "mute whatever {it} sends for the next {span}", "switch the warnings of {it} off for {span}", "stop paging us about {it} for {span}",
            "{span} of quiet from the monitoring of {it} please", "hold back all notices about {it} for {span}",
        ),
        "grant_access": (
            "give {who} {role} to {system} for {days}", "{who} needs {role} to {system} for {days}", "please add {role} to {system} for {who}, {days} will do", "for {days}, {who} should have {role} to {system}",
            "set up {role} for {who} on {system}, valid {days}", "can {who} get {role} to {system}? {days}, not more", "let {who} have {role} to {system} over the next {days}",
        ),
        "unlock_account": (
            "unlock {who} on {system} {password}", "let {who} log in to {system} again {password}", "{who} is locked out of {system}, open it up {password}", "please free the {system} account of {who} {password}",
            "too many tries by {who} on {system}, lift the lock {password}", "reactivate {who} in {system} {password}", "the {system} login of {who} is blocked, unblock it {password}",
        ),
    },
    not_this={
        "restart_service": ("a restart did not help", "I restarted it twice, no change", "please no restart, people are logged in", "bouncing it is off the table"),
        "roll_back": ("the last release was undone already", "do not touch the version", "going back to an older version is no option", "the version was put back last night, that wasn't it"),
        "scale_service": ("more instances were added, useless", "it has enough instances", "extra pods won't solve it", "scaling was done an hour back"),
        "restore_backup": ("the backup was put back this morning", "no need to bring back old data", "do not restore anything, the data is intact", "we loaded the dump, that part is done"),
        "open_incident": ("the incident is open already", "no incident needed", "somebody has raised it as an outage", "don't make an incident of it"),
        "mute_alerts": ("the alarms have been silenced", "leave the alarms on", "do not mute the alerts", "the pager is quiet since noon, fine"),
        "grant_access": ("the rights were given last week", "no new rights are needed", "don't add any role", "access as such was set up yesterday"),
        "unlock_account": ("the account is not locked", "the lock was lifted already", "login works, no unlocking please", "no new password needed, login is fine"),
    },
    not_here=("all good {other_env}", "nothing wrong {other_env}", "don't touch it {other_env}", "{other_env} it behaves", "leave the one {other_env} alone"),
    openers=(
        "{svc} {env} is slow since lunch", "users get errors from {svc} {env}", "{svc} {env} behaves oddly", "we have trouble with {svc} {env}", "{svc} {env} answers late or not at all", "something is wrong with {svc} {env}",
        "the graph of {svc} {env} went red", "this is about {svc} {env}", "after the release {svc} {env} is not what it was", "since nine o'clock {svc} {env} acts up", "the team watched {svc} {env} all morning", "we ran a job against {svc} {env} and it failed",
    ),
    user_openers=(
        "{who} joined us on Monday", "there is a question about {who}", "{who} came to my desk about {system}", "{who} called, it is about {system}", "{who} sees an error page in {system}", "{system} does not let {who} in", "{who} has work to do in {system}",
    ),
    not_user=("{other} is fine", "{other} asked for this, not for the account of {other}", "it is not about {other}", "{other} has it already", "written on behalf of our boss {other}"),
    subjects=("Subject: {svc} {env}\n", "Re: {svc} {env}\n"),
    background=(
        "the disk is {pct}% full by the way", "we have a demo at {hour} o'clock", "some {pct} people use it", "the same happened {pct} days ago", "the certificate is valid for another {pct} days", "nobody changed the settings",
        "a new colleague is on duty this week", "last month version 1.0 of the handbook came out", "the network was checked, {hour} hops and all fine", "our contract promises answers within {hour} hours", "the memory stays under {pct}%",
        "the customer has asked twice", "the log is quiet", "I have been on this since {hour} am",
    ),
    tails=("", "", "", "thanks, {first}", "call me at ext. {ext} if anything is unclear", "asked by {first} in sales", "pls confirm when done", "we talked about it this morning", "{first}, night shift", "cheers"),
)  # fmt: skip

HELD_OUT = Bank(
    services=(
        "checkout-web", "geo-lookup", "fraud-scorer", "members-db", "pdf-builder", "chat-bridge", "tax-engine", "audit-log", "coupon-api", "tickets-db", "speech-router", "label-maker",
    ),
    systems=("erp", "intranet", "timesheets", "mailbox", "helpdesk", "codebase", "planner", "bookings"),
    people=("Sofia Lund", "Marco Bianchi", "Ella Frost", "Ivan Petrov", "Aisha Khan", "Noah Price", "Helga Stein", "Bruno Dias", "Carla Vega", "Sam Oduya", "Wanda Kos", "Finn Laine"),
    environments={
        "production": ("where the customers are (live)", "on PRD", "on the productive machines", "live"),
        "staging": ("on preprod", "in the stage environment", "on our staging box"),
        "test": ("on the testers' machines", "on TEST", "on the testbed"),
        "development": ("on DEV", "where the developers try things", "on the development box"),
    },
    spans={
        10: ("10 mins", "ten mins"), 15: ("a quarter hour", "15 mins"), 20: ("20 mins", "twenty minutes"), 30: ("30 mins", "half of an hour"), 45: ("45 mins", "45 minutes"), 60: ("one hour", "60 mins"),
        90: ("one and a half hours", "1h30"), 120: ("2 hrs", "two full hours"), 180: ("3 hrs", "three full hours"), 240: ("4 hrs", "four full hours"),
    },
    later=("after {span}", "after a wait of {span}", "but wait {span} first"),
    now=("", "", "immediately", "asap", "this very minute"),
    ages={
        1: ("60 minutes ago", "one hour back"), 2: ("two hours back", "2 hrs ago"), 4: ("4 hrs ago", "four hours back"), 6: ("6 hrs ago", "six hours back"),
        12: ("12 hrs ago", "half a day back"), 24: ("a day back", "this time yesterday"), 48: ("two days back", "2 days ago"), 72: ("three days back", "72 hrs ago"),
    },
    days={1: ("a single day", "24 hrs"), 3: ("three whole days", "72 hours"), 5: ("five whole days", "5 d"), 7: ("one week", "7 d"), 14: ("a fortnight", "2 weeks"), 21: ("3 weeks", "21 d"), 30: ("a month of 30 days", "30 d")},
    roles={
        "read": ("permission to look at things", "a viewer's rights", "reading permission"),
        "write": ("permission to edit", "an author's rights", "writing permission"),
        "admin": ("administration permission", "the rights of an admin", "complete power"),
    },
    narrowed=("{role} (by no means {not_role})", "{role} rather than {not_role}", "{role}; {not_role} was refused,"),
    priorities={
        "P1": ("all of us are stopped dead", "total failure, money is burning", "not one user gets through", "most critical level"),
        "P2": ("a great number of clients suffer", "priority: high", "pretty urgent, lots of complaints", "large parts of the staff are hit"),
        "P3": ("a handful of colleagues have seen it", "priority: medium", "an everyday nuisance, one can get around it", "a single department is slowed down"),
        "P4": ("a mere blemish", "priority: low", "can wait for weeks", "hardly worth the paper"),
    },
    password={
        True: ("plus a different password", "new password included", "and issue another password since the present one got lost"),
        False: ("", "password stays the same", "without altering the password", "no fiddling with the password"),
    },
    requests={
        "restart_service": (
            "give {it} a fresh start {when}", "cycle {it} {when}", "would you shut {it} down and launch it anew {when}?", "time to power-cycle {it} {when}", "what {it} wants is stopping and starting, {when}", "relaunch {it} {when}",
        ),
        "roll_back": (
            "I'd like {good} back for {it}", "downgrade {it} to {good}", "revert {it} from {bad} to its predecessor {good}", "get rid of {bad}; {it} was happy under {good}", "the former build {good} must replace {bad} for {it}", "back out {bad}, {it} belongs at {good}",
        ),
        "scale_service": (
            "grow or shrink {it} from {old} to {n} units", "{it} ought to have {n} containers", "change the number of machines behind {it}: {n}, was {old}", "adjust {it} from {old} to {n} processes", "what {it} requires is {n} parallel copies", "{old} containers for {it} is the wrong number, {n} is right",
        ),
        "restore_backup": (
            "rewind the contents of {it} to {age}", "recover {it} from the snapshot made {age}", "could you revive the saved copy of {it} from {age}?", "the rows in {it} got damaged, fetch the saved ones from {age}", "replay the snapshot of {it} ({age})", "get us the content that {it} had {age}",
        ),
        "open_incident": (
            "register a case on {it}; {prio}", "start the incident process over {it} - {prio}", "we should get {it} into the incident list, {prio}", "an official incident about {it} is due: {prio}", "alert the duty team by a new incident on {it} ({prio})", "{prio}. Create an incident concerning {it}",
        ),
        "mute_alerts": (
            "keep monitoring from beeping over {it} during {span}", "pause alerting on {it}, duration {span}", "suppress each alarm by {it} throughout {span}", "I don't want to be woken by {it} within {span}", "snooze {it} in the monitoring, {span}", "hush the bells of {it} for a good {span}",
        ),
        "grant_access": (
            "{who} should receive {role} on {system}, lasting {days}", "could you assign {who} {role} in {system}, expiry: {days}", "arrange {role} in {system} to the benefit of {who} - {days}", "my request: {role} on {system}, person {who}, period {days}", "for a period of {days} allow {who} {role} in {system}",
        ),
        "unlock_account": (
            "release the blocked {system} login belonging to {who}, {password}", "{who} mistyped too often at {system}: remove the block, {password}", "re-enable {who} at {system}, {password}", "{who} is shut out from {system}; end that, {password}", "clear the lockout that {who} has on {system}, {password}",
        ),
    },
    not_this={
        "restart_service": ("we've rebooted, to no avail", "rebooting is forbidden today", "power-cycling got us nowhere", "nobody should stop or start it"),
        "roll_back": ("downgrading isn't wanted", "the build was reverted at dawn", "keep the current build", "an older build made no difference"),
        "scale_service": ("container count is okay", "adding containers brought nothing", "its size has been adjusted before", "please don't resize"),
        "restore_backup": ("the snapshot has been recovered", "contents are healthy, forget the snapshot", "recovering saved rows isn't the way", "nothing to rewind, no rows got lost"),
        "open_incident": ("it's registered as a case", "an official case would be overdone", "duty team is informed", "spare us another case"),
        "mute_alerts": ("monitoring should go on beeping", "beeping was paused before lunch", "don't snooze anything", "hushing the monitoring isn't the point"),
        "grant_access": ("permissions are complete", "an extra permission isn't required", "permissions were arranged in spring", "nothing to assign"),
        "unlock_account": ("there is no block on the login", "signing in is possible", "the lockout is history", "nobody mistyped anything"),
    },
    not_here=("no complaints about the one {other_env}", "{other_env} everything is okay", "stay away from its twin {other_env}", "its copy {other_env} may stay as is"),
    openers=(
        "{svc} {env} gives us headaches", "complaints pour in about {svc} {env}", "I'm writing because of {svc} {env}", "{svc} {env} times out every other click", "look at {svc} {env}", "our eyes are on {svc} {env} today", "{svc} {env} has been shaky for a while",
        "there's smoke coming out of {svc} {env}", "the monthly run choked on {svc} {env}", "{svc} {env} isn't its old self",
    ),
    user_openers=("my colleague {who} needs help", "{who} is stuck", "a word about {who} and {system}", "{who} wrote to me from home", "it concerns {system} and {who}", "{who} tried {system} today"),
    not_user=("{other} only passes this on", "{other} is served, thanks", "no action for {other}", "please don't mix this up with {other}"),
    subjects=("[{svc} {env}] ", "Topic - {svc} {env}:\n"),
    background=(
        "it is raining in through the roof as well", "audit comes at {hour}", "CPU sits near {pct} percent", "roughly {pct} clicks a second", "my holiday begins in {hour} days", "the vendor was phoned, {hour} minutes on hold", "firewall rules are as ever",
        "this is my ticket number {pct} this year", "printing works, strangely", "backup tapes cost us {pct} euros",
    ),
    tails=("", "", "", "regards, {first}", "my desk is room {ext}", "sent by {first} from the train", "a short note afterwards would be nice", "{first} / logistics", "ta"),
)  # fmt: skip

BANKS = {"train": TRAIN, "held_out": HELD_OUT}
