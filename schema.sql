-- Botticelli: the whole database. PostgreSQL 14 or newer. Safe to apply twice.
-- Applied by `botticelli db init` (and by every command that writes to an empty database); by hand: psql -f schema.sql
-- Time is timestamptz throughout.

-- The time of this database's clock when the statement began. A test puts another in its place for its session:
-- SET botticelli.now = '2026-11-24 12:00Z'.
CREATE OR REPLACE FUNCTION botticelli_now() RETURNS timestamptz LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(pg_catalog.current_setting('botticelli.now', true), '')::pg_catalog.timestamptz,
                    pg_catalog.statement_timestamp())
$$;

-- The same, read anew at each call: for a statement that may have waited for a lock.
CREATE OR REPLACE FUNCTION botticelli_clock() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT coalesce(nullif(pg_catalog.current_setting('botticelli.now', true), '')::pg_catalog.timestamptz,
                    pg_catalog.clock_timestamp())
$$;

-- Since version 5: what was approved is what is sent. The hash of a text, and whether a post still has the text that was
-- approved; a null hash: it came in by SQL, and nobody approved another text.
CREATE OR REPLACE FUNCTION botticelli_text_hash(p_text text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce(p_text, ''), 'UTF8')), 'hex')
$$;
CREATE OR REPLACE FUNCTION botticelli_is_as_approved(p_text text, p_hash text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_hash IS NULL
        OR p_hash = pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce(p_text, ''), 'UTF8')), 'hex')
$$;

-- Since version 7: a post is more than its text. The hash of all that is sent; of a text alone it is that of the text. A post
-- whose approved_hash is another one is not as it was approved.
CREATE OR REPLACE FUNCTION botticelli_post_hash(
    p_text text, p_title text, p_link text, p_language text, p_parts jsonb, p_attached text
) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(coalesce(p_text, '')
           || CASE WHEN coalesce(p_title, p_link, p_language, p_parts::text, p_attached) IS NULL THEN ''
                   ELSE E'\x1f' || coalesce(pg_catalog.quote_literal(p_title), '') || ',' || coalesce(pg_catalog.quote_literal(p_link), '')
                        || ',' || coalesce(pg_catalog.quote_literal(p_language), '') || ',' || coalesce(p_parts::text, '')
                        || ',' || coalesce(p_attached, '') END, 'UTF8')), 'hex')
$$;

-- Since version 6: equal for texts that count as the same. Case, blanks, emphasis and the last mark make no other text;
-- every other character does ("C" is not "C#", 1.5 not 15). No character class here: in a database of the C locale, as our
-- own is, [:alnum:] knows no letter beyond ASCII, and all posts in Greek would be the same.
CREATE OR REPLACE FUNCTION botticelli_text_key(p_text text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.rtrim(pg_catalog.regexp_replace(pg_catalog.lower(p_text), '[\s*_~`]+', '', 'g'), '.!?')
$$;

-- An instant that stands in JSON; null if it is none.
CREATE OR REPLACE FUNCTION botticelli_time(p_text text) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN p_text::pg_catalog.timestamptz;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END $$;

-- Since version 6: an id that stands in JSON; null if it is none.
CREATE OR REPLACE FUNCTION botticelli_id(p_json jsonb) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_json::text ~ '^[0-9]{1,18}$' THEN p_json::text::bigint END
$$;

CREATE TABLE IF NOT EXISTS schema_version (
    version     integer     PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT botticelli_now()
);

-- ---------------------------------------------------------------------------------------------
-- Stages: pause switch, breaker, last outcome; runs; locks
-- ---------------------------------------------------------------------------------------------

-- One row for each stage, created here so that `UPDATE ... SET is_paused = true WHERE actor_name = ...` always finds it.
CREATE TABLE IF NOT EXISTS actor_server_state (
    task_id               text        PRIMARY KEY,          -- collect | generate | curate | post | observe
    actor_name            text        NOT NULL UNIQUE,
    is_paused             boolean     NOT NULL DEFAULT false,
    last_run              timestamptz,
    last_success          timestamptz,
    last_failure          timestamptz,
    last_error            text,
    next_run              timestamptz,
    consecutive_failures  integer     NOT NULL DEFAULT 0,
    circuit_opened_at     timestamptz,                      -- not null: the breaker is open (or half open)
    metadata              jsonb       NOT NULL DEFAULT '{}',
    updated_at            timestamptz NOT NULL DEFAULT botticelli_now()
);

INSERT INTO actor_server_state (task_id, actor_name) VALUES
    ('collect',  'Source Collection Actor'),
    ('generate', 'Content Generation Actor'),
    ('curate',   'Content Curation Actor'),
    ('post',     'Discord Posting Actor'),
    ('observe',  'Engagement Observation Actor')
ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS runs (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage        text        NOT NULL,                      -- collect | generate | curate | post | run
    state        text        NOT NULL DEFAULT 'running'
                 CHECK (state IN ('running',                -- in progress, or killed: see locks
                                  'done',                   -- running -> done
                                  'failed',                 -- running -> failed: some work failed
                                  'interrupted')),          -- running -> interrupted: signal, or its lease expired
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT botticelli_now(),
    ended_at     timestamptz,
    exit_code    integer,
    summary      jsonb       NOT NULL DEFAULT '{}',
    error        text,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS runs_by_stage ON runs (stage, started_at DESC);
CREATE INDEX IF NOT EXISTS runs_succeeded ON runs (stage, started_at DESC, id DESC) WHERE state = 'done' AND exit_code = 0;
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS runs_by_end ON runs (ended_at);
CREATE INDEX IF NOT EXISTS runs_under_way ON runs (stage) WHERE state = 'running';

-- A stage lock is a lease with a fence; anybody may take an expired one.
CREATE TABLE IF NOT EXISTS locks (
    name          text        PRIMARY KEY,
    holder        text        NOT NULL,                     -- host:pid:random, unique to one start
    host          text        NOT NULL,
    pid           integer     NOT NULL,
    run_id        bigint      REFERENCES runs (id) ON DELETE SET NULL,
    fence         bigint      NOT NULL DEFAULT 1,
    acquired_at   timestamptz NOT NULL DEFAULT botticelli_now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT botticelli_now(),
    expires_at    timestamptz NOT NULL                      -- in the past: free
);

-- ---------------------------------------------------------------------------------------------
-- Generation: batches, items, prompts and answers
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS batches (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    narrative   text        NOT NULL,                       -- as the user named it: file stem[.name]
    options     jsonb       NOT NULL DEFAULT '{}',          -- what a resuming process needs (iterations, model)
    state       text        NOT NULL DEFAULT 'open'
                CHECK (state IN ('open', 'done', 'abandoned')),
    run_id      bigint      REFERENCES runs (id) ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT botticelli_now(),
    ended_at    timestamptz,
    CHECK ((state = 'open') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS batches_open ON batches (id) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS batches_by_narrative ON batches (narrative, created_at);
CREATE INDEX IF NOT EXISTS batches_by_run ON batches (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS generation_items (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id          bigint      NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    narrative         text        NOT NULL,                 -- name of the narrative that is run
    iteration         integer     NOT NULL CHECK (iteration >= 1),
    state             text        NOT NULL DEFAULT 'pending'
                      CHECK (state IN ('pending',           -- -> running
                                       'running',           -- -> done | failed | pending (released, or lease expired)
                                       'done',
                                       'failed',            -- permanently; last_error says why
                                       'abandoned')),       -- its batch was abandoned
    attempts          integer     NOT NULL DEFAULT 0,
    acts_done         integer     NOT NULL DEFAULT 0,       -- finished acts: deeper items need fewer calls
    retry_at          timestamptz,                          -- not claimed before this
    last_error        text,
    lease_owner       text,
    lease_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    created_at        timestamptz NOT NULL DEFAULT botticelli_now(),
    ended_at          timestamptz,
    UNIQUE (batch_id, narrative, iteration),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS generation_items_open
    ON generation_items (batch_id, id) WHERE state IN ('pending', 'running');
-- Since version 6: the next one of a long batch is found without looking at the others.
CREATE INDEX IF NOT EXISTS generation_items_next
    ON generation_items (batch_id, acts_done, id) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS generation_items_expiring
    ON generation_items (batch_id, lease_expires_at) WHERE state = 'running';

-- Every attempt at every act, failed ones included. Append-only: no answer of a model is discarded.
DO $$
DECLARE
    old record;
BEGIN
    IF to_regclass('model_calls') IS NULL
       AND (SELECT relkind FROM pg_class WHERE oid = to_regclass('act_executions')) = 'r' THEN
        ALTER TABLE act_executions RENAME TO model_calls;   -- until version 5
        FOR old IN SELECT relname FROM pg_class JOIN pg_index ON indexrelid = oid
                    WHERE indrelid = to_regclass('model_calls') AND relname LIKE 'act\_executions%' LOOP
            EXECUTE format('ALTER INDEX %I RENAME TO %I', old.relname, replace(old.relname, 'act_executions', 'model_calls'));
        END LOOP;
    END IF;
END $$;

CREATE TABLE IF NOT EXISTS model_calls (
    id                   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id               bigint      REFERENCES runs (id) ON DELETE SET NULL,
    item_id              bigint      REFERENCES generation_items (id) ON DELETE SET NULL,
    narrative            text        NOT NULL,
    iteration            integer     NOT NULL DEFAULT 1,
    act_name             text        NOT NULL,
    place                text        NOT NULL DEFAULT '',   -- the act that called its narrative: '2/inner#1/'
    sequence_number      integer     NOT NULL,              -- place in the run of its narrative, from 0
    attempt              integer     NOT NULL DEFAULT 1,
    inputs_digest        text        NOT NULL,              -- sha256 over everything that decides the answer: reuse key
    prompt               text,                              -- of version 5; null: in parts
    state                text        NOT NULL
                         CHECK (state IN ('done',           -- usable; reused when the item is resumed
                                          'failed',         -- no answer: error says why
                                          'unusable')),     -- the answer, complete in response, could not be used
    provider             text,
    model                text,                              -- as asked for
    model_version        text,                              -- as served
    provider_request_id  text,
    finish_reason        text,
    response             text,
    error                text,
    input_tokens         bigint,                            -- as the provider reported them
    cached_tokens        bigint,
    output_tokens        bigint,
    thought_tokens       bigint,
    cost_usd             numeric(14, 8),
    latency_ms           integer,
    grant_seq            bigint,                            -- ledger_grants.seq
    created_at           timestamptz NOT NULL DEFAULT botticelli_now(),
    CHECK (state <> 'done' OR response IS NOT NULL)
);
-- Since version 3.
ALTER TABLE model_calls
    ADD COLUMN IF NOT EXISTS place text NOT NULL DEFAULT '';
DROP INDEX IF EXISTS model_calls_reuse;                                      -- until version 5
CREATE INDEX IF NOT EXISTS model_calls_by_item
    ON model_calls (item_id, sequence_number) WHERE item_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS model_calls_by_run ON model_calls (run_id, id);
CREATE INDEX IF NOT EXISTS model_calls_by_time ON model_calls (created_at);
-- Since version 7.
CREATE INDEX IF NOT EXISTS model_calls_of_renditions
    ON model_calls (place) WHERE item_id IS NULL AND place LIKE 'rendition:%';

-- Since version 6: prompts repeat each other (the context, instructions, earlier answers), so each of their parts is stored
-- once. A part ends with a paragraph whose hash says so: the same text is cut in the same places wherever it stands.
CREATE TABLE IF NOT EXISTS prompt_parts (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest   bytea       NOT NULL UNIQUE,                   -- sha256
    text     text        NOT NULL,
    used_at  timestamptz NOT NULL                           -- by a call of that time, or up to a day later
);
CREATE INDEX IF NOT EXISTS prompt_parts_by_use ON prompt_parts (used_at);
ALTER TABLE model_calls
    ADD COLUMN IF NOT EXISTS parts bigint[];                -- prompt_parts.id, in order
CREATE INDEX IF NOT EXISTS model_calls_inline ON model_calls (id) WHERE prompt IS NOT NULL;

-- Store a prompt and return its parts. Nobody waits for who uses the same ones.
CREATE OR REPLACE FUNCTION botticelli_store_prompt(p_prompt text, p_at timestamptz) RETURNS bigint[]
LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    texts text[];
    digests bytea[];
BEGIN
    IF p_prompt IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(t.part ORDER BY t.n), array_agg(sha256(convert_to(t.part, 'UTF8')) ORDER BY t.n) INTO texts, digests
      FROM (SELECT place AS n, string_agg(paragraph, E'\n\n' ORDER BY n) AS part
              FROM (SELECT *, count(*) FILTER (WHERE ends) OVER (ORDER BY n DESC) AS place
                      FROM (SELECT n, paragraph,
                                   get_byte(sha256(convert_to(paragraph, 'UTF8')), 0) < 48
                                   OR lead(paragraph) OVER (ORDER BY n) ~ '^\[(user|assistant|model|system)\]\n' AS ends
                              FROM unnest(string_to_array(p_prompt, E'\n\n')) WITH ORDINALITY AS u (paragraph, n)) AS p) AS q
             GROUP BY place) AS t;
    UPDATE prompt_parts SET used_at = p_at WHERE digest = ANY (digests) AND used_at < p_at - interval '1 day';
    INSERT INTO prompt_parts (digest, text, used_at)
    SELECT DISTINCT ON (u.digest) u.digest, u.part, p_at
      FROM unnest(texts, digests) AS u (part, digest)
     WHERE NOT EXISTS (SELECT FROM prompt_parts AS k WHERE k.digest = u.digest)
     ORDER BY u.digest
        ON CONFLICT (digest) DO NOTHING;
    RETURN ARRAY (SELECT k.id
                    FROM unnest(digests) WITH ORDINALITY AS u (digest, n)
                    JOIN prompt_parts AS k USING (digest)
                   ORDER BY u.n DESC);
END $$;

-- The calls as they always were, to be read and written. (No view for monitoring: it holds whole texts.)
CREATE OR REPLACE
VIEW act_executions AS
    SELECT id, run_id, item_id, narrative, iteration, act_name, place, sequence_number, attempt, inputs_digest,
           CASE WHEN parts IS NULL THEN prompt
                ELSE (SELECT coalesce(string_agg(coalesce(p.text, '[removed]'), E'\n\n' ORDER BY u.n), '')
                        FROM unnest(parts) WITH ORDINALITY AS u (id, n)
                        LEFT JOIN prompt_parts AS p ON p.id = u.id) END AS prompt,
           state, provider, model, model_version, provider_request_id, finish_reason, response, error,
           input_tokens, cached_tokens, output_tokens, thought_tokens, cost_usd, latency_ms, grant_seq, created_at
      FROM model_calls;
CREATE OR REPLACE FUNCTION botticelli_insert_call() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    NEW.created_at := coalesce(NEW.created_at, botticelli_now());
    NEW.iteration := coalesce(NEW.iteration, 1);
    NEW.attempt := coalesce(NEW.attempt, 1);
    NEW.place := coalesce(NEW.place, '');
    NEW.id := coalesce(NEW.id, nextval(pg_get_serial_sequence('model_calls', 'id')));
    INSERT INTO model_calls (id, run_id, item_id, narrative, iteration, act_name, place, sequence_number, attempt,
                             inputs_digest, parts, state, provider, model, model_version, provider_request_id,
                             finish_reason, response, error, input_tokens, cached_tokens, output_tokens, thought_tokens,
                             cost_usd, latency_ms, grant_seq, created_at)
    OVERRIDING SYSTEM VALUE
    VALUES (NEW.id, NEW.run_id, NEW.item_id, NEW.narrative, NEW.iteration, NEW.act_name, NEW.place, NEW.sequence_number,
            NEW.attempt, NEW.inputs_digest, botticelli_store_prompt(NEW.prompt, NEW.created_at), NEW.state, NEW.provider,
            NEW.model, NEW.model_version, NEW.provider_request_id, NEW.finish_reason, NEW.response, NEW.error,
            NEW.input_tokens, NEW.cached_tokens, NEW.output_tokens, NEW.thought_tokens, NEW.cost_usd, NEW.latency_ms,
            NEW.grant_seq, NEW.created_at);
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER insert_call INSTEAD OF INSERT ON act_executions
    FOR EACH ROW EXECUTE FUNCTION botticelli_insert_call();
-- Who was allowed something about the table is allowed the same about the view.
DO $$
DECLARE
    granted record;
BEGIN
    FOR granted IN
        SELECT a.privilege_type, a.grantee
          FROM pg_class AS c, aclexplode(c.relacl) AS a
         WHERE c.oid = to_regclass('model_calls') AND a.grantee <> c.relowner
           AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
    LOOP
        EXECUTE format('GRANT %s ON act_executions TO %s', granted.privilege_type,
                       CASE granted.grantee WHEN 0 THEN 'PUBLIC' ELSE granted.grantee::regrole::text END);
    END LOOP;
END $$;

-- What an item in progress has read and done besides model calls: rows, results of commands, narratives that ran within
-- it. A resumed item neither repeats them nor asks a different question. Removed when the item is done.
CREATE TABLE IF NOT EXISTS item_memory (
    item_id     bigint      NOT NULL REFERENCES generation_items (id) ON DELETE CASCADE,
    place       text        NOT NULL,                       -- '1.0': act 1, input 0; '2/inner#1/': what act 2 ran
    value       text        NOT NULL,                       -- JSON; as text, because jsonb refuses NUL
    created_at  timestamptz NOT NULL DEFAULT botticelli_now(),
    PRIMARY KEY (item_id, place)
);

-- ---------------------------------------------------------------------------------------------
-- Candidates and approved posts: the users' own names; columns are nullable, so that narratives
-- with different JSON shapes can share them
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS potential_discord_posts (
    id                bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    text_content      text,
    content_type      text,
    source            text,
    tags              jsonb,
    review_status     text        NOT NULL DEFAULT 'pending'
                      CHECK (review_status IN ('pending',   -- -> judging
                                               'judging',   -- -> pending (released) | approved | rejected | held
                                               'approved',  -- copied to approved_discord_posts
                                               'rejected',  -- judged; scores and notes stay readable
                                               'held',      -- needs a person
                                               'posted')),  -- its approved post is published
    generated_at      timestamptz NOT NULL DEFAULT botticelli_now(),
    source_narrative  text,
    source_act        text,
    generation_model  text,
    rating            integer,
    score_engagement  integer     CHECK (score_engagement BETWEEN 1 AND 10),
    score_clarity     integer     CHECK (score_clarity    BETWEEN 1 AND 10),
    score_value       integer     CHECK (score_value      BETWEEN 1 AND 10),
    score_tone        integer     CHECK (score_tone       BETWEEN 1 AND 10),
    score_polish      integer     CHECK (score_polish     BETWEEN 1 AND 10),
    curation_score    numeric(5, 2),                        -- total of 50, computed in code
    curation_notes    text,
    judged_at         timestamptz,                          -- scores are stored immediately, the choice comes later
    judge_model       text,
    decided_at        timestamptz,
    decided_by        text,
    decision_reason   text,                                 -- why it was approved, held or rejected, for a person
    content_hash      text,                                 -- of the normalized text
    duplicate_of      bigint      REFERENCES potential_discord_posts (id) ON DELETE SET NULL,
    run_id            bigint      REFERENCES runs (id) ON DELETE SET NULL,
    item_id           bigint      REFERENCES generation_items (id) ON DELETE SET NULL,
    execution_id      bigint      REFERENCES model_calls (id) ON DELETE SET NULL,  -- the answer that contained it
    extra             jsonb       NOT NULL DEFAULT '{}',    -- keys of the answer without a column here
    judging           jsonb       NOT NULL DEFAULT '{}',    -- basis of the scores: hash of the text, samples, ...
    history           jsonb       NOT NULL DEFAULT '[]',    -- decisions and edits of people, oldest first
    lease_owner       text,
    lease_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    attempts          integer     NOT NULL DEFAULT 0,
    last_error        text
);
-- Since version 2.
ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS execution_id bigint REFERENCES model_calls (id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS judging jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS history jsonb NOT NULL DEFAULT '[]';
-- Since version 5.
ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS decision_reason text;
-- Since version 7: what a post has besides its text. All may be null: the text alone is the post.
ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS title text,
    ADD COLUMN IF NOT EXISTS link text,
    ADD COLUMN IF NOT EXISTS language text,                 -- as in BCP 47: en, de-AT
    ADD COLUMN IF NOT EXISTS parts jsonb,                   -- the texts of its messages, in order; text_content has them all
    ADD COLUMN IF NOT EXISTS attached text;                 -- hash of its rows of post_media, kept by a trigger
DROP INDEX IF EXISTS potential_open, potential_held, potential_by_hash;        -- until version 5
CREATE INDEX IF NOT EXISTS potential_to_judge
    ON potential_discord_posts (id) WHERE review_status IN ('pending', 'judging') AND judged_at IS NULL;
-- In the order in which a person is shown them.
CREATE INDEX IF NOT EXISTS potential_by_review
    ON potential_discord_posts (review_status, jsonb_path_query_first(judging, '$.proposed ? (@.type() == "number")'),
                                curation_score DESC NULLS LAST, id);
CREATE INDEX IF NOT EXISTS potential_by_status ON potential_discord_posts (review_status, generated_at, id);
CREATE INDEX IF NOT EXISTS potential_by_time ON potential_discord_posts (generated_at);
CREATE INDEX IF NOT EXISTS potential_deck
    ON potential_discord_posts (review_status, coalesce(curation_score, -1) DESC, id);  -- of the desk, since version 8
CREATE INDEX IF NOT EXISTS potential_by_text ON potential_discord_posts (content_hash, id);
CREATE INDEX IF NOT EXISTS potential_by_item ON potential_discord_posts (item_id);
CREATE INDEX IF NOT EXISTS potential_by_run ON potential_discord_posts (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS potential_by_judging ON potential_discord_posts (judged_at) WHERE judged_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS potential_set_aside
    ON potential_discord_posts (decided_at) WHERE decided_by = 'auto' AND judged_at IS NULL;
CREATE INDEX IF NOT EXISTS potential_rejected
    ON potential_discord_posts (coalesce(decided_at, generated_at)) WHERE review_status = 'rejected';
CREATE INDEX IF NOT EXISTS potential_by_execution ON potential_discord_posts (execution_id);
CREATE INDEX IF NOT EXISTS potential_repeated
    ON potential_discord_posts (duplicate_of) WHERE duplicate_of IS NOT NULL;

CREATE TABLE IF NOT EXISTS approved_discord_posts (
    id                bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    candidate_id      bigint      UNIQUE REFERENCES potential_discord_posts (id) ON DELETE SET NULL,
    text_content      text,
    content_type      text,
    source            text,
    tags              jsonb,
    curation_score    numeric(5, 2),
    curation_notes    text,
    selected_at       timestamptz NOT NULL DEFAULT botticelli_now(),
    generated_at      timestamptz NOT NULL DEFAULT botticelli_now(),
    source_narrative  text,
    source_act        text,
    generation_model  text,
    rating            integer,
    review_status     text        NOT NULL DEFAULT 'pending'
                      CHECK (review_status IN ('pending',   -- waits for its deliveries
                                               'posting',   -- a delivery is in progress
                                               'posted',    -- every delivery is published
                                               'failed',    -- a delivery failed permanently
                                               'held',      -- needs a person
                                               'withdrawn')),
    posted_at         timestamptz,
    approved_by       text,
    approved_hash     text,                                 -- botticelli_text_hash of the text that was approved
    run_id            bigint      REFERENCES runs (id) ON DELETE SET NULL,
    extra             jsonb       NOT NULL DEFAULT '{}'
);
-- Since version 5; what waits in an older database counts as approved with the text that it has.
ALTER TABLE approved_discord_posts
    ADD COLUMN IF NOT EXISTS approved_hash text;
UPDATE approved_discord_posts
   SET approved_hash = botticelli_text_hash(text_content)
 WHERE approved_hash IS NULL
   AND approved_by IS NOT NULL
   AND review_status IN ('pending', 'posting', 'held', 'failed')
   AND NOT EXISTS (SELECT FROM schema_version WHERE version >= 5);
-- Since version 7, as of candidates.
ALTER TABLE approved_discord_posts
    ADD COLUMN IF NOT EXISTS title text,
    ADD COLUMN IF NOT EXISTS link text,
    ADD COLUMN IF NOT EXISTS language text,
    ADD COLUMN IF NOT EXISTS parts jsonb,
    ADD COLUMN IF NOT EXISTS attached text;
CREATE INDEX IF NOT EXISTS approved_open
    ON approved_discord_posts (review_status, selected_at, id) WHERE review_status IN ('pending', 'posting');
CREATE INDEX IF NOT EXISTS approved_by_posted_at ON approved_discord_posts (posted_at);
CREATE INDEX IF NOT EXISTS approved_by_selected_at ON approved_discord_posts (selected_at);
CREATE INDEX IF NOT EXISTS approved_by_time ON approved_discord_posts (generated_at);
CREATE INDEX IF NOT EXISTS approved_by_status ON approved_discord_posts (review_status, generated_at, id);
CREATE INDEX IF NOT EXISTS approved_by_run ON approved_discord_posts (run_id) WHERE run_id IS NOT NULL;
-- What is not as it was approved.
DROP INDEX IF EXISTS approved_changed;                                         -- until version 6
CREATE INDEX IF NOT EXISTS approved_altered
    ON approved_discord_posts (candidate_id)
    WHERE review_status IN ('pending', 'posting', 'held', 'failed')
      AND approved_hash <> botticelli_post_hash(text_content, title, link, language, parts, attached);

-- Since version 7: pictures, each stored once, and the posts that have them.
CREATE TABLE IF NOT EXISTS media (
    sha256      text        PRIMARY KEY CHECK (sha256 = encode(sha256(content), 'hex')),
    mime        text        NOT NULL,
    size        integer     NOT NULL GENERATED ALWAYS AS (octet_length(content)) STORED,
    width       integer,                                    -- pixels
    height      integer,
    content     bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT botticelli_now()
);
ALTER TABLE media ALTER COLUMN content SET STORAGE EXTERNAL;                   -- pictures are compressed already
CREATE INDEX IF NOT EXISTS media_by_time ON media (created_at);

CREATE TABLE IF NOT EXISTS post_media (
    id            bigint   GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    candidate_id  bigint   REFERENCES potential_discord_posts (id) ON DELETE SET NULL,
    post_id       bigint   REFERENCES approved_discord_posts (id) ON DELETE SET NULL,  -- set when it is approved; with neither: to be pruned
    position      integer  NOT NULL DEFAULT 1,
    sha256        text     NOT NULL REFERENCES media (sha256),
    alt           text     NOT NULL DEFAULT '',             -- what is to be seen, in words
    origin        jsonb    NOT NULL DEFAULT '{}',           -- file, url, or model, prompt and version
    UNIQUE (candidate_id, position),
    UNIQUE (post_id, position)
);
CREATE INDEX IF NOT EXISTS post_media_by_sha256 ON post_media (sha256);
CREATE INDEX IF NOT EXISTS post_media_left ON post_media (id) WHERE candidate_id IS NULL AND post_id IS NULL;

-- What was made of a picture for places that take no larger one, or another format: it goes out byte for byte again.
CREATE TABLE IF NOT EXISTS fitted_media (
    source  text  NOT NULL REFERENCES media (sha256) ON DELETE CASCADE,
    bounds  text  NOT NULL,                                 -- formats, bytes, pixels
    sha256  text  NOT NULL REFERENCES media (sha256) ON DELETE CASCADE,
    PRIMARY KEY (source, bounds)
);
CREATE INDEX IF NOT EXISTS fitted_media_by_sha256 ON fitted_media (sha256);

-- What may lack words for its pictures.
CREATE INDEX IF NOT EXISTS approved_with_pictures
    ON approved_discord_posts (id) WHERE attached IS NOT NULL AND review_status IN ('pending', 'held');
CREATE INDEX IF NOT EXISTS potential_with_pictures
    ON potential_discord_posts (id) WHERE attached IS NOT NULL AND review_status = 'held';

-- Keep `attached` of a candidate or post what its rows of post_media say; null: it has none.
CREATE OR REPLACE FUNCTION botticelli_attach() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    row post_media;
BEGIN
    FOR row IN SELECT (OLD).* WHERE TG_OP <> 'INSERT' UNION ALL SELECT (NEW).* WHERE TG_OP <> 'DELETE' LOOP
        UPDATE potential_discord_posts AS c SET attached = botticelli_attached(c.id, NULL)
         WHERE c.id = row.candidate_id AND c.attached IS DISTINCT FROM botticelli_attached(c.id, NULL);
        UPDATE approved_discord_posts AS p SET attached = botticelli_attached(NULL, p.id)
         WHERE p.id = row.post_id AND p.attached IS DISTINCT FROM botticelli_attached(NULL, p.id);
    END LOOP;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION botticelli_attached(p_candidate_id bigint, p_post_id bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT encode(sha256(convert_to(string_agg(sha256 || quote_literal(alt), ',' ORDER BY position), 'UTF8')), 'hex')
      FROM post_media
     WHERE candidate_id = p_candidate_id OR post_id = p_post_id
$$;
CREATE OR REPLACE TRIGGER attach AFTER INSERT OR UPDATE OR DELETE ON post_media
    FOR EACH ROW EXECUTE FUNCTION botticelli_attach();

-- Parts as they are sent; null if a hand has written what is no list of texts: the text alone is the post.
CREATE OR REPLACE FUNCTION botticelli_parts(p_parts jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_typeof(p_parts) = 'array' AND NOT jsonb_path_exists(p_parts, '$[*] ? (@.type() != "string")')
                THEN p_parts END
$$;

-- Who writes another text by SQL means that text: parts of the old one are none of it.
CREATE OR REPLACE FUNCTION botticelli_join_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.parts := NULL;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER join_parts BEFORE UPDATE OF text_content ON potential_discord_posts FOR EACH ROW
    WHEN (NEW.text_content IS DISTINCT FROM OLD.text_content AND NEW.parts IS NOT DISTINCT FROM OLD.parts)
    EXECUTE FUNCTION botticelli_join_parts();
CREATE OR REPLACE TRIGGER join_parts BEFORE UPDATE OF text_content ON approved_discord_posts FOR EACH ROW
    WHEN (NEW.text_content IS DISTINCT FROM OLD.text_content AND NEW.parts IS NOT DISTINCT FROM OLD.parts)
    EXECUTE FUNCTION botticelli_join_parts();

-- The form of a post for one destination, where that differs from the post's own.
CREATE TABLE IF NOT EXISTS renditions (
    post_id       bigint      NOT NULL REFERENCES approved_discord_posts (id) ON DELETE CASCADE,
    destination   text        NOT NULL,
    state         text        NOT NULL DEFAULT 'open'
                  CHECK (state IN ('open',                  -- -> ready | held: it is to be made
                                   'ready',                 -- is sent instead of the post's text
                                   'held')),                -- it could not be made: note says why
    text_content  text,                                     -- null: none was made yet
    parts         jsonb,                                    -- as of posts
    source_hash   text        NOT NULL,                     -- botticelli_post_hash of what it was made of: another one: stale
    note          text,
    model         text,
    execution_id  bigint      REFERENCES model_calls (id) ON DELETE SET NULL,  -- the answer that it was read from
    made_at       timestamptz NOT NULL DEFAULT botticelli_now(),
    decided_by    text,                                     -- who wrote it; null: a narrative
    PRIMARY KEY (post_id, destination),
    CHECK (state <> 'ready' OR text_content IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS renditions_open ON renditions (destination) WHERE state = 'open';
CREATE INDEX IF NOT EXISTS renditions_by_execution ON renditions (execution_id) WHERE execution_id IS NOT NULL;

-- The renditions of a post as a person is shown them; 'stale': the post was changed since, and it is made anew.
CREATE OR REPLACE FUNCTION botticelli_renditions(p_post_id bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'destination', r.destination, 'text', coalesce(r.text_content, ''), 'note', coalesce(r.note, ''),
               'model', r.model, 'decided_by', r.decided_by, 'made_at', r.made_at,
               'state', CASE WHEN r.source_hash <> botticelli_post_hash(p.text_content, p.title, p.link, p.language,
                                                                        p.parts, p.attached)
                             THEN 'stale' ELSE r.state END) ORDER BY r.destination), '[]')
      FROM renditions AS r
      JOIN approved_discord_posts AS p ON p.id = r.post_id
     WHERE r.post_id = p_post_id
$$;

-- The pictures of a candidate or post as a person is told of them: what they are, what is on them, what made them.
CREATE OR REPLACE FUNCTION botticelli_pictures(p_candidate_id bigint, p_post_id bigint) RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object(
               'position', a.position, 'sha256', a.sha256, 'mime', m.mime, 'width', m.width, 'height', m.height,
               'size', m.size, 'alt', a.alt, 'origin', a.origin) ORDER BY a.position), '[]')
      FROM post_media AS a
      JOIN media AS m USING (sha256)
     WHERE a.candidate_id = p_candidate_id OR a.post_id = p_post_id
$$;

-- Since version 6: what a new text may repeat, as curate keeps it: posts of the window, and candidates that wait; and the
-- texts of each of their terms.
CREATE TABLE IF NOT EXISTS known_texts (
    id            integer     GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    candidate_id  bigint      UNIQUE,                       -- either this one, or
    post_id       bigint      UNIQUE,                       -- that one; no foreign keys: what is gone counts no more
    hash          text        NOT NULL,                     -- botticelli_text_hash of the text when it was read
    terms         integer[]   NOT NULL,                     -- hashes that similar texts share
    meaning       bytea,                                    -- vector of its meaning, 16-bit floats; null: not known
    nearest       jsonb,                                    -- of a candidate: what it may repeat; null: not looked for yet
    known_at      timestamptz NOT NULL DEFAULT botticelli_now()
);
CREATE TABLE IF NOT EXISTS known_terms (
    term          integer     NOT NULL,
    text_id       integer     NOT NULL,                     -- known_texts.id
    PRIMARY KEY (term, text_id)
);
CREATE INDEX IF NOT EXISTS potential_unhashed
    ON potential_discord_posts (generated_at)
    WHERE content_hash IS NULL AND review_status NOT IN ('pending', 'judging');

-- ---------------------------------------------------------------------------------------------
-- Since version 7: sources, and what was found there: data from outside, to write about
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS sources (
    name           text        PRIMARY KEY,
    place          text        NOT NULL,                    -- what the configuration named; another place begins anew
    etag           text        NOT NULL DEFAULT '',
    last_modified  text        NOT NULL DEFAULT '',
    moved_to       text        NOT NULL DEFAULT '',         -- where its server says it is for good
    is_gone        boolean     NOT NULL DEFAULT false,      -- its server says 410: it is read no more
    failures       integer     NOT NULL DEFAULT 0,          -- in a row
    last_error     text,
    found_at       timestamptz,                             -- when something new was found last
    checked_at     timestamptz NOT NULL DEFAULT botticelli_now(),
    next_at        timestamptz NOT NULL DEFAULT botticelli_now()
);
CREATE TABLE IF NOT EXISTS source_items (
    id             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source         text        NOT NULL,
    key            text        NOT NULL,                    -- digest of its guid
    guid           text        NOT NULL DEFAULT '',
    url            text        NOT NULL DEFAULT '',
    address        text,                                    -- the same url however it is written
    text_key       text        NOT NULL,                    -- digest of title and text
    title          text        NOT NULL DEFAULT '',
    text           text        NOT NULL DEFAULT '',
    published_at   timestamptz,
    found_at       timestamptz NOT NULL DEFAULT botticelli_now(),
    available_at   timestamptz NOT NULL DEFAULT botticelli_now(),  -- when it may be written about; infinity: never (again)
    reuse_after    interval,
    used_at        timestamptz,                             -- when a post was last made of it
    UNIQUE (source, key)
);
CREATE INDEX IF NOT EXISTS source_items_by_address ON source_items (address) WHERE address IS NOT NULL;
CREATE INDEX IF NOT EXISTS source_items_by_text ON source_items (text_key);
CREATE INDEX IF NOT EXISTS source_items_free ON source_items (source, available_at) WHERE available_at < 'infinity';
CREATE INDEX IF NOT EXISTS source_items_told
    ON source_items (found_at) WHERE text <> '' AND available_at = 'infinity';  -- of db prune, since version 8
CREATE INDEX IF NOT EXISTS source_items_used ON source_items (source) WHERE used_at IS NOT NULL;
ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS source_item_id bigint,         -- what it was made of; no foreign key: items are pruned
    ADD COLUMN IF NOT EXISTS theme text,                    -- of [themes]; its posts expire with it
    ADD COLUMN IF NOT EXISTS expires_at timestamptz;
-- Since version 8: what is known of it before anybody reads it (angle, length, image ...), and what readers' reactions to such
-- posts have added to its score: {factor, why}.
ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS recycled_from bigint,          -- the approved post that it says anew ([destinations.NAME.recycle])
    ADD COLUMN IF NOT EXISTS only_to text,                  -- the only destination it is for; null: any
    ADD COLUMN IF NOT EXISTS features jsonb,
    ADD COLUMN IF NOT EXISTS feedback jsonb;
CREATE INDEX IF NOT EXISTS potential_recycled
    ON potential_discord_posts (recycled_from, only_to) WHERE recycled_from IS NOT NULL;
ALTER TABLE approved_discord_posts
    ADD COLUMN IF NOT EXISTS recycled_from bigint,
    ADD COLUMN IF NOT EXISTS only_to text;

-- ---------------------------------------------------------------------------------------------
-- Deliveries: one approved post to one destination; each is sent exactly once
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS deliveries (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    post_id           bigint      NOT NULL REFERENCES approved_discord_posts (id) ON DELETE CASCADE,
    destination       text        NOT NULL,
    state             text        NOT NULL DEFAULT 'pending'
                      CHECK (state IN ('pending',           -- -> sending
                                       'sending',           -- -> posted | pending | failed | held; expired: uncertain
                                       'posted',            -- the platform has it
                                       'failed',            -- the platform refused it permanently
                                       'held',              -- a person has to decide
                                       'dropped',           -- a person dropped it
                                       'withdrawn')),       -- was posted, then deleted
    nonce             text        NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 25),
    attempts          integer     NOT NULL DEFAULT 0,
    retry_at          timestamptz,
    sent_at           timestamptz,                          -- start of the first request for the current message
                                                            -- (or part) that may have arrived
    text_sent         text,                                 -- the text sent to the platform
    parts             jsonb       NOT NULL DEFAULT '[]',    -- receipts of the messages of a split text, in order
    remote_id         text,
    remote_url        text,
    posted_at         timestamptz,
    last_error        text,
    decided_by        text,                                 -- who held, marked or dropped it
    lease_owner       text,
    lease_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    history           jsonb       NOT NULL DEFAULT '[]',    -- attempts and edits, oldest first
    created_at        timestamptz NOT NULL DEFAULT botticelli_now(),
    UNIQUE (post_id, destination),
    CHECK ((state = 'sending') = (lease_expires_at IS NOT NULL)),
    CHECK (state <> 'posted' OR posted_at IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS deliveries_open
    ON deliveries (destination, state, post_id) WHERE state IN ('pending', 'sending');
CREATE INDEX IF NOT EXISTS deliveries_held ON deliveries (destination, id) WHERE state IN ('held', 'failed');
CREATE INDEX IF NOT EXISTS deliveries_posted ON deliveries (destination, posted_at DESC) WHERE posted_at IS NOT NULL;
-- Since version 6: what follows a message (a thread, a crosspost, its link) is kept with the delivery until it is done.
ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS steps jsonb NOT NULL DEFAULT '[]',  -- in order: {step, state: open | done | refused, tries, note}
    ADD COLUMN IF NOT EXISTS steps_at timestamptz,          -- when the open ones are tried next; null: none is open
    ADD COLUMN IF NOT EXISTS refused_at timestamptz;        -- when the platform refused it; it is tried after the others
-- Since version 7.
ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS messages jsonb;                -- the texts of its messages as the platform was asked for them
CREATE INDEX IF NOT EXISTS deliveries_following ON deliveries (destination, steps_at) WHERE steps_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_refused ON deliveries (destination, refused_at) WHERE refused_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_state ON deliveries (state, id);
-- Since version 7: when a post goes out. A pinned one goes first, not before its time; what has expired is held.
ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS scheduled_for timestamptz,     -- pinned to this instant by a person
    ADD COLUMN IF NOT EXISTS is_anyway boolean NOT NULL DEFAULT false,  -- also at hours and on dates that are not for posts
    ADD COLUMN IF NOT EXISTS pinned_by text,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz;        -- beside the post's own
ALTER TABLE approved_discord_posts
    ADD COLUMN IF NOT EXISTS not_before timestamptz,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS theme text;
CREATE INDEX IF NOT EXISTS deliveries_pinned
    ON deliveries (destination, scheduled_for) WHERE state = 'pending' AND scheduled_for IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_expiring ON deliveries (id) WHERE state = 'pending' AND expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS approved_expiring
    ON approved_discord_posts (id) WHERE review_status IN ('pending', 'posting') AND expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_posted_at ON deliveries (posted_at) WHERE posted_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_retried ON deliveries (created_at) WHERE attempts > 1 OR posted_at IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_message ON deliveries (remote_id) WHERE remote_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_text
    ON deliveries (hashtextextended(botticelli_text_key(text_sent), 0)) WHERE text_sent IS NOT NULL;
CREATE INDEX IF NOT EXISTS deliveries_without_text ON deliveries (posted_at) WHERE text_sent IS NULL;
CREATE INDEX IF NOT EXISTS deliveries_by_part ON deliveries USING gin (parts jsonb_path_ops) WHERE parts <> '[]';

-- Since version 5: candidates as a person decides about them. The text of an approved one is its post's: what will be
-- sent. For the program: it holds whole texts, those for monitoring do not.
DROP VIEW IF EXISTS candidate_reviews;
CREATE VIEW candidate_reviews AS
    SELECT c.id, c.review_status,
           CASE WHEN c.review_status = 'approved' AND NOT a.is_as_approved
                THEN 'changed'                              -- approved, but its post is another one now
                WHEN c.review_status = 'held' AND c.judging ? 'proposed' AND c.decided_by IS NULL
                THEN 'proposed'                             -- held because a run would have approved it
                ELSE c.review_status END AS status,
           coalesce(CASE WHEN c.review_status IN ('approved', 'posted') AND p.id IS NOT NULL
                         THEN p.text_content ELSE c.text_content END, '') AS text_content,
           c.content_type, c.source_narrative, c.generation_model, c.generated_at, c.curation_score,
           c.score_engagement, c.score_clarity, c.score_value, c.score_tone, c.score_polish,
           c.curation_notes, c.judge_model, c.judging, c.duplicate_of, c.decided_by, c.decided_at,
           c.history, c.last_error, p.id AS post_id,
           concat_ws('; ',
               CASE WHEN c.review_status = 'approved' AND NOT a.is_as_approved
                    THEN 'it was changed after it was approved'
                    WHEN c.review_status = 'approved' AND c.text_content IS DISTINCT FROM p.text_content
                    THEN 'its own row has another text; the post''s is sent'
                    WHEN c.review_status IN ('pending', 'held')
                     AND NOT botticelli_is_as_approved(c.text_content, c.judging ->> 'text_hash')
                    THEN 'the text was changed after it was judged' END,
               (SELECT string_agg(format('%s for %s: %s', d.state, d.destination, d.last_error), '; ' ORDER BY d.id)
                  FROM deliveries AS d
                 WHERE d.post_id = p.id
                   AND c.review_status = 'approved'
                   AND d.state IN ('held', 'failed')),
               coalesce(c.decision_reason, c.last_error)) AS why,
           coalesce((SELECT text_content
                       FROM approved_discord_posts
                      WHERE id = botticelli_id(c.judging #> '{repeats,post}')),
                    (SELECT text_content
                       FROM potential_discord_posts
                      WHERE id = coalesce(botticelli_id(c.judging #> '{repeats,candidate}'), c.duplicate_of)))
               AS repeats_text,                             -- what it repeats, or may repeat, for a person to compare
           s.title, s.link, s.language, s.parts, s.attached, botticelli_renditions(p.id) AS renditions,
           (SELECT jsonb_build_object('source', i.source, 'title', i.title, 'url', i.url, 'text', left(i.text, 2000))
              FROM source_items AS i
             WHERE i.id = c.source_item_id) AS made_of,     -- what it is about, as its source says it
           botticelli_pictures(c.id, p.id) AS pictures, c.feedback
      FROM potential_discord_posts AS c
      LEFT JOIN approved_discord_posts AS p
        ON p.candidate_id = c.id
     CROSS JOIN LATERAL (
           SELECT coalesce(p.approved_hash = botticelli_post_hash(p.text_content, p.title, p.link, p.language, p.parts, p.attached),
                           true) AS is_as_approved) AS a
     CROSS JOIN LATERAL (
           SELECT p.title, p.link, p.language, p.parts, p.attached
            WHERE c.review_status IN ('approved', 'posted') AND p.id IS NOT NULL
            UNION ALL
           SELECT c.title, c.link, c.language, c.parts, c.attached
            WHERE NOT (c.review_status IN ('approved', 'posted') AND p.id IS NOT NULL)) AS s;

-- ---------------------------------------------------------------------------------------------
-- The ledger: requests and tokens per provider and model, shared by all processes
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS ledger (
    key            text        PRIMARY KEY,                 -- provider/model
    rpm            integer,                                 -- allowed: limit x multiplier; null: unlimited
    tpm            bigint,
    rpd            integer,
    tpd            bigint,
    time_zone      text        NOT NULL DEFAULT 'America/Los_Angeles',  -- its midnight ends the provider's day
    last_start     timestamptz NOT NULL DEFAULT '-infinity',
    blocked_until  timestamptz NOT NULL DEFAULT '-infinity',            -- as a 429 said
    blocked_why    text,                                    -- minute | day | spend
    day            date,
    day_requests   integer     NOT NULL DEFAULT 0,
    day_tokens     bigint      NOT NULL DEFAULT 0,
    next_requests  integer     NOT NULL DEFAULT 0,          -- sent so close to midnight that they may count for tomorrow
    next_tokens    bigint      NOT NULL DEFAULT 0,
    token_ratio    real,                                    -- real tokens / estimated tokens; null: unknown
    learned        jsonb       NOT NULL DEFAULT '{}',       -- rate -> {limit, until}: from a 429's quotaValue;
                                                            -- refused -> server -> setting -> until: from a 400
    updated_at     timestamptz NOT NULL DEFAULT botticelli_now()
) WITH (fillfactor = 50);                                   -- one hot row per model: updates stay on their page
-- Since version 6: what was booked after tail_at, so that nobody adds up a whole window for each booking.
ALTER TABLE ledger
    ADD COLUMN IF NOT EXISTS tail_at timestamptz NOT NULL DEFAULT 'infinity',   -- infinity: not known
    ADD COLUMN IF NOT EXISTS tail_requests bigint NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS tail_tokens bigint NOT NULL DEFAULT 0;

CREATE TABLE IF NOT EXISTS ledger_grants (
    key         text        NOT NULL REFERENCES ledger (key) ON DELETE CASCADE,
    seq         bigint      GENERATED ALWAYS AS IDENTITY,
    start_at    timestamptz NOT NULL,                       -- when the request may be sent; never decreases with seq
    tokens      bigint      NOT NULL,                       -- reserved, then as reported
    settled_at  timestamptz,
    owner       text        NOT NULL,
    run_id      bigint,
    cost_usd    numeric(14, 8) NOT NULL DEFAULT 0,          -- reserved, then real
    PRIMARY KEY (key, seq)
);
CREATE INDEX IF NOT EXISTS ledger_grants_by_start ON ledger_grants (key, start_at);
ALTER TABLE ledger_grants SET (fillfactor = 80);            -- a settlement stays on its page

-- Since version 7: what posts cost, by the account that pays. Booked before a post is sent, and given back only if nothing was
-- published.
CREATE TABLE IF NOT EXISTS spending (
    key         text        NOT NULL,                       -- platform and account, as in deliveries.place
    day         date        NOT NULL,                       -- UTC
    dollars     numeric(14, 6) NOT NULL,
    PRIMARY KEY (key, day)
);

-- Calls that wait for an account, first come first served. Worthless after a crash.
CREATE UNLOGGED TABLE IF NOT EXISTS ledger_waiters (
    key         text        NOT NULL,
    waiter      text        NOT NULL,                       -- one waiting call
    place       bigint      GENERATED ALWAYS AS IDENTITY,
    tokens      bigint      NOT NULL,
    expires_at  timestamptz NOT NULL,                       -- it asks again before; otherwise it is dead and ignored
    PRIMARY KEY (key, waiter)
);

-- Since version 6: accounts that are booked on without waiting for the disk. PostgreSQL empties the table when it
-- recovers from a crash, after which the bookings of its last moment (three times wal_writer_delay, 0.6 s) may be lost.
DO $$
BEGIN
    IF to_regclass('ledger_alive') IS NULL THEN
        CREATE UNLOGGED TABLE ledger_alive (key text PRIMARY KEY);
        INSERT INTO ledger_alive SELECT key FROM ledger;
    END IF;
END $$;

-- After a crash: nothing is booked for a window, and no number of a lost booking is given again.
CREATE OR REPLACE FUNCTION ledger_recover(p_key text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO ledger_alive VALUES (p_key) ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM nextval(pg_get_serial_sequence('ledger_grants', 'seq')) FROM generate_series(1, 2000);
        UPDATE ledger
           SET blocked_until = greatest(blocked_until, botticelli_clock() + interval '61 seconds'),
               blocked_why = coalesce(blocked_why, 'minute')
         WHERE key = p_key AND coalesce(rpm, tpm) IS NOT NULL AND last_start > '-infinity';
    END IF;
END $$;

-- Book one request and its tokens, at the first moment that breaks no limit, if that is within p_horizon.
-- Returns the grant and the seconds until its start; or no grant, why not (requests, tokens, turn, blocked, spend, day,
-- dollars: of this model since its provider's midnight, those of calls under way as reserved; size),
-- and the seconds after which to ask again.
--
-- Why no window is ever exceeded: the row lock serialises the grants of a key, so starts never decrease with seq, and the
-- (n + rpm)-th starts at least p_window after the n-th. p_window is a minute and the p_guard seconds that may pass until
-- the request arrives. Counting in the locking statement would read the snapshot from before the wait: it overshoots.
--
-- A booking need not reach the disk before the request is sent. If PostgreSQL crashes, what was lost is older than a window
-- before anybody books again (ledger_alive), and who comes to settle a lost booking is charged (ledger_settle). What a
-- machine takes along that fails as a whole, the day's count lacks: so where a day has few requests each one is waited for.
DROP FUNCTION IF EXISTS ledger_reserve(text, text, text, bigint, bigint, numeric, integer, bigint, integer, bigint,
    double precision[], text, numeric, interval, interval, interval);   -- until version 4
DROP FUNCTION IF EXISTS ledger_reserve(text, text, text, bigint, bigint, numeric, integer, bigint, integer, bigint,
    double precision[], bigint[], text, numeric, interval, interval, interval);   -- until version 6
CREATE OR REPLACE FUNCTION ledger_reserve(
    p_key text, p_waiter text, p_owner text, p_run_id bigint, p_estimate bigint, p_cost numeric,
    p_rpm integer, p_tpm bigint, p_rpd integer, p_tpd bigint, p_shares double precision[], p_limits bigint[],
    p_zone text, p_spend numeric, p_dollars numeric,
    p_window interval, p_guard interval, p_horizon interval
) RETURNS TABLE (seq bigint, wait_seconds double precision, why text, tokens bigint)
LANGUAGE plpgsql AS $$
DECLARE
    account ledger;
    moment timestamptz;
    start timestamptz;
    later timestamptz;
    want bigint;
    today date;
    tomorrow boolean;
    is_recovering boolean;
    is_queued boolean;
    my_place bigint;
    ahead integer := 0;
    ahead_tokens bigint := 0;
    since timestamptz;
    is_new boolean;
    granted bigint;
    reason text := 'requests';
BEGIN
    SELECT * INTO account FROM ledger WHERE key = p_key FOR UPDATE;
    is_new := NOT FOUND;
    IF is_new THEN
        INSERT INTO ledger (key, time_zone) VALUES (p_key, p_zone) ON CONFLICT DO NOTHING;
        INSERT INTO ledger_alive VALUES (p_key) ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT account FROM ledger WHERE key = p_key FOR UPDATE;
    END IF;
    moment := botticelli_clock();                           -- after the lock, by this clock alone

    IF cardinality(p_limits) > 0 AND account.learned -> 'under' <> to_jsonb(p_limits) THEN
        account.learned := '{}';                            -- learned while the configuration named other limits
        IF account.blocked_why = 'day' THEN account.blocked_until := '-infinity'; END IF;
    END IF;
    IF account.learned <> '{}' THEN
        p_rpm := least(p_rpm, ledger_learned(account.learned, 'rpm', p_shares[1], moment));
        p_tpm := least(p_tpm, ledger_learned(account.learned, 'tpm', p_shares[2], moment));
        p_rpd := least(p_rpd, ledger_learned(account.learned, 'rpd', p_shares[3], moment));
        p_tpd := least(p_tpd, ledger_learned(account.learned, 'tpd', p_shares[4], moment));
    END IF;
    IF p_estimate > least(p_tpm, p_tpd) THEN
        RETURN QUERY SELECT NULL::bigint, NULL::double precision, 'size', p_estimate;
        RETURN;
    END IF;
    -- An account never seen reserves twice the estimate; afterwards the greatest ratio seen lately, and a little more.
    want := least(ceil(p_estimate * coalesce(account.token_ratio, 2.0) * 1.05), p_tpm, p_tpd);

    SELECT CASE WHEN coalesce(p_rpd > 1000, true) AND p_dollars IS NULL AND NOT is_new
                THEN set_config('synchronous_commit', 'off', true) = 'off'
                     AND NOT EXISTS (SELECT FROM ledger_alive AS l WHERE l.key = p_key) END,
           EXISTS (SELECT FROM ledger_waiters AS w WHERE w.key = p_key)
      INTO is_recovering, is_queued;
    IF is_recovering THEN
        PERFORM ledger_recover(p_key);
        SELECT blocked_until, blocked_why INTO account.blocked_until, account.blocked_why FROM ledger WHERE key = p_key;
    END IF;

    IF account.blocked_why = 'day' AND account.blocked_until > moment THEN
        DELETE FROM ledger_waiters AS w WHERE w.key = p_key AND w.waiter = p_waiter;
        RETURN QUERY SELECT NULL::bigint, extract(epoch FROM account.blocked_until - moment)::double precision, 'day', want;
        RETURN;
    END IF;

    start := greatest(moment, account.last_start);
    IF account.blocked_until > start THEN
        start := account.blocked_until;
        reason := 'blocked';
    END IF;

    IF is_queued THEN
        SELECT w.place INTO my_place FROM ledger_waiters AS w WHERE w.key = p_key AND w.waiter = p_waiter;
        SELECT count(*), coalesce(sum(w.tokens), 0) INTO ahead, ahead_tokens
          FROM ledger_waiters AS w
         WHERE w.key = p_key AND w.expires_at > moment AND (my_place IS NULL OR w.place < my_place);
    END IF;

    since := start - p_window;
    IF account.last_start <= since THEN
        account.tail_requests := 0;
        account.tail_tokens := 0;
    ELSIF account.tail_at > since THEN
        SELECT count(*), coalesce(sum(g.tokens), 0) INTO account.tail_requests, account.tail_tokens
          FROM ledger_grants AS g WHERE g.key = p_key AND g.start_at > since;
    ELSE
        SELECT account.tail_requests - count(*), account.tail_tokens - coalesce(sum(g.tokens), 0)
          INTO account.tail_requests, account.tail_tokens
          FROM ledger_grants AS g WHERE g.key = p_key AND g.start_at > account.tail_at AND g.start_at <= since;
    END IF;
    account.tail_at := since;

    IF p_rpm IS NOT NULL AND account.tail_requests > greatest(p_rpm - 1 - ahead, 0) THEN
        SELECT g.start_at + p_window INTO later
          FROM ledger_grants AS g WHERE g.key = p_key
         ORDER BY g.seq DESC OFFSET greatest(p_rpm - 1 - ahead, 0) LIMIT 1;
        IF later > start THEN start := later; reason := 'requests'; END IF;
    END IF;
    IF account.tail_tokens + want + ahead_tokens > p_tpm THEN
        SELECT q.start_at + p_window INTO later
          FROM (SELECT g.seq, g.start_at, sum(g.tokens) OVER (ORDER BY g.seq DESC) AS total
                  FROM ledger_grants AS g WHERE g.key = p_key AND g.start_at > start - p_window) AS q
         WHERE q.total + want + ahead_tokens > p_tpm
         ORDER BY q.seq DESC LIMIT 1;
        IF later > start THEN start := later; reason := 'tokens'; END IF;
    END IF;
    IF p_spend IS NOT NULL THEN
        -- Over all models of the provider; always locked second, so that nobody waits in a circle.
        PERFORM pg_advisory_xact_lock(hashtextextended('botticelli spend ' || split_part(p_key, '/', 1), 0));
        SELECT q.start_at + interval '10 minutes' + p_guard INTO later
          FROM (SELECT g.start_at, sum(g.cost_usd) OVER (ORDER BY g.start_at DESC, g.key, g.seq) AS total
                  FROM ledger_grants AS g
                 WHERE starts_with(g.key, split_part(p_key, '/', 1) || '/')
                   AND g.start_at > start - interval '10 minutes' - p_guard) AS q
         WHERE q.total + p_cost > p_spend
         ORDER BY q.start_at DESC LIMIT 1;
        IF later > start THEN start := later; reason := 'spend'; END IF;
    END IF;
    IF ahead > 0 AND start <= moment + p_horizon
       AND (ahead >= p_rpm OR ahead_tokens + want > p_tpm) THEN
        start := moment + p_horizon + interval '0.1 second'; -- room for earlier waiters, but not for all
        reason := 'turn';
    END IF;

    today := (start AT TIME ZONE p_zone)::date;
    tomorrow := ((start + p_guard) AT TIME ZONE p_zone)::date > today;
    IF account.day IS DISTINCT FROM today THEN
        account.day_requests := CASE WHEN today = account.day + 1 THEN account.next_requests ELSE 0 END;
        account.day_tokens := CASE WHEN today = account.day + 1 THEN account.next_tokens ELSE 0 END;
        account.next_requests := 0;
        account.next_tokens := 0;
    END IF;
    IF account.day_requests + 1 > p_rpd OR account.day_tokens + want > p_tpd THEN
        DELETE FROM ledger_waiters AS w WHERE w.key = p_key AND w.waiter = p_waiter;
        RETURN QUERY SELECT NULL::bigint,
            extract(epoch FROM ((today + 1)::timestamp AT TIME ZONE p_zone) - moment)::double precision, 'day', want;
        RETURN;
    END IF;

    IF p_dollars < p_cost + (SELECT coalesce(sum(g.cost_usd), 0) FROM ledger_grants AS g
                              WHERE g.key = p_key AND g.start_at >= today::timestamp AT TIME ZONE p_zone) THEN
        DELETE FROM ledger_waiters AS w WHERE w.key = p_key AND w.waiter = p_waiter;
        RETURN QUERY SELECT NULL::bigint,
            extract(epoch FROM ((today + 1)::timestamp AT TIME ZONE p_zone) - moment)::double precision, 'dollars', want;
        RETURN;
    END IF;

    IF start > moment + p_horizon THEN
        DELETE FROM ledger_waiters AS w WHERE w.key = p_key AND w.expires_at <= moment AND w.waiter <> p_waiter;
        INSERT INTO ledger_waiters (key, waiter, tokens, expires_at)
        VALUES (p_key, p_waiter, want, start - p_horizon + interval '5 seconds')
        ON CONFLICT (key, waiter) DO UPDATE SET expires_at = excluded.expires_at, tokens = excluded.tokens;
        RETURN QUERY SELECT NULL::bigint, extract(epoch FROM start - moment - p_horizon)::double precision, reason, want;
        RETURN;
    END IF;

    INSERT INTO ledger_grants (key, start_at, tokens, owner, run_id, cost_usd)
    VALUES (p_key, start, want, p_owner, p_run_id, p_cost) RETURNING ledger_grants.seq INTO granted;
    UPDATE ledger
       SET rpm = p_rpm, tpm = p_tpm, rpd = p_rpd, tpd = p_tpd, time_zone = p_zone,
           last_start = start, day = today,
           tail_at = account.tail_at,
           tail_requests = account.tail_requests + 1,
           tail_tokens = account.tail_tokens + want,
           day_requests = account.day_requests + 1,
           day_tokens = account.day_tokens + want,
           next_requests = account.next_requests + tomorrow::integer,
           next_tokens = account.next_tokens + tomorrow::integer * want,
           blocked_why = CASE WHEN blocked_until > start THEN blocked_why END,
           updated_at = moment
     WHERE key = p_key;
    IF my_place IS NOT NULL THEN
        DELETE FROM ledger_waiters AS w WHERE w.key = p_key AND w.waiter = p_waiter;
    END IF;
    RETURN QUERY SELECT granted, extract(epoch FROM start - moment)::double precision, 'granted', want;
END $$;

-- The limit learned from a 429, times the share that may be used; null: none was learned lately.
CREATE OR REPLACE FUNCTION ledger_learned(p_learned jsonb, p_rate text, p_share double precision, p_now timestamptz)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN botticelli_time(p_learned -> p_rate ->> 'until') BETWEEN p_now AND p_now + interval '8 days'
                     AND p_learned -> p_rate ->> 'limit' ~ '^[0-9]{1,18}$'
                THEN greatest(1, floor((p_learned -> p_rate ->> 'limit')::bigint * p_share + 1e-9))::bigint END
$$;

-- Replace what was reserved by what was used; null tokens or cost: the reservation stays.
-- A settlement lost with the machine leaves the reservation, which is the greater: it need not reach the disk at once.
-- A number may be given twice around a crash: the owner tells whose it is. A booking that was lost is charged now.
DROP FUNCTION IF EXISTS ledger_settle(text, bigint, bigint, bigint, numeric, interval);   -- until version 5
CREATE OR REPLACE FUNCTION ledger_settle(
    p_key text, p_seq bigint, p_owner text, p_run_id bigint, p_tokens bigint, p_estimate bigint, p_cost numeric, p_guard interval
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    account ledger;
    old ledger_grants;
    change bigint;
    first_day date;
    second_day date;
    ratio real := p_tokens::real / nullif(p_estimate, 0);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT * INTO account FROM ledger WHERE key = p_key FOR UPDATE;
    SELECT * INTO old FROM ledger_grants AS g WHERE g.key = p_key AND g.seq = p_seq AND g.owner = p_owner;
    IF NOT FOUND THEN
        PERFORM ledger_charge(p_key, p_owner, p_run_id, coalesce(p_tokens, p_estimate), account.time_zone, p_cost);
        RETURN;
    ELSIF old.settled_at IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE ledger_grants AS g
       SET tokens = coalesce(p_tokens, g.tokens), cost_usd = coalesce(p_cost, g.cost_usd),
           settled_at = botticelli_clock()
     WHERE g.key = p_key AND g.seq = p_seq;
    change := coalesce(p_tokens, old.tokens) - old.tokens;
    first_day := (old.start_at AT TIME ZONE account.time_zone)::date;
    second_day := ((old.start_at + p_guard) AT TIME ZONE account.time_zone)::date;
    UPDATE ledger
       SET day_tokens = day_tokens + CASE WHEN day IN (first_day, second_day) THEN change ELSE 0 END,
           next_tokens = next_tokens + CASE WHEN day = first_day AND second_day > first_day THEN change ELSE 0 END,
           tail_tokens = tail_tokens + CASE WHEN old.start_at > tail_at THEN change ELSE 0 END,
           -- rises at once, falls slowly: enough must be reserved for a rare long answer
           token_ratio = CASE WHEN ratio IS NULL THEN token_ratio
                              ELSE greatest(ratio, coalesce(token_ratio, 2.0) * 0.95 + ratio * 0.05) END
     WHERE key = p_key;
END $$;

-- Return a grant whose request was certainly never sent.
DROP FUNCTION IF EXISTS ledger_release(text, bigint, interval);   -- until version 5
CREATE OR REPLACE FUNCTION ledger_release(p_key text, p_seq bigint, p_owner text, p_guard interval)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old ledger_grants;
BEGIN
    PERFORM 1 FROM ledger WHERE key = p_key FOR UPDATE;
    DELETE FROM ledger_grants AS g
     WHERE g.key = p_key AND g.seq = p_seq AND g.owner = p_owner AND g.settled_at IS NULL RETURNING * INTO old;
    IF old.seq IS NULL THEN
        RETURN;
    END IF;
    UPDATE ledger AS a
       SET day_requests = a.day_requests - (a.day IN (d.first, d.second))::integer,
           day_tokens = a.day_tokens - (a.day IN (d.first, d.second))::integer * old.tokens,
           tail_requests = a.tail_requests - (old.start_at > a.tail_at)::integer,
           tail_tokens = a.tail_tokens - (old.start_at > a.tail_at)::integer * old.tokens,
           next_requests = a.next_requests - (a.day = d.first AND d.second > d.first)::integer,
           next_tokens = a.next_tokens - (a.day = d.first AND d.second > d.first)::integer * old.tokens
      FROM (SELECT (old.start_at AT TIME ZONE time_zone)::date AS first,
                   ((old.start_at + p_guard) AT TIME ZONE time_zone)::date AS second
              FROM ledger WHERE key = p_key) AS d
     WHERE a.key = p_key;
END $$;

-- Charge unreserved use: another model answered, or another limit counts the request as well.
DROP FUNCTION IF EXISTS ledger_charge(text, text, bigint, bigint, text);   -- until version 5
CREATE OR REPLACE FUNCTION ledger_charge(
    p_key text, p_owner text, p_run_id bigint, p_tokens bigint, p_zone text, p_cost numeric DEFAULT 0
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    start timestamptz;
    today date;
BEGIN
    INSERT INTO ledger (key, time_zone) VALUES (p_key, p_zone) ON CONFLICT DO NOTHING;
    IF NOT EXISTS (SELECT FROM ledger_alive AS l WHERE l.key = p_key) THEN
        PERFORM ledger_recover(p_key);
    END IF;
    SELECT greatest(botticelli_clock(), a.last_start) INTO start
      FROM ledger AS a WHERE a.key = p_key FOR UPDATE;
    today := (start AT TIME ZONE p_zone)::date;
    INSERT INTO ledger_grants (key, start_at, tokens, owner, run_id, settled_at, cost_usd)
    VALUES (p_key, start, p_tokens, p_owner, p_run_id, start, coalesce(p_cost, 0));
    UPDATE ledger
       SET last_start = start, day = today,
           tail_requests = tail_requests + 1, tail_tokens = tail_tokens + p_tokens,
           day_requests = CASE WHEN day = today THEN day_requests WHEN day = today - 1 THEN next_requests ELSE 0 END + 1,
           day_tokens = CASE WHEN day = today THEN day_tokens WHEN day = today - 1 THEN next_tokens ELSE 0 END + p_tokens,
           next_requests = CASE WHEN day = today THEN next_requests ELSE 0 END,
           next_tokens = CASE WHEN day = today THEN next_tokens ELSE 0 END
     WHERE key = p_key;
END $$;

-- ---------------------------------------------------------------------------------------------
-- Narratives: state, inferred tables, leases on consumed rows
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS narrative_state (
    scope       text        NOT NULL DEFAULT 'global',      -- global, or a narrative's name
    key         text        NOT NULL,
    value       text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT botticelli_now(),
    PRIMARY KEY (scope, key)
);

-- Bot commands that wait for approval, and the decisions (botticelli approvals).
CREATE TABLE IF NOT EXISTS command_approvals (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest        text        NOT NULL,                     -- of narrative, command and arguments
    platform      text        NOT NULL,
    command       text        NOT NULL,
    args          jsonb       NOT NULL,
    narrative     text        NOT NULL DEFAULT '',
    act           text        NOT NULL DEFAULT '',
    run_id        bigint      REFERENCES runs (id) ON DELETE SET NULL,
    state         text        NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending',               -- -> approved | denied
                                   'approved',              -- -> used
                                   'denied',
                                   'used')),                -- it has run or was about to; it runs once
    requested_at  timestamptz NOT NULL DEFAULT botticelli_now(),
    expires_at    timestamptz NOT NULL,
    decided_at    timestamptz,
    decided_by    text,
    reason        text,
    CHECK ((state = 'pending') = (decided_at IS NULL))
);
CREATE INDEX IF NOT EXISTS command_approvals_by_run ON command_approvals (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS command_approvals_by_digest ON command_approvals (digest, id);
CREATE UNIQUE INDEX IF NOT EXISTS command_approvals_waiting ON command_approvals (digest) WHERE state IN ('pending', 'approved');

-- Every bot command requested by a narrative or a person, allowed or refused. Append-only.
CREATE TABLE IF NOT EXISTS command_audit (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL DEFAULT botticelli_now(),
    platform     text        NOT NULL,
    command      text        NOT NULL,
    args         jsonb       NOT NULL,                      -- without secrets
    narrative    text        NOT NULL DEFAULT '',           -- empty: requested by a person
    act          text        NOT NULL DEFAULT '',
    run_id       bigint      REFERENCES runs (id) ON DELETE SET NULL,
    actor        text        NOT NULL DEFAULT '',           -- host:pid:random of the process, or who confirmed it
    decision     text        NOT NULL
                 CHECK (decision IN ('allowed', 'confirmed', 'approved', 'refused', 'pending')),
    rule         text        NOT NULL DEFAULT '',
    reason       text        NOT NULL DEFAULT '',
    outcome      text        CHECK (outcome IN ('done', 'failed')),  -- null: refused, or the process died
    result_id    text,
    error        text,
    ended_at     timestamptz
);
CREATE INDEX IF NOT EXISTS command_audit_by_command ON command_audit (platform, command, at DESC);
CREATE INDEX IF NOT EXISTS command_audit_by_time ON command_audit (at);
CREATE INDEX IF NOT EXISTS command_audit_by_run ON command_audit (run_id) WHERE run_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS content_generation_tables (
    table_name       text        PRIMARY KEY,
    template_source  text        NOT NULL,                  -- 'inferred', 'declared' or the template's name
    narrative_file   text,
    description      text,
    created_at       timestamptz NOT NULL DEFAULT botticelli_now()
);

CREATE TABLE IF NOT EXISTS content_generations (
    id                      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name              text        NOT NULL,
    narrative_file          text,
    narrative_name          text        NOT NULL,
    run_id                  bigint      REFERENCES runs (id) ON DELETE SET NULL,
    generated_at            timestamptz NOT NULL DEFAULT botticelli_now(),
    completed_at            timestamptz,
    row_count               integer,
    generation_duration_ms  integer,
    status                  text        NOT NULL CHECK (status IN ('running', 'success', 'failed')),
    error_message           text,
    created_by              text
);
DROP INDEX IF EXISTS content_generations_by_time;                               -- until version 5
CREATE INDEX IF NOT EXISTS content_generations_by_end
    ON content_generations (status, coalesce(completed_at, generated_at) DESC, id DESC);
CREATE INDEX IF NOT EXISTS content_generations_by_table ON content_generations (table_name, completed_at);
CREATE INDEX IF NOT EXISTS content_generations_by_run ON content_generations (run_id) WHERE run_id IS NOT NULL;

-- Rows of any table that a run consumes (pull_and_delete): deleted when its result is stored, else released.
CREATE TABLE IF NOT EXISTS row_leases (
    table_name        text        NOT NULL,
    row_key           text        NOT NULL,                 -- primary key as text, or ctid for tables without one
    lease_owner       text        NOT NULL,
    lease_expires_at  timestamptz NOT NULL,
    fence             bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (table_name, row_key)
);

-- Tables that the narratives' database commands know (docs/dialect.md, section 14).
CREATE TABLE IF NOT EXISTS content (
    id              bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    content_type    text,
    text_content    text,
    media_urls      text[],
    media_types     text[],
    source          text,
    priority        integer     NOT NULL DEFAULT 0,
    tags            text[],
    approved_at     timestamptz,
    approved_by     text,
    scheduled_for   timestamptz,
    expires_at      timestamptz,
    post_count      integer     NOT NULL DEFAULT 0,
    last_posted_at  timestamptz,
    created_at      timestamptz NOT NULL DEFAULT botticelli_now(),
    metadata        jsonb
);

CREATE TABLE IF NOT EXISTS post_history (
    id                bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    content_id        bigint      REFERENCES content (id) ON DELETE SET NULL,
    actor_name        text,
    platform          text,
    channel_id        text,
    post_id           text,
    posted_at         timestamptz NOT NULL DEFAULT botticelli_now(),
    engagement_count  integer     NOT NULL DEFAULT 0,
    metadata          jsonb
);

-- Since version 3: what is known of Discord servers. Filled by `run --process-discord`; templates of narratives.
-- Without foreign keys: a role may be stored before its server.
CREATE TABLE IF NOT EXISTS discord_guilds (
    id                          bigint       PRIMARY KEY,
    name                        varchar(100) NOT NULL,
    icon                        varchar(255),
    banner                      varchar(255),
    splash                      varchar(255),
    owner_id                    bigint       NOT NULL,
    features                    text[],
    description                 text,
    vanity_url_code             varchar(50),
    member_count                integer,
    approximate_member_count    integer,
    approximate_presence_count  integer,
    afk_channel_id              bigint,
    afk_timeout                 integer,
    system_channel_id           bigint,
    rules_channel_id            bigint,
    public_updates_channel_id   bigint,
    verification_level          smallint,
    explicit_content_filter     smallint,
    mfa_level                   smallint,
    premium_tier                smallint,
    premium_subscription_count  integer,
    max_presences               integer,
    max_members                 integer,
    max_video_channel_users     integer,
    large                       boolean,
    unavailable                 boolean,
    joined_at                   timestamptz,
    left_at                     timestamptz,
    bot_permissions             bigint,
    bot_active                  boolean      DEFAULT true,
    created_at                  timestamptz  NOT NULL DEFAULT botticelli_now(),
    updated_at                  timestamptz  NOT NULL DEFAULT botticelli_now()
);

CREATE TABLE IF NOT EXISTS discord_users (
    id             bigint       PRIMARY KEY,
    username       varchar(32)  NOT NULL,
    discriminator  varchar(4),
    global_name    varchar(32),
    avatar         varchar(255),
    banner         varchar(255),
    accent_color   integer,
    bot            boolean,
    system         boolean,
    mfa_enabled    boolean,
    verified       boolean,
    premium_type   smallint,
    public_flags   integer,
    locale         varchar(10),
    first_seen     timestamptz  NOT NULL DEFAULT botticelli_now(),
    last_seen      timestamptz  NOT NULL DEFAULT botticelli_now(),
    created_at     timestamptz  NOT NULL DEFAULT botticelli_now(),
    updated_at     timestamptz  NOT NULL DEFAULT botticelli_now()
);

CREATE TABLE IF NOT EXISTS discord_channels (
    id                         bigint       PRIMARY KEY,
    guild_id                   bigint,
    name                       varchar(100),
    channel_type               text         NOT NULL,       -- as given: text, guild_text, voice ...
    position                   integer,
    topic                      text,
    nsfw                       boolean,
    rate_limit_per_user        integer,
    bitrate                    integer,
    user_limit                 integer,
    parent_id                  bigint,
    owner_id                   bigint,
    message_count              integer,
    member_count               integer,
    archived                   boolean,
    auto_archive_duration      integer,
    archive_timestamp          timestamptz,
    locked                     boolean,
    invitable                  boolean,
    available_tags             jsonb,
    default_reaction_emoji     jsonb,
    default_thread_rate_limit  integer,
    default_sort_order         smallint,
    default_forum_layout       smallint,
    last_message_at            timestamptz,
    last_read_message_id       bigint,
    bot_has_access             boolean,
    created_at                 timestamptz  NOT NULL DEFAULT botticelli_now(),
    updated_at                 timestamptz  NOT NULL DEFAULT botticelli_now()
);

CREATE TABLE IF NOT EXISTS discord_roles (
    id             bigint       PRIMARY KEY,
    guild_id       bigint       NOT NULL,
    name           varchar(100) NOT NULL,
    color          integer      DEFAULT 0,
    hoist          boolean,
    icon           varchar(255),
    unicode_emoji  varchar(100),
    position       integer      NOT NULL,
    permissions    bigint       NOT NULL,
    managed        boolean,
    mentionable    boolean,
    tags           jsonb,
    created_at     timestamptz  NOT NULL DEFAULT botticelli_now(),
    updated_at     timestamptz  NOT NULL DEFAULT botticelli_now()
);

CREATE TABLE IF NOT EXISTS discord_guild_members (
    guild_id                      bigint       NOT NULL,
    user_id                       bigint       NOT NULL,
    nick                          varchar(32),
    avatar                        varchar(255),
    joined_at                     timestamptz  NOT NULL,
    premium_since                 timestamptz,
    communication_disabled_until  timestamptz,
    deaf                          boolean,
    mute                          boolean,
    pending                       boolean,
    left_at                       timestamptz,
    created_at                    timestamptz  NOT NULL DEFAULT botticelli_now(),
    updated_at                    timestamptz  NOT NULL DEFAULT botticelli_now(),
    PRIMARY KEY (guild_id, user_id)
);

CREATE TABLE IF NOT EXISTS discord_member_roles (
    guild_id     bigint       NOT NULL,
    user_id      bigint       NOT NULL,
    role_id      bigint       NOT NULL,
    assigned_at  timestamptz  NOT NULL,
    assigned_by  bigint,
    updated_at   timestamptz  NOT NULL DEFAULT botticelli_now(),
    PRIMARY KEY (guild_id, user_id, role_id)
);

CREATE TABLE IF NOT EXISTS engagement (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id   bigint      NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    observed_at   timestamptz NOT NULL DEFAULT botticelli_now(),
    reactions     integer     NOT NULL DEFAULT 0,
    replies       integer     NOT NULL DEFAULT 0,
    details       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS engagement_by_delivery ON engagement (delivery_id, observed_at DESC);
-- Since version 8: a snapshot for each fixed age of a post ('1h', '6h', '24h', '72h', '7d'). `gone`: the message was not
-- there any more, which is not zero; `late`: too late for its age, so that no score is made of it.
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS age text;
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS due_at timestamptz;
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS late boolean NOT NULL DEFAULT false;
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS gone boolean NOT NULL DEFAULT false;
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS counts jsonb NOT NULL DEFAULT '{}';
ALTER TABLE engagement ADD COLUMN IF NOT EXISTS audience integer;
CREATE UNIQUE INDEX IF NOT EXISTS engagement_once ON engagement (delivery_id, age) WHERE age IS NOT NULL;

-- ---------------------------------------------------------------------------------------------
-- Since version 8: what people teach (docs/learning.md)
-- ---------------------------------------------------------------------------------------------

ALTER TABLE potential_discord_posts
    ADD COLUMN IF NOT EXISTS rules_version integer;         -- of the house rules that it was written under; null: none
CREATE INDEX IF NOT EXISTS potential_by_person              -- in the order in which people last said something about them
    ON potential_discord_posts ((history -> -1 ->> 'at'), id) WHERE history <> '[]';

-- What a person's decision or edit says, read from the histories that are there. What was taken back says nothing: each undo
-- lowers the depth to what it was before the event that it takes back.
CREATE OR REPLACE VIEW candidate_lessons AS
    SELECT *
      FROM (SELECT e.candidate_id, e.entry::integer AS entry, (e.event ->> 'at')::timestamptz AS at,
                   CASE e.what WHEN 'edit' THEN 'edit' WHEN 'reject' THEN 'rejection' ELSE 'approval' END AS kind,
                   CASE e.what WHEN 'edit' THEN e.event ->> 'was' ELSE e.text END AS was,
                   CASE e.what WHEN 'edit'
                        THEN coalesce(lead(e.event ->> 'was') OVER (PARTITION BY e.candidate_id, e.what ORDER BY e.entry),
                                      e.text) END AS now,
                   CASE e.what WHEN 'approve'
                        THEN concat_ws('; ', e.judged ->> 'decision_reason', e.judged ->> 'curation_notes')
                        ELSE coalesce(e.event ->> 'note', '') END AS note
              FROM (SELECT d.*, d.event ->> 'event' AS what, d.event #> '{before,candidate}' AS judged,
                           min(d.depth) OVER (PARTITION BY d.candidate_id ORDER BY d.entry
                                              ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS lowest
                      FROM (SELECT c.id AS candidate_id, coalesce(c.text_content, '') AS text, h.event, h.entry,
                                   sum(CASE WHEN h.event ->> 'event' <> 'undo' THEN 1
                                            WHEN h.event ->> 'undoes' <> 'auto' THEN -1 ELSE 0 END)
                                       OVER (PARTITION BY c.id ORDER BY h.entry) AS depth
                              FROM potential_discord_posts AS c
                             CROSS JOIN LATERAL jsonb_array_elements(c.history) WITH ORDINALITY AS h (event, entry)
                             WHERE c.history <> '[]') AS d) AS e
             WHERE (e.lowest IS NULL OR e.lowest >= e.depth)
               AND (e.what = 'edit'
                    OR e.what = 'reject' AND btrim(e.event ->> 'note') <> ''
                    OR e.what = 'approve' AND e.judged ->> 'judged_at' IS NOT NULL
                       AND e.judged ->> 'review_status' = 'rejected' AND e.judged ->> 'decided_by' = 'auto')) AS l
     WHERE l.kind <> 'edit' OR l.was <> l.now;

CREATE TABLE IF NOT EXISTS lessons (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    candidate_id  bigint      NOT NULL,                     -- which may be gone: its lesson is kept
    entry         integer     NOT NULL,                     -- of its history, from 1
    at            timestamptz NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('edit', 'rejection', 'approval')),
    was           text        NOT NULL,
    now           text,                                     -- after an edit
    note          text        NOT NULL,                     -- the person's; of an approval what the judge said
    round         integer,                                  -- the question that it is part of
    learned_at    timestamptz,                              -- when the rules of that answer were stored
    UNIQUE (candidate_id, entry)
);
CREATE INDEX IF NOT EXISTS lessons_to_learn ON lessons (id) WHERE learned_at IS NULL;

-- Which way of writing a slot of an experiment has: drawn before it is written, never changed.
CREATE TABLE IF NOT EXISTS experiment_slots (
    experiment    text        NOT NULL,
    slot          integer     NOT NULL,
    block         text        NOT NULL,                     -- weekday type and hour block in which its post is expected
    arm           text        NOT NULL,
    batch_id      bigint      NOT NULL,                     -- no foreign key: batches are pruned
    narrative     text        NOT NULL,
    iteration     integer     NOT NULL,
    drawn_at      timestamptz NOT NULL DEFAULT botticelli_now(),
    UNIQUE (experiment, slot)
);

-- A rule holds from the version `since` to the one before `until`; each decision that changes what holds makes a version.
CREATE TABLE IF NOT EXISTS house_rules (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    text          text        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('proposed', 'accepted', 'dropped')),
    why           text        NOT NULL DEFAULT '',
    cases         jsonb       NOT NULL DEFAULT '[]',        -- [{"case", "quote"}]: words that stand in these lessons
    proposed_by   text        NOT NULL,                     -- a model, or a person
    execution_id  bigint      REFERENCES model_calls (id) ON DELETE SET NULL,
    created_at    timestamptz NOT NULL DEFAULT botticelli_now(),
    decided_at    timestamptz,
    decided_by    text,
    since         integer,
    until         integer,
    replaces      bigint      REFERENCES house_rules (id),
    CHECK ((state = 'accepted') = (since IS NOT NULL AND until IS NULL))
);
CREATE INDEX IF NOT EXISTS house_rules_by_execution ON house_rules (execution_id) WHERE execution_id IS NOT NULL;

-- Themes of people beside those of the file; one of the same name is over it. Days: 'MM-DD' or 'YYYY-MM-DD', included.
CREATE TABLE IF NOT EXISTS themes (
    name        text        PRIMARY KEY CHECK (name <> ''),
    begins      text        NOT NULL DEFAULT '',            -- '': the file's theme is only paused
    ends        text        NOT NULL DEFAULT '',
    brief       text        NOT NULL DEFAULT '',
    tags        text[]      NOT NULL DEFAULT '{}',
    weight      real        NOT NULL DEFAULT 0.3 CHECK (weight > 0 AND weight <= 1),
    is_active   boolean     NOT NULL DEFAULT true,
    fence       bigint      NOT NULL DEFAULT 1,
    changed_by  text        NOT NULL DEFAULT '',
    changed_at  timestamptz NOT NULL DEFAULT botticelli_now()
);

-- What readers did with the posts of a destination when these were 24 hours old, against what was to be expected. docs/learning.md
-- has the method and its sources. y is the logarithm of the weighted counts; expected is the level of the 200 posts before
-- (half-life 30, drawn to the channel's mean as if by 10 posts) and the shrunken effects of weekday or weekend and of the
-- hours; the percentile is that of the difference. Of fewer than 10 posts there is none. At most the last 1,000 of a year.
CREATE OR REPLACE FUNCTION botticelli_scores(
    p_destination text, p_zone text, p_like double precision DEFAULT 1, p_reply double precision DEFAULT 2,
    p_repost double precision DEFAULT 2
) RETURNS TABLE (
    delivery_id bigint, post_id bigint, posted_at timestamptz, counts jsonb, y double precision, expected double precision,
    difference double precision, spread double precision, percentile double precision, n bigint, is_angry boolean, features jsonb
) LANGUAGE sql STABLE AS $$
    WITH seen AS (
        SELECT d.id, d.post_id, d.posted_at, e.counts, f.likes, f.replies,
               ln(1 + p_like * f.likes + p_reply * f.replies + p_repost * f.reposts) AS y,
               CASE WHEN extract(isodow FROM d.posted_at AT TIME ZONE p_zone) > 5 THEN 'weekend' ELSE 'weekday' END AS day,
               (ARRAY['night', 'morning', 'noon', 'afternoon', 'evening'])[
                   width_bucket(extract(hour FROM d.posted_at AT TIME ZONE p_zone)::integer, ARRAY[0, 6, 11, 14, 18])] AS hours,
               row_number() OVER (ORDER BY d.posted_at, d.id) AS i,
               count(*) OVER () AS n, avg(ln(1 + p_like * f.likes + p_reply * f.replies + p_repost * f.reposts)) OVER () AS mean
          FROM (SELECT *
                  FROM deliveries
                 WHERE destination = p_destination AND posted_at > botticelli_now() - interval '1 year' AND state = 'posted'
                 ORDER BY posted_at DESC
                 LIMIT 1000) AS d
          JOIN engagement AS e ON e.delivery_id = d.id AND e.age = '24h'
         CROSS JOIN LATERAL (
               SELECT coalesce((e.counts ->> 'likes')::double precision, 0) + coalesce((e.counts ->> 'votes')::double precision, 0),
                      coalesce((e.counts ->> 'replies')::double precision, 0),
                      coalesce((e.counts ->> 'reposts')::double precision, 0) + coalesce((e.counts ->> 'quotes')::double precision, 0)
               ) AS f (likes, replies, reposts)
         WHERE NOT e.late AND NOT e.gone
    ), leveled AS (
        SELECT s.*, s.y - (10 * s.mean + coalesce(sum(s.y * s.age) OVER before, 0) / s.age)
                          / (10 + coalesce(sum(s.age) OVER before, 0) / s.age) AS rest
          FROM (SELECT *, 2::double precision ^ (i / 30::double precision) AS age FROM seen) AS s
        WINDOW before AS (ORDER BY s.i ROWS BETWEEN 200 PRECEDING AND 1 PRECEDING)
    ), effects AS (
        SELECT kind, what, count(*) * avg(rest) / (count(*) + 6) AS effect
          FROM leveled
         CROSS JOIN LATERAL (VALUES ('day', day), ('hours', hours)) AS g (kind, what)
         GROUP BY kind, what
    ), judged AS (
        SELECT l.*, l.rest - a.effect - b.effect AS difference
          FROM leveled AS l
          JOIN effects AS a ON a.kind = 'day' AND a.what = l.day
          JOIN effects AS b ON b.kind = 'hours' AND b.what = l.hours
    )
    SELECT j.id, j.post_id, j.posted_at, j.counts, j.y, j.y - j.difference, j.difference, stddev_samp(j.difference) OVER (),
           CASE WHEN j.n >= 10 THEN percent_rank() OVER (ORDER BY j.difference) END, j.n,
           j.replies >= 5 AND j.replies / greatest(j.likes, 1)
               > 3 * greatest((sum(j.replies) OVER () - j.replies) / greatest(sum(j.likes) OVER () - j.likes, 1), 0.1),
           coalesce(c.features, '{}') || jsonb_strip_nulls(jsonb_build_object(
               'angle', coalesce(c.source_narrative, c.content_type), 'theme', p.theme,
               'source', (SELECT i.source FROM source_items AS i WHERE i.id = c.source_item_id),
               'length', CASE WHEN length(p.text_content) < 280 THEN 'short' WHEN length(p.text_content) < 800 THEN 'medium'
                              ELSE 'long' END,
               'image', CASE WHEN p.attached IS NULL THEN 'no' ELSE 'yes' END,
               'question', CASE WHEN strpos(p.text_content, '?') > 0 THEN 'yes' ELSE 'no' END,
               'hours', j.hours))
      FROM judged AS j
      JOIN approved_discord_posts AS p ON p.id = j.post_id
      LEFT JOIN potential_discord_posts AS c ON c.id = p.candidate_id
     ORDER BY j.posted_at, j.id
$$;

-- What a feature of posts goes with: its shrunken effect on the difference (6 posts count as none), with the interval that
-- holds 80 % of the time. It helps, or hurts, only if the interval is clear of 0 and 15 posts have it and 15 have not.
CREATE OR REPLACE FUNCTION botticelli_effects(
    p_destination text, p_zone text, p_like double precision DEFAULT 1, p_reply double precision DEFAULT 2,
    p_repost double precision DEFAULT 2
) RETURNS TABLE (
    feature text, value text, n bigint, others bigint, effect double precision, low double precision, high double precision,
    verdict text
) LANGUAGE sql STABLE AS $$
    WITH scored AS MATERIALIZED (
        SELECT * FROM botticelli_scores(p_destination, p_zone, p_like, p_reply, p_repost) WHERE NOT is_angry
    ), found AS (
        SELECT f.key AS feature, f.value, count(*) AS n, max(s.n) - count(*) AS others,
               count(*) * avg(s.difference) / (count(*) + 6) AS effect, 1.2816 * max(s.spread) / sqrt(count(*) + 6) AS half
          FROM scored AS s
         CROSS JOIN LATERAL jsonb_each_text(s.features) AS f
         GROUP BY f.key, f.value
    )
    SELECT feature, value, n, others, effect, effect - half, effect + half,
           CASE WHEN n < 15 OR others < 15 THEN 'unclear' WHEN effect - half > 0 THEN 'helps' WHEN effect + half < 0 THEN 'hurts'
                ELSE 'unclear' END
      FROM found
     ORDER BY feature, effect DESC, value
$$;

-- ---------------------------------------------------------------------------------------------
-- Since version 3: counts of what db prune has removed, and views for monitoring (docs/monitoring.md).
-- Views read with the rights of their owner: a role that may SELECT from them alone sees numbers and
-- beginnings of posts, no prompts and no whole table.
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS pruned_rows (
    what      text    NOT NULL,                             -- runs | candidates
    stage     text    NOT NULL DEFAULT '',                  -- of runs
    outcome   text    NOT NULL,                             -- as in run_totals; of candidates their review_status
    total     bigint  NOT NULL,
    PRIMARY KEY (what, stage, outcome)
);

CREATE TABLE IF NOT EXISTS pruned_calls (
    provider        text            NOT NULL,
    model           text            NOT NULL,
    state           text            NOT NULL,
    calls           bigint          NOT NULL,
    input_tokens    bigint          NOT NULL,
    cached_tokens   bigint          NOT NULL,
    output_tokens   bigint          NOT NULL,
    thought_tokens  bigint          NOT NULL,
    cost_usd        numeric         NOT NULL,
    PRIMARY KEY (provider, model, state)
);

-- Since version 5: salted hashes of the keys that were in use, so that one that was replaced stays hidden in errors.
CREATE TABLE IF NOT EXISTS known_secrets (
    digest   bytea       PRIMARY KEY,                       -- of the whole; only of long ones that nobody can guess
    salt     bytea       NOT NULL,
    length   integer     NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT botticelli_now()
);

-- Since version 7: sessions with platforms, sealed with the password that opened them. No backup holds them.
CREATE TABLE IF NOT EXISTS kept_sessions (
    name     text        PRIMARY KEY,                       -- platform, server and account
    sealed   bytea       NOT NULL,
    kept_at  timestamptz NOT NULL DEFAULT botticelli_now()
);

-- Since version 8: who may use the desk, and every key to it: one-use links, sessions, feeds. Of a key only its hash is
-- here, of a password what argon2id makes of it.
CREATE TABLE IF NOT EXISTS desk_people (
    name          text        PRIMARY KEY CHECK (name <> ''),
    role          text        NOT NULL CHECK (role IN ('viewer', 'editor', 'approver', 'admin')),
    password      text,
    failures      integer     NOT NULL DEFAULT 0,           -- wrong passwords since the last right one
    blocked_until timestamptz,
    added_at      timestamptz NOT NULL DEFAULT botticelli_now()
);
CREATE TABLE IF NOT EXISTS desk_keys (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind       text        NOT NULL CHECK (kind IN ('link', 'session', 'feed')),
    hash       bytea       NOT NULL UNIQUE,                 -- sha256
    person     text        NOT NULL,
    role       text        NOT NULL CHECK (role IN ('viewer', 'editor', 'approver', 'admin')),
    made_at    timestamptz NOT NULL DEFAULT botticelli_now(),
    used_at    timestamptz NOT NULL DEFAULT botticelli_now(),
    expires_at timestamptz
);

-- ---------------------------------------------------------------------------------------------
-- Since version 6: how many rows there are of each kind, so that nobody has to count a table. Triggers write the change
-- that a statement makes in its own transaction, as rows of their own: writers do not wait for each other, and what is
-- rolled back or killed counts for nothing. Now and then one of them adds the changes up.
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS row_counts (
    what           text     NOT NULL,                       -- candidates | approved | items | deliveries | runs | audit | calls
    state          text     NOT NULL,
    name           text     NOT NULL,                       -- destination, stage or provider
    model          text     NOT NULL,                       -- as asked for
    version        text     NOT NULL,                       -- of the model, as served
    is_posted      boolean  NOT NULL,
    day            date     NOT NULL,                       -- UTC, of calls and approvals; -infinity: long ago
    total          bigint   NOT NULL,
    input_tokens   numeric  NOT NULL,
    cached_tokens  numeric  NOT NULL,
    output_tokens  numeric  NOT NULL,
    thought_tokens numeric  NOT NULL,
    cost_usd       numeric  NOT NULL,
    PRIMARY KEY (what, state, name, model, version, is_posted, day)
) WITH (fillfactor = 70);
CREATE TABLE IF NOT EXISTS row_changes (LIKE row_counts)
    WITH (autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
-- Changes that were added up leave empty pages before the newest ones: a reader of the index does not pass through them.
CREATE INDEX IF NOT EXISTS row_changes_by_what ON row_changes (what);

CREATE OR REPLACE VIEW counted_rows AS
    SELECT what, state, name, model, version, is_posted, day, sum(total)::bigint AS total,
           sum(input_tokens) AS input_tokens, sum(cached_tokens) AS cached_tokens, sum(output_tokens) AS output_tokens,
           sum(thought_tokens) AS thought_tokens, sum(cost_usd) AS cost_usd
      FROM (SELECT * FROM row_counts UNION ALL SELECT * FROM row_changes) AS r
     GROUP BY what, state, name, model, version, is_posted, day
    HAVING sum(total) <> 0;

-- Add the changes up; days long ago become one. Whoever does so is alone, and nobody waits for him.
CREATE OR REPLACE FUNCTION botticelli_add_up() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    recent date := (botticelli_now() AT TIME ZONE 'UTC')::date - 62;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed'
       OR NOT pg_try_advisory_xact_lock(hashtextextended('botticelli row_counts ' || current_schema(), 0)) THEN
        RETURN;
    END IF;
    WITH changes AS (
        DELETE FROM row_changes RETURNING *
    ), old AS (
        DELETE FROM row_counts WHERE day > '-infinity' AND day < recent RETURNING *
    )
    INSERT INTO row_counts AS c
    SELECT what, state, name, model, version, is_posted, CASE WHEN day >= recent THEN day ELSE '-infinity' END AS since,
           sum(total), sum(input_tokens), sum(cached_tokens), sum(output_tokens), sum(thought_tokens), sum(cost_usd)
      FROM (SELECT * FROM changes UNION ALL SELECT * FROM old) AS r
     GROUP BY what, state, name, model, version, is_posted, since
        ON CONFLICT (what, state, name, model, version, is_posted, day) DO UPDATE
       SET total = c.total + excluded.total,
           input_tokens = c.input_tokens + excluded.input_tokens,
           cached_tokens = c.cached_tokens + excluded.cached_tokens,
           output_tokens = c.output_tokens + excluded.output_tokens,
           thought_tokens = c.thought_tokens + excluded.thought_tokens,
           cost_usd = c.cost_usd + excluded.cost_usd;
END $$;

-- For each table a function for its triggers; and one that puts every count right, whatever happened to the triggers.
DO $$
DECLARE
    rule record;
    event record;
    what text;
    one text;
    recount text := '';
    write text := '
    INSERT INTO row_changes
    SELECT %L, state, name, model, version, is_posted, day, sum(total), sum(i), sum(c), sum(o), sum(t), sum(usd)
      FROM (%s) AS r (total, state, name, model, version, is_posted, day, i, c, o, t, usd)
     GROUP BY state, name, model, version, is_posted, day
    HAVING (sum(total), sum(i), sum(c), sum(o), sum(t), sum(usd)) <> (0, 0, 0, 0, 0, 0);';
BEGIN
    FOR rule IN
        SELECT *
          FROM (VALUES
                ('potential_discord_posts', 'botticelli_count_candidates', 'review_status, '''', '''', '''', false, date ''-infinity'''),
                ('approved_discord_posts', 'botticelli_count_approved', 'review_status, '''', '''', '''', posted_at IS NOT NULL,
            (selected_at AT TIME ZONE ''UTC'')::date'),
                ('generation_items', 'botticelli_count_items', 'state, '''', '''', '''', false, date ''-infinity'''),
                ('deliveries', 'botticelli_count_deliveries', 'state, destination, '''', '''', posted_at IS NOT NULL, date ''-infinity'''),
                ('runs', 'botticelli_count_runs', 'CASE WHEN state = ''done'' AND exit_code = 75 THEN ''deferred'' ELSE state END,
            stage, '''', '''', false, date ''-infinity'''),
                ('command_audit', 'botticelli_count_audit', 'decision, platform, '''', '''', false, date ''-infinity'''),
                ('model_calls', 'botticelli_count_calls', 'state, coalesce(provider, ''''), coalesce(model, ''''),
            coalesce(nullif(model_version, ''''), model, ''''), false, (created_at AT TIME ZONE ''UTC'')::date')
               ) AS v (tab, name, labels)
    LOOP
        what := replace(rule.name, 'botticelli_count_', '');
        one := 'SELECT %1$s, ' || rule.labels || CASE what WHEN 'calls' THEN ',
            %1$s * coalesce(input_tokens, 0), %1$s * coalesce(cached_tokens, 0), %1$s * coalesce(output_tokens, 0),
            %1$s * coalesce(thought_tokens, 0), %1$s * coalesce(cost_usd, 0)' ELSE ', 0, 0, 0, 0, 0' END || '
          FROM %2$s';
        recount := recount || format(write, what, format(one, 1, rule.tab) || format('
         UNION ALL SELECT -total, state, name, model, version, is_posted, day, -input_tokens, -cached_tokens,
                          -output_tokens, -thought_tokens, -cost_usd
          FROM (SELECT * FROM row_counts UNION ALL SELECT * FROM row_changes) AS known WHERE what = %L', what));
        EXECUTE format('CREATE OR REPLACE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS %L', rule.name,
            'DECLARE
    changes bigint;
BEGIN
    IF TG_OP = ''INSERT'' THEN' || format(write, what, format(one, 1, 'new_rows')) || '
    ELSIF TG_OP = ''UPDATE'' THEN' || format(write, what, format(one, 1, 'new_rows') || ' UNION ALL '
                                                              || format(one, -1, 'old_rows')) || '
    ELSIF TG_OP = ''DELETE'' THEN' || format(write, what, format(one, -1, 'old_rows')) || '
    ELSE
        DELETE FROM row_counts WHERE what = ' || quote_literal(what) || ';
        DELETE FROM row_changes WHERE what = ' || quote_literal(what) || ';
    END IF;
    GET DIAGNOSTICS changes = ROW_COUNT;
    IF changes > random() * 100 THEN
        PERFORM botticelli_add_up();
    END IF;
    RETURN NULL;
END');
        FOR event IN
            SELECT *
              FROM (VALUES ('INSERT', 'REFERENCING NEW TABLE AS new_rows'), ('DELETE', 'REFERENCING OLD TABLE AS old_rows'),
                           ('UPDATE', 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'), ('TRUNCATE', '')
                   ) AS v (kind, rows)
        LOOP
            EXECUTE format('CREATE OR REPLACE TRIGGER %I AFTER %s ON %I %s FOR EACH STATEMENT EXECUTE FUNCTION %I()',
                           'count_' || lower(event.kind), event.kind, rule.tab, event.rows, rule.name);
        END LOOP;
    END LOOP;
    EXECUTE format('CREATE OR REPLACE FUNCTION botticelli_recount() RETURNS void LANGUAGE plpgsql AS %L',
                   'BEGIN' || recount || '
    PERFORM botticelli_add_up();
END');
    FOR one IN
        SELECT p.oid::regprocedure::text
          FROM pg_proc AS p
         WHERE p.pronamespace = current_schema()::regnamespace
           AND p.prosecdef
           AND p.proname LIKE 'botticelli\_%'
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', one, current_schema());
    END LOOP;
    IF NOT EXISTS (SELECT FROM schema_version WHERE version >= 6) THEN
        PERFORM botticelli_recount();
    END IF;
END $$;

-- Rows of every queue by state.
CREATE OR REPLACE VIEW queue_depths AS
    SELECT what AS queue, state, sum(total)::bigint AS count
      FROM counted_rows
     WHERE what IN ('candidates', 'approved', 'items', 'deliveries')
     GROUP BY what, state;

-- The whole pipeline in three numbers: waiting for the judge, waiting to be posted, published.
CREATE OR REPLACE VIEW pipeline_stages AS
    SELECT v.stage, coalesce(q.count, 0) AS count
      FROM (VALUES (1, 'potential', 'candidates', 'pending'), (2, 'approved', 'approved', 'pending'),
                   (3, 'posted', 'approved', 'posted')) AS v (place, stage, queue, state)
      LEFT JOIN queue_depths AS q USING (queue, state)
     ORDER BY v.place;

-- Candidates of the last day by narrative.
CREATE OR REPLACE VIEW generation_completeness AS
    SELECT source_narrative, count(*) AS count
      FROM potential_discord_posts
     WHERE generated_at > botticelli_now() - interval '1 day'
     GROUP BY source_narrative;

-- What was approved within the last day, best first.
CREATE OR REPLACE VIEW curation_quality AS
    SELECT curation_score, left(text_content, 100) AS preview, source_narrative, selected_at
      FROM approved_discord_posts
     WHERE selected_at > botticelli_now() - interval '1 day'
     ORDER BY curation_score DESC NULLS LAST;

-- The five newest posts.
CREATE OR REPLACE VIEW posting_success AS
    SELECT posted_at, length(text_content) AS char_count, left(text_content, 100) AS preview
      FROM approved_discord_posts
     WHERE review_status = 'posted'
     ORDER BY posted_at DESC NULLS LAST
     LIMIT 5;

-- Candidates of the last week by day (in the session's time zone) and outcome.
CREATE OR REPLACE VIEW pipeline_health AS
    SELECT date_trunc('day', generated_at) AS day,
           count(*) AS potential_posts,
           count(*) FILTER (WHERE review_status = 'pending') AS pending,
           count(*) FILTER (WHERE review_status = 'posted') AS posted
      FROM potential_discord_posts
     WHERE generated_at > botticelli_now() - interval '7 days'
     GROUP BY day
     ORDER BY day DESC;

-- The scores of what was approved within the last week.
CREATE OR REPLACE VIEW curation_effectiveness AS
    SELECT avg(curation_score) AS avg_score,
           min(curation_score) AS min_score,
           max(curation_score) AS max_score,
           count(*) AS total_approved
      FROM approved_discord_posts
     WHERE selected_at > botticelli_now() - interval '7 days';

-- Posts of the last week by hour.
CREATE OR REPLACE VIEW posting_frequency AS
    SELECT date_trunc('hour', posted_at) AS hour, count(*) AS posts_per_hour
      FROM approved_discord_posts
     WHERE review_status = 'posted'
       AND posted_at > botticelli_now() - interval '7 days'
     GROUP BY hour
     ORDER BY hour DESC;

-- Totals by day, for 30 days: generated, approved, published, length, score, cost.
CREATE OR REPLACE VIEW daily_totals AS
    SELECT d.day,
           (SELECT count(*) FROM potential_discord_posts
             WHERE generated_at >= d.day AND generated_at < d.day + interval '1 day') AS candidates,
           a.approved, a.avg_score, p.posted, p.longest_post, c.calls, c.tokens, c.cost_usd
      FROM generate_series(date_trunc('day', botticelli_now()) - interval '29 days',
                           date_trunc('day', botticelli_now()), '1 day') AS d (day)
     CROSS JOIN LATERAL (SELECT count(*) AS approved, avg(curation_score) AS avg_score
                           FROM approved_discord_posts
                          WHERE selected_at >= d.day AND selected_at < d.day + interval '1 day') AS a
     CROSS JOIN LATERAL (SELECT count(*) AS posted, max(length(text_content)) AS longest_post
                           FROM approved_discord_posts
                          WHERE posted_at >= d.day AND posted_at < d.day + interval '1 day') AS p
     CROSS JOIN LATERAL (SELECT count(*) AS calls,
                                coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)
                                             + coalesce(thought_tokens, 0)), 0)::bigint AS tokens,
                                coalesce(sum(cost_usd), 0) AS cost_usd
                           FROM model_calls
                          WHERE created_at >= d.day AND created_at < d.day + interval '1 day') AS c
     ORDER BY d.day DESC;

-- Pause switch, breaker, last outcomes and last successful run of every stage.
CREATE OR REPLACE VIEW stage_health AS
    SELECT s.task_id AS stage,
           s.actor_name,
           s.is_paused,
           s.circuit_opened_at IS NOT NULL AS breaker_open,
           s.consecutive_failures,
           l.acquired_at AS running_since,
           s.last_run,
           s.last_success,
           r.ended_at - r.started_at AS last_success_duration,
           s.last_failure,
           s.last_error
      FROM actor_server_state AS s
      LEFT JOIN locks AS l
        ON l.name = s.task_id
       AND l.expires_at > botticelli_now()
      LEFT JOIN LATERAL (SELECT started_at, ended_at
                           FROM runs
                          WHERE stage = s.task_id
                            AND state = 'done'
                            AND exit_code = 0
                          ORDER BY started_at DESC, id DESC
                          LIMIT 1) AS r ON true;

-- Deliveries by destination and state; waiting_since: of the oldest unpublished one.
CREATE OR REPLACE VIEW delivery_states AS
    SELECT c.name AS destination, c.state, sum(c.total)::bigint AS count, min(w.since) AS waiting_since
      FROM counted_rows AS c
      LEFT JOIN (SELECT destination, state, min(created_at) AS since
                   FROM deliveries
                  WHERE state IN ('pending', 'sending')
                  GROUP BY destination, state) AS w
        ON w.destination = c.name AND w.state = c.state
     WHERE c.what = 'deliveries'
     GROUP BY c.name, c.state;

-- Deliveries whose sender died or got no answer: the next run of post looks them up. Normally empty.
CREATE OR REPLACE VIEW stuck_deliveries AS
    SELECT id, post_id, destination, coalesce(sent_at, lease_expires_at) AS stuck_since, attempts, last_error
      FROM deliveries
     WHERE state = 'sending'
       AND lease_expires_at < botticelli_now()
     ORDER BY stuck_since;

-- Texts published more than once at a destination within 30 days. Should be empty.
CREATE OR REPLACE VIEW repeated_posts AS
    SELECT d.destination, count(*) AS times, min(d.posted_at) AS first_posted, max(d.posted_at) AS last_posted,
           left(coalesce(d.text_sent, p.text_content), 100) AS preview
      FROM deliveries AS d
      JOIN approved_discord_posts AS p ON p.id = d.post_id
     WHERE d.posted_at > botticelli_now() - interval '30 days'
     GROUP BY d.destination, coalesce(d.text_sent, p.text_content)
    HAVING count(*) > 1;

-- All ended runs; deferred: nothing failed, but the rest has to wait (exit code 75).
CREATE OR REPLACE VIEW run_totals AS
    SELECT stage, outcome, sum(runs)::bigint AS runs
      FROM (SELECT name AS stage, state AS outcome, total AS runs
              FROM counted_rows WHERE what = 'runs' AND state <> 'running'
            UNION ALL
            SELECT stage, outcome, total FROM pruned_rows WHERE what = 'runs') AS r
     GROUP BY stage, outcome;

-- All calls by requested model and outcome; tokens as the provider reported them.
CREATE OR REPLACE VIEW call_totals AS
    SELECT provider, model, state,
           sum(calls)::bigint AS calls,
           sum(input_tokens)::bigint AS input_tokens,
           sum(cached_tokens)::bigint AS cached_tokens,
           sum(output_tokens)::bigint AS output_tokens,
           sum(thought_tokens)::bigint AS thought_tokens,
           sum(cost_usd) AS cost_usd
      FROM (SELECT name AS provider, model, state, total AS calls,
                   input_tokens, cached_tokens, output_tokens, thought_tokens, cost_usd
              FROM counted_rows WHERE what = 'calls'
            UNION ALL
            SELECT provider, model, state, calls, input_tokens, cached_tokens, output_tokens, thought_tokens, cost_usd
              FROM pruned_calls) AS c
     GROUP BY provider, model, state;

-- All posts: generated, approved, published.
CREATE OR REPLACE VIEW post_totals AS
    SELECT coalesce(sum(total) FILTER (WHERE what = 'candidates'), 0)::bigint
           + coalesce((SELECT sum(total) FROM pruned_rows WHERE what = 'candidates'), 0)::bigint AS candidates,
           coalesce(sum(total) FILTER (WHERE what = 'approved'), 0)::bigint AS approved,
           coalesce(sum(total) FILTER (WHERE what = 'approved' AND is_posted), 0)::bigint AS posted
      FROM counted_rows;

-- Since version 4: columns of older databases take their time from botticelli_now() as well.
DO $$
DECLARE
    old record;
BEGIN
    FOR old IN
        SELECT c.relname, a.attname
          FROM pg_attrdef AS d
          JOIN pg_class AS c ON c.oid = d.adrelid
          JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
         WHERE c.relnamespace = current_schema()::regnamespace
           AND pg_get_expr(d.adbin, d.adrelid) = 'now()'
           AND c.relname = ANY ('{
            schema_version, actor_server_state, runs, locks, batches, generation_items,
            model_calls, item_memory, potential_discord_posts, approved_discord_posts,
            deliveries, ledger, narrative_state, command_approvals, command_audit,
            content_generation_tables, content_generations, content, post_history, discord_guilds,
            discord_users, discord_channels, discord_roles, discord_guild_members,
            discord_member_roles, engagement}')
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT botticelli_now()', old.relname, old.attname);
    END LOOP;
END $$;

-- ---------------------------------------------------------------------------------------------
-- Since version 5: whose database this is, and which channel each destination writes to
-- ---------------------------------------------------------------------------------------------

-- At most one row; none: no project has taken this database.
CREATE TABLE IF NOT EXISTS botticelli_project (
    id        integer     PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    name      text        NOT NULL,
    root      text        NOT NULL,                         -- folder of its botticelli.toml
    taken_at  timestamptz NOT NULL DEFAULT botticelli_now()
);

-- A destination is its platform and channel, whatever its name is: another channel has to be confirmed.
CREATE TABLE IF NOT EXISTS destination_channels (
    destination  text        PRIMARY KEY,
    place        text        NOT NULL,                      -- platform:channel
    since        timestamptz NOT NULL DEFAULT botticelli_now()
);
ALTER TABLE deliveries
    ADD COLUMN IF NOT EXISTS place text;                    -- platform:channel that it goes, or went, to
-- Since version 6: the channel of a webhook, as its server names it; and the place that a destination really writes to.
ALTER TABLE destination_channels
    ADD COLUMN IF NOT EXISTS channel text;
-- Since version 7: whether nobody reads there, as in a folder for practice, which may get a text again. Until then such
-- places were told by their name.
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'destination_channels'::regclass AND attname = 'is_practice') THEN
        ALTER TABLE destination_channels ADD COLUMN is_practice boolean NOT NULL DEFAULT false;
        UPDATE destination_channels SET is_practice = true WHERE place LIKE 'outbox:%';
    END IF;
END $$;
CREATE OR REPLACE FUNCTION botticelli_place(p_destination text, p_place text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT channel FROM destination_channels WHERE destination = p_destination AND place = p_place), p_place)
$$;
CREATE INDEX IF NOT EXISTS deliveries_by_place ON deliveries (place, posted_at DESC) WHERE posted_at IS NOT NULL;

-- Instants so far in the future that no clock which was right can have written them: a lease that outlasts every lease, a
-- breaker that will open. Nobody may be held up by them. p_mend brings each back to where it may be at most, counted from
-- now; every run begins with that.
CREATE OR REPLACE FUNCTION botticelli_impossible(p_mend boolean)
RETURNS TABLE (place text, rows bigint, latest timestamptz) LANGUAGE plpgsql AS $$
DECLARE
    rule record;
    wrong text;
BEGIN
    FOR rule IN
        SELECT *
          FROM (VALUES
                ('locks', 'expires_at', 'true', interval '1 minute'),
                ('locks', 'heartbeat_at', 'true', '1 minute'),
                ('generation_items', 'lease_expires_at', 'state = ''running''', '1 minute'),
                ('generation_items', 'retry_at', 'state = ''pending''', '1 hour'),
                ('potential_discord_posts', 'lease_expires_at', 'review_status = ''judging''', '1 minute'),
                ('deliveries', 'lease_expires_at', 'state = ''sending''', '5 minutes'),
                ('deliveries', 'retry_at', 'state IN (''pending'', ''sending'')', '1 hour'),
                ('row_leases', 'lease_expires_at', 'true', '1 hour'),
                ('actor_server_state', 'circuit_opened_at', 'true', '1 minute'),
                ('actor_server_state', 'last_run', 'true', '1 minute'),
                ('actor_server_state', 'last_success', 'true', '1 minute'),
                ('ledger', 'last_start', 'true', '1 minute'),
                ('ledger', 'blocked_until', 'blocked_why IS DISTINCT FROM ''day''', '1 hour'),
                ('ledger', 'blocked_until', 'true', '26 hours'),
                ('ledger_grants', 'start_at', '(key, seq) IN (SELECT a.key, g.seq FROM ledger AS a CROSS JOIN LATERAL
                  (SELECT seq FROM ledger_grants WHERE key = a.key AND start_at > botticelli_now() OFFSET 0) AS g)', '1 minute'),
                ('ledger_waiters', 'expires_at', 'true', '2 hours')
               ) AS v (tab, col, only_if, ahead)
    LOOP
        wrong := format(' WHERE %s AND %I > botticelli_now() + $1', rule.only_if, rule.col);
        RETURN QUERY EXECUTE format('SELECT %L, count(*), max(%I) FROM %I', rule.tab || '.' || rule.col, rule.col, rule.tab)
            || wrong || ' HAVING count(*) > 0' USING rule.ahead;
        IF FOUND AND p_mend THEN
            EXECUTE format('UPDATE %I SET %I = botticelli_now() + $1', rule.tab, rule.col) || wrong USING rule.ahead;
        END IF;
    END LOOP;
END $$;

INSERT INTO schema_version (version) VALUES (8) ON CONFLICT DO NOTHING;
