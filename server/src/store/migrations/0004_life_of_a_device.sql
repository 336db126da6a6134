-- The states that a device lacked. A CHECK cannot be changed in place in every engine: the table is made anew.

CREATE TABLE device_life (
    id TEXT PRIMARY KEY,
    subject_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN
        ('awaiting_confirmation', 'quarantined', 'active', 'suspended', 'locked', 'revoked', 'replaced', 'expired')),
    due_at BIGINT,
    version BIGINT NOT NULL,
    sealed BYTEA NOT NULL
);
INSERT INTO device_life (id, subject_id, state, due_at, version, sealed)
    SELECT id, subject_id, state, due_at, version, sealed FROM device;
DROP TABLE device;
ALTER TABLE device_life RENAME TO device;
CREATE INDEX device_by_subject ON device (subject_id);
CREATE INDEX device_due ON device (due_at) WHERE due_at IS NOT NULL;
