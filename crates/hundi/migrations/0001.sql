-- The schema of Hundi. One text for both engines: {bytes}, {payout_id} and so on are filled in by store/.
-- Three classes of tables (DESIGN 5): directory, merchant (every key starts with merchant_id) and inbox (by connector).

-- Directory --------------------------------------------------------------------------------------------------------

CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) {clustered};

-- A process that serves leases a number from here; payout ids are made of it.
CREATE TABLE processes (
    process     BIGINT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL,
    fence       BIGINT NOT NULL
) {clustered};

CREATE TABLE merchants (
    merchant_id       BIGINT NOT NULL PRIMARY KEY,
    merchant          TEXT NOT NULL UNIQUE,
    state             BIGINT NOT NULL,
    payout_most_paise BIGINT,
    day_most_paise    BIGINT,
    fees_neft         TEXT NOT NULL,
    fees_rtgs         TEXT NOT NULL,
    fees_imps         TEXT NOT NULL,
    fees_upi          TEXT NOT NULL,
    callback_url      {bytes},
    callback_pending  BIGINT NOT NULL,
    callback_secret   {bytes} NOT NULL,
    actor             TEXT NOT NULL,
    created_at        BIGINT NOT NULL
);

CREATE TABLE tokens (
    token_id        BIGINT NOT NULL PRIMARY KEY,
    token_hash      {bytes} NOT NULL UNIQUE,
    merchant_id     BIGINT NOT NULL,
    allow_ip        TEXT NOT NULL,
    rate_per_minute BIGINT,
    actor           TEXT NOT NULL,
    created_at      BIGINT NOT NULL,
    revoked_at      BIGINT
);

-- Who changed what about a merchant, one line for each change. `what` holds no URL and no secret.
CREATE TABLE settings_history (
    merchant_id BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    actor       TEXT NOT NULL,
    what        TEXT NOT NULL,
    PRIMARY KEY (merchant_id, seq)
) {clustered};

-- Merchant ---------------------------------------------------------------------------------------------------------

-- All accounts of a merchant in one row, so that a movement writes one row here whatever its legs.
CREATE TABLE accounts (
    merchant_id    BIGINT NOT NULL PRIMARY KEY,
    wallet_paise   BIGINT NOT NULL CHECK (wallet_paise >= 0),
    reserved_paise BIGINT NOT NULL CHECK (reserved_paise >= 0),
    fees_paise     BIGINT NOT NULL,
    gst_paise      BIGINT NOT NULL,
    banks          TEXT NOT NULL,
    journal_seq    BIGINT NOT NULL,
    journal_at     BIGINT NOT NULL,
    journal_link   {bytes} NOT NULL,
    day            BIGINT NOT NULL,
    day_paise      BIGINT NOT NULL
) {clustered};

CREATE TABLE payouts (
    merchant_id  BIGINT NOT NULL,
    payout_id    {payout_id},
    order_id     TEXT NOT NULL,
    rail         BIGINT NOT NULL,
    amount_paise BIGINT NOT NULL CHECK (amount_paise > 0),
    fee_paise    BIGINT NOT NULL CHECK (fee_paise >= 0),
    gst_paise    BIGINT NOT NULL CHECK (gst_paise >= 0),
    fingerprint  {bytes} NOT NULL,
    sealed       {bytes} NOT NULL,
    name         TEXT NOT NULL,
    hint         TEXT NOT NULL,
    actor        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    state        BIGINT NOT NULL,
    held         BIGINT NOT NULL,
    attempts     BIGINT NOT NULL,
    connector    TEXT,
    reference    TEXT,
    paid_attempt BIGINT,
    refused_by   TEXT NOT NULL,
    send_before  BIGINT NOT NULL,
    enquiries    BIGINT NOT NULL,
    next_at      BIGINT,
    queue_until  BIGINT NOT NULL,
    rrn          TEXT NOT NULL,
    reason       TEXT NOT NULL,
    updated_at   BIGINT NOT NULL,
    news         BIGINT NOT NULL,
    version      BIGINT NOT NULL,
    UNIQUE ({order_key}){payouts_key}
);
-- What is due. Only open payouts are in it, so it stays as small as the work at hand.
CREATE INDEX payouts_due ON payouts (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE journal (
    merchant_id        BIGINT NOT NULL,
    seq                BIGINT NOT NULL,
    at                 BIGINT NOT NULL,
    kind               BIGINT NOT NULL,
    amount_paise       BIGINT NOT NULL CHECK (amount_paise > 0),
    fee_paise          BIGINT NOT NULL CHECK (fee_paise >= 0),
    gst_paise          BIGINT NOT NULL CHECK (gst_paise >= 0),
    payout_id          BIGINT,
    connector          TEXT,
    actor              TEXT NOT NULL,
    memo               TEXT NOT NULL,
    wallet_after_paise BIGINT NOT NULL,
    link               {bytes} NOT NULL,
    PRIMARY KEY (merchant_id, seq)
) {clustered};

CREATE TABLE payout_history (
    merchant_id BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    version     BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    event       TEXT NOT NULL,
    actor       TEXT NOT NULL,
    detail      TEXT NOT NULL,
    PRIMARY KEY (merchant_id, payout_id, version)
) {clustered};

CREATE TABLE callbacks (
    merchant_id BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    seq         BIGINT NOT NULL,
    news        BIGINT NOT NULL,
    rrn         TEXT NOT NULL,
    state       BIGINT NOT NULL,
    tries       BIGINT NOT NULL,
    next_at     BIGINT,
    result      TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, payout_id, seq)
) {clustered};
-- By merchant, so that what one merchant has waiting costs the others nothing.
CREATE INDEX callbacks_due ON callbacks (merchant_id, next_at) WHERE next_at IS NOT NULL;

CREATE TABLE complaints (
    merchant_id  BIGINT NOT NULL,
    complaint_id BIGINT NOT NULL,
    payout_id    BIGINT NOT NULL,
    state        BIGINT NOT NULL,
    text         {bytes} NOT NULL,
    actor        TEXT NOT NULL,
    created_at   BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, complaint_id)
) {clustered};

CREATE TABLE complaint_history (
    merchant_id  BIGINT NOT NULL,
    complaint_id BIGINT NOT NULL,
    seq          BIGINT NOT NULL,
    event        TEXT NOT NULL,
    text         {bytes} NOT NULL,
    actor        TEXT NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (merchant_id, complaint_id, seq)
) {clustered};

-- Inbox ------------------------------------------------------------------------------------------------------------

-- Which payout and attempt one of our references belongs to: one row for each attempt.
CREATE TABLE bank_references (
    connector   TEXT NOT NULL,
    reference   TEXT NOT NULL,
    merchant_id BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    attempt     BIGINT NOT NULL,
    PRIMARY KEY (connector, reference)
) {clustered};

-- A bank credit funds one wallet, once.
CREATE TABLE bank_credits (
    connector    TEXT NOT NULL,
    reference    TEXT NOT NULL,
    merchant_id  BIGINT NOT NULL,
    amount_paise BIGINT NOT NULL,
    PRIMARY KEY (connector, reference)
) {clustered};

-- What a bank said beyond the plain answer to a payment, word for word and sealed.
CREATE TABLE bank_messages (
    connector  TEXT NOT NULL,
    reference  TEXT NOT NULL,
    message    TEXT NOT NULL,
    source     TEXT NOT NULL,
    body       {bytes} NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (connector, reference, message)
) {clustered};

CREATE TABLE exceptions (
    connector   TEXT NOT NULL,
    reference   TEXT NOT NULL,
    kind        BIGINT NOT NULL,
    merchant_id BIGINT,
    payout_id   BIGINT,
    detail      TEXT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (connector, reference, kind)
) {clustered};
