-- Bank credits that statements book by themselves, and debits that are withdrawn once.

-- A credit that a person has booked (`by_hand_at`) has no `line` until a statement's line tells of it. `day` is the Indian day,
-- counted from 1970, on which the bank has booked it or, until then, the person. Of credits before schema 7 neither is known.
ALTER TABLE bank_credits ADD COLUMN day BIGINT;
ALTER TABLE bank_credits ADD COLUMN by_hand_at BIGINT;
ALTER TABLE bank_credits ADD COLUMN line TEXT;
UPDATE bank_credits SET line = (SELECT MIN(l.line) FROM statement_lines l WHERE l.connector = bank_credits.connector
    AND l.reference = bank_credits.reference AND l.side = 1 AND l.result = 3 AND l.amount_paise = bank_credits.amount_paise);
-- A line books one credit.
CREATE UNIQUE INDEX bank_credits_line ON bank_credits (connector, line) WHERE line IS NOT NULL;
-- Credits that may be one under two names.
CREATE INDEX bank_credits_near ON bank_credits (connector, amount_paise, day);
CREATE INDEX bank_credits_expected ON bank_credits (connector, by_hand_at) WHERE line IS NULL AND by_hand_at IS NOT NULL;

-- What else banks call the credits of which statements have told (the class `inbox`).
CREATE TABLE credit_names (
    connector TEXT NOT NULL,
    name      TEXT NOT NULL,
    reference TEXT NOT NULL,
    PRIMARY KEY (connector, name, reference)
) {clustered};

-- By what a credit is known to be a merchant's (the class `directory`): kind 1, an account that the bank keeps for him, of which
-- `shown` are the last four; kind 2, words. `hash` is a keyed hash of the number or the words, so each is one merchant's. One that was removed has `ended_at`.
CREATE TABLE credit_rules (
    connector   TEXT NOT NULL,
    hash        {bytes} NOT NULL,
    merchant_id BIGINT NOT NULL,
    kind        BIGINT NOT NULL,
    shown       TEXT NOT NULL,
    sealed      {bytes} NOT NULL,
    actor       TEXT NOT NULL,
    at          BIGINT NOT NULL,
    ended_at    BIGINT,
    PRIMARY KEY (connector, hash)
) {clustered};

-- One debit of a bank sends money back once: `debit` is what a withdrawal's bank calls it. Where two were proposed or approved
-- under one before schema 7, only the first has it.
ALTER TABLE proposals ADD COLUMN debit TEXT;
UPDATE proposals SET debit = bank_reference WHERE what = 6 AND state IN (1, 2) AND NOT EXISTS (SELECT 1 FROM proposals o
    WHERE o.what = 6 AND o.state IN (1, 2) AND o.connector = proposals.connector
    AND o.bank_reference = proposals.bank_reference
    AND (o.state > proposals.state OR o.state = proposals.state AND o.proposal_id < proposals.proposal_id));
CREATE UNIQUE INDEX proposals_debit ON proposals (connector, debit) WHERE debit IS NOT NULL AND state IN (1, 2);
