-- The journal's schema and statements. Each block `-- name: xxx` is one entry of kazoo_tasks.store.statement.
-- `schema_N` brings a file from version N-1 to N; released ones are never edited, the next one is appended.
-- Before it runs, the older file is read by `read_meta` and `count_tasks`; one that fails takes all of them back.
-- `:rows` stands for a list of row values.

-- name: schema_1
PRAGMA application_id = 1801550452; -- "kazt"
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES
    ('epoch', 0),     -- the number of the last start
    ('clean', 1),     -- 0 from the start until a stop that wrote everything
    ('next_seq', 1);  -- above every removed task; those that are there speak for themselves
CREATE TABLE task (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    module TEXT NOT NULL,
    function TEXT NOT NULL,
    arguments BLOB NOT NULL,
    submitted_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    attempt INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    stop_asked INTEGER NOT NULL,
    error TEXT,
    result BLOB,
    progress BLOB
) STRICT;
-- Append-only: no unique index, the later row of a request wins when they are read.
CREATE TABLE remembered (
    number INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    msg_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    reply BLOB NOT NULL,
    at INTEGER NOT NULL
) STRICT;

-- Texts that the release before took in and nobody can write again give way to words that say so; the file as it was is
-- kept beside. `mended` is of kazoo_tasks.store.mending.
-- name: schema_2
ALTER TABLE task ADD COLUMN checkpoint BLOB;
UPDATE task SET progress = NULL WHERE progress <> mended(progress);
UPDATE task SET result = mended(result) WHERE result <> mended(result);
UPDATE task SET
    error = '(<0.0.0>) error: expected arguments that can be written again, got such as a release before took in',
    started_at = coalesce(started_at, submitted_at),
    -- Gregorian seconds of now, unless the clock is behind.
    ended_at = max(coalesce(started_at, submitted_at), CAST(strftime('%s', 'now') AS INTEGER) + 62167219200)
WHERE ended_at IS NULL AND arguments <> mended(arguments);
UPDATE task SET arguments = CAST('[' || mended(arguments) || ']' AS BLOB) WHERE arguments <> mended(arguments);

-- name: schema_3
ALTER TABLE task ADD COLUMN version TEXT;

-- The audit is append-only: who asked for what and what was answered. Nobody's table but the audit's: it outlives its tasks.
-- name: schema_4
ALTER TABLE task ADD COLUMN priority INTEGER;
ALTER TABLE task ADD COLUMN start_at INTEGER;
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    account_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    verb TEXT NOT NULL,
    answer TEXT NOT NULL,
    task_id TEXT,       -- of the one task, or of the first that were added together
    module TEXT,
    function TEXT,
    count INTEGER NOT NULL,
    first_seq INTEGER,  -- as the task's id tells it; absent if there is no such task
    last_seq INTEGER,
    seqs TEXT,          -- of several tasks: '5-9,12'
    auth_account_id TEXT,
    msg_id TEXT,
    request_id TEXT,
    node TEXT,
    client_ip TEXT,
    detail BLOB
) STRICT;
-- Ascending by `number`, as every index within what it is by. That of tasks grows at its end: no page of it is
-- written again for each request, as if it were by ids.
CREATE INDEX audit_by_account ON audit (account_id);
CREATE INDEX audit_by_task ON audit (first_seq) WHERE first_seq IS NOT NULL AND seqs IS NULL;
CREATE INDEX audit_by_tasks ON audit (account_id, first_seq, last_seq) WHERE seqs IS NOT NULL;

-- name: schema_5
ALTER TABLE task ADD COLUMN concurrency_key TEXT;
ALTER TABLE task ADD COLUMN retry BLOB;
ALTER TABLE task ADD COLUMN retry_at INTEGER;
ALTER TABLE task ADD COLUMN history BLOB; -- JSON texts of the attempts before the last one, with commas between
ALTER TABLE task ADD COLUMN began_at INTEGER;
ALTER TABLE task ADD COLUMN schedule_id TEXT;
-- What is kept beside tasks, as JSON text: schedules.
CREATE TABLE document (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    text BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

-- For reading an older file as the newest release would, without changing it.
-- name: view_1
CREATE TEMP VIEW task AS SELECT *, NULL AS checkpoint, NULL AS version, NULL AS priority, NULL AS start_at,
    NULL AS concurrency_key, NULL AS retry, NULL AS retry_at, NULL AS history, NULL AS began_at,
    NULL AS schedule_id FROM main.task

-- name: view_2
CREATE TEMP VIEW task AS SELECT *, NULL AS version, NULL AS priority, NULL AS start_at,
    NULL AS concurrency_key, NULL AS retry, NULL AS retry_at, NULL AS history, NULL AS began_at,
    NULL AS schedule_id FROM main.task

-- name: view_3
CREATE TEMP VIEW task AS SELECT *, NULL AS priority, NULL AS start_at,
    NULL AS concurrency_key, NULL AS retry, NULL AS retry_at, NULL AS history, NULL AS began_at,
    NULL AS schedule_id FROM main.task

-- name: view_4
CREATE TEMP VIEW task AS SELECT *,
    NULL AS concurrency_key, NULL AS retry, NULL AS retry_at, NULL AS history, NULL AS began_at,
    NULL AS schedule_id FROM main.task

-- name: read_meta
SELECT key, value FROM meta

-- name: write_meta
UPDATE meta SET value = ? WHERE key = ?

-- name: raise_meta
UPDATE meta SET value = max(value, ?) WHERE key = ?

-- name: count_tasks
SELECT count(*) FROM task

-- name: read_tasks
SELECT seq, id, account_id, module, function, arguments, submitted_at, started_at, ended_at, attempt, epoch,
       stop_asked, error, result, progress, checkpoint, version, priority, start_at,
       concurrency_key, retry, retry_at, history, began_at, schedule_id
FROM task ORDER BY seq

-- name: put_tasks
INSERT OR REPLACE INTO task (
    seq, id, account_id, module, function, arguments, submitted_at, started_at, ended_at, attempt, epoch,
    stop_asked, error, result, progress, checkpoint, version, priority,
    start_at, concurrency_key, retry, retry_at, history, began_at, schedule_id
) VALUES :rows

-- name: remove_tasks
DELETE FROM task WHERE seq IN (VALUES :rows)

-- name: put_documents
INSERT OR REPLACE INTO document (kind, id, text) VALUES :rows

-- name: remove_documents
DELETE FROM document WHERE (kind, id) IN (VALUES :rows)

-- name: read_documents
SELECT kind, id, text FROM document ORDER BY kind, id

-- name: read_remembered
SELECT owner, msg_id, digest, reply, at FROM remembered ORDER BY number

-- name: remember
INSERT INTO remembered (owner, msg_id, digest, reply, at) VALUES :rows

-- A few only, so that it costs a commit the same whatever there is.
-- name: read_oldest
SELECT number, length(reply), at FROM remembered ORDER BY number LIMIT ?

-- name: forget
DELETE FROM remembered WHERE number <= ?

-- name: put_audit
INSERT INTO audit (
    account_id, at, verb, answer, task_id, module, function, count, first_seq, last_seq, seqs,
    auth_account_id, msg_id, request_id, node, client_ip, detail
) VALUES :rows

-- name: count_audit
SELECT account_id, count(*) FROM audit GROUP BY account_id

-- name: audit_of_account
SELECT number, account_id, at, verb, answer, task_id, module, function, count, first_seq, last_seq, seqs,
       auth_account_id, msg_id, request_id, node, client_ip, detail
FROM audit WHERE account_id = ? AND number <= ? ORDER BY number DESC LIMIT ?

-- name: audit_of_task
SELECT number, account_id, at, verb, answer, task_id, module, function, count, first_seq, last_seq, seqs,
       auth_account_id, msg_id, request_id, node, client_ip, detail
FROM audit WHERE first_seq = ? AND seqs IS NULL AND account_id = ? AND task_id = ? AND number <= ?
ORDER BY number DESC LIMIT ?

-- Only so many of them, from the nearest on: an account may have very many of which none is about the task.
-- name: audit_of_tasks
SELECT number, account_id, at, verb, answer, task_id, module, function, count, first_seq, last_seq, seqs,
       auth_account_id, msg_id, request_id, node, client_ip, detail
FROM audit WHERE number IN (
    SELECT number FROM (
        SELECT number, last_seq FROM audit WHERE account_id = ? AND first_seq <= ? AND seqs IS NOT NULL
        ORDER BY first_seq DESC LIMIT ?
    ) WHERE last_seq >= ?
) AND number <= ?

-- name: read_audit
SELECT number, account_id, at, verb, answer, task_id, module, function, count, first_seq, last_seq, seqs,
       auth_account_id, msg_id, request_id, node, client_ip, detail
FROM audit

-- name: oldest_audit
SELECT number, account_id, at FROM audit ORDER BY number LIMIT ?

-- name: drop_audit
DELETE FROM audit WHERE number <= ?

-- name: drop_audit_of
DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE account_id = ? ORDER BY number LIMIT ?)
