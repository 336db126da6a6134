-- An activation waits for the clerk's signature before it is good. A CHECK cannot be changed in place in every engine: the table is
-- made anew.

CREATE TABLE activation_signed (
    id TEXT PRIMARY KEY,
    subject_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('awaiting_signature', 'issued', 'begun', 'awaiting_confirmation', 'confirmed', 'revoked', 'expired')),
    expires_at BIGINT NOT NULL,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
INSERT INTO activation_signed (id, subject_id, state, expires_at, version, sealed)
    SELECT id, subject_id, state, expires_at, version, sealed FROM activation;
DROP TABLE activation;
ALTER TABLE activation_signed RENAME TO activation;
CREATE INDEX activation_open ON activation (expires_at)
    WHERE state IN ('awaiting_signature', 'issued', 'begun', 'awaiting_confirmation');
CREATE INDEX activation_of_subject ON activation (subject_id)
    WHERE state IN ('awaiting_signature', 'issued', 'begun', 'awaiting_confirmation');
