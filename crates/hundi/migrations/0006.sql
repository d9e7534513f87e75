-- What banks have said of references of ours that are not known here: payments of a time that a restored backup has
-- forgotten. Found by the reference, which is derived again when the merchant sends the OrderID again.
CREATE TABLE forgotten_payments (
    reference    TEXT NOT NULL,
    connector    TEXT NOT NULL,
    said         BIGINT NOT NULL,
    amount_paise BIGINT,
    rrn          TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (reference, connector, said)
) {clustered};

-- What a statement booked on a day, for the day's report. Lines come by day, so new entries lie at the end of it.
CREATE INDEX statement_lines_by_day ON statement_lines (connector, booked_at);

-- Each time an alert was raised (raised = 1) or cleared, in order; the last one is how it stands. `next_at` is set until
-- the operator's machine has been told.
CREATE TABLE alerts (
    kind    TEXT NOT NULL,
    subject TEXT NOT NULL,
    seq     BIGINT NOT NULL,
    raised  BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    detail  TEXT NOT NULL,
    tries   BIGINT NOT NULL,
    next_at BIGINT,
    result  TEXT NOT NULL,
    PRIMARY KEY (kind, subject, seq)
) {clustered};
