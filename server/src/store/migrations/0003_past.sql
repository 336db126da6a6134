-- Final challenges that were decided long ago. Binary ids, a digest for the relying party's key and few indexes keep a row small: three of
-- them share a page of 4 KiB.

CREATE TABLE challenge_past (
    id BYTEA PRIMARY KEY,
    relying_party_id TEXT NOT NULL,
    subject_id BYTEA NOT NULL,
    subject_number BIGINT NOT NULL,
    verdict_number BIGINT NOT NULL,
    key_digest BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
CREATE UNIQUE INDEX challenge_past_in_order ON challenge_past (subject_id, subject_number);
CREATE INDEX challenge_past_verdicts ON challenge_past (relying_party_id, verdict_number);
CREATE INDEX challenge_past_by_key ON challenge_past (key_digest);
