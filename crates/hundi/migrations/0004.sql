-- What one operator proposes and another approves (the class `directory`). The house's accounts are a row of `accounts`.

-- `subject` says all of what is proposed in one text: the same is proposed once at a time. `connector`, `reference` and
-- `kind` name an attempt, or an exception; `sides` two accounts; `detail` what the exception told when this was proposed.
CREATE TABLE proposals (
    proposal_id    BIGINT NOT NULL PRIMARY KEY,
    what           BIGINT NOT NULL,
    subject        TEXT NOT NULL,
    merchant_id    BIGINT,
    payout_id      BIGINT,
    connector      TEXT,
    reference      TEXT NOT NULL,
    bank_reference TEXT NOT NULL,
    amount_paise   BIGINT CHECK (amount_paise > 0),
    sides          TEXT NOT NULL,
    kind           BIGINT,
    detail         TEXT NOT NULL,
    reason         TEXT NOT NULL CHECK (reason <> ''),
    proposed_by    TEXT NOT NULL CHECK (REPLACE(proposed_by, ' ', '') <> ''),
    proposed_at    BIGINT NOT NULL,
    expires_at     BIGINT NOT NULL,
    state          BIGINT NOT NULL CHECK (state IN (1, 2, 3, 4)),
    decided_by     TEXT NOT NULL,
    decided_at     BIGINT,
    decided_why    TEXT NOT NULL,
    CHECK (state = 1 OR decided_at IS NOT NULL),
    -- Two people, whatever they call themselves: case and spaces do not make two of one.
    CHECK (state <> 2 OR (REPLACE(decided_by, ' ', '') <> ''
        AND LOWER(REPLACE(decided_by, ' ', '')) <> LOWER(REPLACE(proposed_by, ' ', ''))))
) {clustered};
CREATE UNIQUE INDEX proposals_open ON proposals (subject) WHERE state = 1;
-- What a bank paid by an attempt is collected or written off once.
CREATE UNIQUE INDEX proposals_borne ON proposals (connector, reference) WHERE state = 2 AND what IN (4, 5);

-- Who looks at an exception; since when it needs nobody any more, and by which proposal.
ALTER TABLE exceptions ADD COLUMN assignee TEXT;
ALTER TABLE exceptions ADD COLUMN resolved_at BIGINT;
ALTER TABLE exceptions ADD COLUMN proposal_id BIGINT;
-- Few payouts have one; what two people say of a payout is judged by all of its exceptions.
CREATE INDEX exceptions_by_payout ON exceptions (merchant_id, payout_id) WHERE payout_id IS NOT NULL;
