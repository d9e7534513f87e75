-- Reconciliation: what the banks' statements say, by connector (the class `inbox`).

-- The statements that were read to their end. `statement` is a keyed hash of all that it says, so the same one is kept once.
CREATE TABLE statements (
    connector     TEXT NOT NULL,
    statement     TEXT NOT NULL,
    bank_id       TEXT NOT NULL,
    account       {bytes} NOT NULL,
    hint          TEXT NOT NULL,
    file          {bytes} NOT NULL,
    from_at       BIGINT NOT NULL,
    to_at         BIGINT NOT NULL,
    opening_paise BIGINT,
    closing_paise BIGINT,
    credits       BIGINT NOT NULL,
    credit_paise  BIGINT NOT NULL,
    debits        BIGINT NOT NULL,
    debit_paise   BIGINT NOT NULL,
    bad           BIGINT NOT NULL,
    actor         TEXT NOT NULL,
    at            BIGINT NOT NULL,
    PRIMARY KEY (connector, statement)
) {clustered};

-- Their booked lines, each once, however many statements have it. The key begins with what the line is called, so that
-- lines of payouts that were ordered together lie together, and all lines of one reference are found at once.
CREATE TABLE statement_lines (
    connector    TEXT NOT NULL,
    reference    TEXT NOT NULL,
    line         TEXT NOT NULL,
    side         BIGINT NOT NULL,
    amount_paise BIGINT NOT NULL CHECK (amount_paise > 0),
    booked_at    BIGINT NOT NULL,
    sealed       {bytes} NOT NULL,
    result       BIGINT NOT NULL,
    kind         BIGINT,
    matched      BIGINT NOT NULL,
    merchant_id  BIGINT,
    payout_id    BIGINT,
    attempt      BIGINT,
    rail         BIGINT,
    at           BIGINT NOT NULL,
    PRIMARY KEY (connector, reference, line)
) {clustered};
-- Lines that were found by the bank's reference have another key than their payout's other lines.
CREATE INDEX statement_lines_by_payout ON statement_lines (merchant_id, payout_id) WHERE matched = 2;
