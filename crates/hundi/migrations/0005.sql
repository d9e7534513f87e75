-- Files that are exchanged with banks, by connector (the class `inbox`). What a file says is not kept here, only its name and
-- its hash: it can be written again from its rows.

-- Which process works on a connector's files, or on its statements (NAME/statements): one at a time.
CREATE TABLE bank_shares (
    connector   TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL,
    fence       BIGINT NOT NULL
) {clustered};

-- Files of orders. state: 1 gathered, 2 recorded (name and hash), 3 released (its name may appear at the bank), 4 uploaded,
-- 5 in doubt, 6 empty. `fence` is that of the lease under which it was recorded last.
CREATE TABLE bank_files (
    connector TEXT NOT NULL,
    number    BIGINT NOT NULL,
    name      TEXT NOT NULL,
    hash      {bytes} NOT NULL,
    transfers BIGINT NOT NULL,
    sum_paise BIGINT NOT NULL,
    state     BIGINT NOT NULL,
    fence     BIGINT NOT NULL,
    made_at   BIGINT NOT NULL,
    moved_at  BIGINT NOT NULL,
    PRIMARY KEY (connector, number)
) {clustered};

-- Which file a reference is in, for ever: the file's number, 0 while it waits for one, -1 if it was left out of it.
CREATE TABLE bank_file_rows (
    connector   TEXT NOT NULL,
    reference   TEXT NOT NULL,
    merchant_id BIGINT NOT NULL,
    payout_id   BIGINT NOT NULL,
    file        BIGINT NOT NULL,
    at          BIGINT NOT NULL,
    PRIMARY KEY (connector, reference)
) {clustered};
CREATE INDEX bank_file_rows_by_file ON bank_file_rows (connector, file, at, reference);

-- Files that banks have left for us, each once by its hash. result: 1 used, 2 not or not all of it.
CREATE TABLE bank_answers (
    connector TEXT NOT NULL,
    hash      TEXT NOT NULL,
    name      TEXT NOT NULL,
    result    BIGINT NOT NULL,
    about     BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (connector, hash)
) {clustered};
