-- Which connectors the operator has paused. A connector without a row, or without `paused_at`, is not paused; actor and
-- reason are those of the last change.
CREATE TABLE connectors (
    connector TEXT NOT NULL PRIMARY KEY,
    paused_at BIGINT,
    actor     TEXT NOT NULL,
    reason    TEXT NOT NULL
) {clustered};
