-- Over which rails a merchant's payouts may go (0 as ordered, 1 auto), and over which each was sent.

ALTER TABLE merchants ADD COLUMN rail_choice BIGINT NOT NULL DEFAULT 0;
-- The rails over which it may be sent, a bit for each; null: as it was ordered.
ALTER TABLE payouts ADD COLUMN rails BIGINT;
-- The rail of its last attempt; null: as it was ordered.
ALTER TABLE payouts ADD COLUMN sent_rail BIGINT;
-- The rail of the attempt; null: as its payout was ordered.
ALTER TABLE bank_references ADD COLUMN rail BIGINT;
