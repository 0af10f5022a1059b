-- Botticelli: the whole database. PostgreSQL 14 or newer. Safe to apply twice.
-- Applied by `botticelli db init` (and by every command on an empty database); by hand: psql -f schema.sql
-- Time is timestamptz throughout; "now" is this database's clock.

CREATE TABLE IF NOT EXISTS schema_version (
    version     integer     PRIMARY KEY,
    applied_at  timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------------------------------------
-- Stages: pause switch, breaker, last outcome; runs; locks
-- ---------------------------------------------------------------------------------------------

-- One row a stage, made here so that `UPDATE ... SET is_paused = true WHERE actor_name = ...` always finds it.
CREATE TABLE IF NOT EXISTS actor_server_state (
    task_id               text        PRIMARY KEY,          -- generate | curate | post
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
    updated_at            timestamptz NOT NULL DEFAULT now()
);

INSERT INTO actor_server_state (task_id, actor_name) VALUES
    ('generate', 'Content Generation Actor'),
    ('curate',   'Content Curation Actor'),
    ('post',     'Discord Posting Actor')
ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS runs (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stage        text        NOT NULL,                      -- generate | curate | post | run
    state        text        NOT NULL DEFAULT 'running'
                 CHECK (state IN ('running',                -- at work, or killed: see locks
                                  'done',                   -- running -> done
                                  'failed',                 -- running -> failed: some work failed
                                  'interrupted')),          -- running -> interrupted: signal, or its lease ran out
    host         text        NOT NULL,
    pid          integer     NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    ended_at     timestamptz,
    exit_code    integer,
    summary      jsonb       NOT NULL DEFAULT '{}',
    error        text,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS runs_by_stage ON runs (stage, started_at DESC);

-- A stage lock is a lease with a fence; an expired one may be taken by anybody.
CREATE TABLE IF NOT EXISTS locks (
    name          text        PRIMARY KEY,
    holder        text        NOT NULL,                     -- host:pid:random, unique to one start
    host          text        NOT NULL,
    pid           integer     NOT NULL,
    run_id        bigint      REFERENCES runs (id) ON DELETE SET NULL,
    fence         bigint      NOT NULL DEFAULT 1,
    acquired_at   timestamptz NOT NULL DEFAULT now(),
    heartbeat_at  timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz NOT NULL                      -- in the past: free
);

-- ---------------------------------------------------------------------------------------------
-- Generation: batches, items, what the model was asked and said
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS batches (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    narrative   text        NOT NULL,                       -- as the user named it: file stem[.name]
    options     jsonb       NOT NULL DEFAULT '{}',          -- what a resuming process must know (iterations, model)
    state       text        NOT NULL DEFAULT 'open'
                CHECK (state IN ('open', 'done', 'abandoned')),
    run_id      bigint      REFERENCES runs (id) ON DELETE SET NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    CHECK ((state = 'open') = (ended_at IS NULL))
);
CREATE INDEX IF NOT EXISTS batches_open ON batches (id) WHERE state = 'open';

CREATE TABLE IF NOT EXISTS generation_items (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    batch_id          bigint      NOT NULL REFERENCES batches (id) ON DELETE CASCADE,
    narrative         text        NOT NULL,                 -- name of the one narrative that is run
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
    created_at        timestamptz NOT NULL DEFAULT now(),
    ended_at          timestamptz,
    UNIQUE (batch_id, narrative, iteration),
    CHECK ((state = 'running') = (lease_expires_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS generation_items_open
    ON generation_items (batch_id, id) WHERE state IN ('pending', 'running');

-- Every attempt at every act, failed ones too. Append-only: nothing a model said is thrown away.
CREATE TABLE IF NOT EXISTS act_executions (
    id                   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id               bigint      REFERENCES runs (id) ON DELETE SET NULL,
    item_id              bigint      REFERENCES generation_items (id) ON DELETE SET NULL,
    narrative            text        NOT NULL,
    iteration            integer     NOT NULL DEFAULT 1,
    act_name             text        NOT NULL,
    sequence_number      integer     NOT NULL,              -- place in the run of its narrative, from 0
    attempt              integer     NOT NULL DEFAULT 1,
    inputs_digest        text        NOT NULL,              -- sha256 over all that decides the answer: reuse key
    prompt               text,                              -- the rendered prompt as a person would read it
    state                text        NOT NULL
                         CHECK (state IN ('done',           -- usable; reused by a resumed item
                                          'failed',         -- no answer: error says why
                                          'unusable')),     -- an answer, kept whole in response, that could not be used
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
    created_at           timestamptz NOT NULL DEFAULT now(),
    CHECK (state <> 'done' OR response IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS act_executions_reuse
    ON act_executions (item_id, sequence_number, inputs_digest) WHERE state = 'done';
CREATE INDEX IF NOT EXISTS act_executions_by_run ON act_executions (run_id, id);
CREATE INDEX IF NOT EXISTS act_executions_by_time ON act_executions (created_at);

-- ---------------------------------------------------------------------------------------------
-- Candidates and approved posts: the names are the user's own; declared, nullable, with keys,
-- so that narratives of different JSON shapes can share them
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
                                               'held',      -- a person has to look
                                               'posted')),  -- its approved post is out
    generated_at      timestamptz NOT NULL DEFAULT now(),
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
    judged_at         timestamptz,                          -- scores are stored at once, the choice comes later
    judge_model       text,
    decided_at        timestamptz,
    decided_by        text,
    content_hash      text,                                 -- of the normalised text
    duplicate_of      bigint      REFERENCES potential_discord_posts (id) ON DELETE SET NULL,
    run_id            bigint      REFERENCES runs (id) ON DELETE SET NULL,
    item_id           bigint      REFERENCES generation_items (id) ON DELETE SET NULL,
    extra             jsonb       NOT NULL DEFAULT '{}',    -- keys a model gave that have no column here
    lease_owner       text,
    lease_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    attempts          integer     NOT NULL DEFAULT 0,
    last_error        text
);
CREATE INDEX IF NOT EXISTS potential_open
    ON potential_discord_posts (review_status, id) WHERE review_status IN ('pending', 'judging');
CREATE INDEX IF NOT EXISTS potential_by_time ON potential_discord_posts (generated_at);
CREATE INDEX IF NOT EXISTS potential_by_hash ON potential_discord_posts (content_hash);
-- An item leaves its rows once: a second settle of the same item cannot double them.
CREATE INDEX IF NOT EXISTS potential_by_item ON potential_discord_posts (item_id);

CREATE TABLE IF NOT EXISTS approved_discord_posts (
    id                bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    candidate_id      bigint      UNIQUE REFERENCES potential_discord_posts (id) ON DELETE SET NULL,
    text_content      text,
    content_type      text,
    source            text,
    tags              jsonb,
    curation_score    numeric(5, 2),
    curation_notes    text,
    selected_at       timestamptz NOT NULL DEFAULT now(),
    generated_at      timestamptz NOT NULL DEFAULT now(),
    source_narrative  text,
    source_act        text,
    generation_model  text,
    rating            integer,
    review_status     text        NOT NULL DEFAULT 'pending'
                      CHECK (review_status IN ('pending',   -- waits for its deliveries
                                               'posting',   -- a delivery is under way
                                               'posted',    -- every delivery is out
                                               'failed',    -- a delivery failed for good
                                               'held',      -- a person has to look
                                               'withdrawn')),
    posted_at         timestamptz,
    approved_by       text,
    run_id            bigint      REFERENCES runs (id) ON DELETE SET NULL,
    extra             jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS approved_open
    ON approved_discord_posts (review_status, selected_at, id) WHERE review_status IN ('pending', 'posting');
CREATE INDEX IF NOT EXISTS approved_by_posted_at ON approved_discord_posts (posted_at);

-- ---------------------------------------------------------------------------------------------
-- Deliveries: one approved post on its way to one destination; the unit of exactly-once
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS deliveries (
    id                bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    post_id           bigint      NOT NULL REFERENCES approved_discord_posts (id) ON DELETE CASCADE,
    destination       text        NOT NULL,
    state             text        NOT NULL DEFAULT 'pending'
                      CHECK (state IN ('pending',           -- -> sending
                                       'sending',           -- -> posted | pending | failed | held; lease over: uncertain
                                       'posted',            -- the platform has it
                                       'failed',            -- the platform refused it for good
                                       'held',              -- a person has to decide
                                       'dropped',           -- a person gave it up
                                       'withdrawn')),       -- was posted, then deleted
    nonce             text        NOT NULL DEFAULT left(replace(gen_random_uuid()::text, '-', ''), 25),
    attempts          integer     NOT NULL DEFAULT 0,
    retry_at          timestamptz,
    sent_at           timestamptz,                          -- start of the first request that may have arrived
    text_sent         text,                                 -- what was asked of the platform
    remote_id         text,
    remote_url        text,
    posted_at         timestamptz,
    last_error        text,
    decided_by        text,                                 -- who held, marked or dropped it by hand
    lease_owner       text,
    lease_expires_at  timestamptz,
    fence             bigint      NOT NULL DEFAULT 0,
    history           jsonb       NOT NULL DEFAULT '[]',    -- attempts and edits, oldest first
    created_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE (post_id, destination),
    CHECK ((state = 'sending') = (lease_expires_at IS NOT NULL)),
    CHECK (state <> 'posted' OR posted_at IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS deliveries_open
    ON deliveries (destination, state, post_id) WHERE state IN ('pending', 'sending');
CREATE INDEX IF NOT EXISTS deliveries_posted ON deliveries (destination, posted_at DESC) WHERE posted_at IS NOT NULL;

-- ---------------------------------------------------------------------------------------------
-- The ledger: requests and tokens per provider and model, shared by everybody
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS ledger (
    key            text        PRIMARY KEY,                 -- provider/model
    rpm            integer,                                 -- allowed: limit x multiplier; null: unlimited
    tpm            bigint,
    rpd            integer,
    tpd            bigint,
    time_zone      text        NOT NULL DEFAULT 'America/Los_Angeles',  -- whose midnight ends the provider's day
    last_start     timestamptz NOT NULL DEFAULT '-infinity',
    blocked_until  timestamptz NOT NULL DEFAULT '-infinity',            -- a 429 said so
    blocked_why    text,
    day            date,
    day_requests   integer     NOT NULL DEFAULT 0,
    day_tokens     bigint      NOT NULL DEFAULT 0,
    learned        jsonb       NOT NULL DEFAULT '{}',       -- limits that a 429's quotaValue taught
    updated_at     timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS ledger_grants (
    key         text        NOT NULL REFERENCES ledger (key) ON DELETE CASCADE,
    seq         bigint      GENERATED ALWAYS AS IDENTITY,
    start_at    timestamptz NOT NULL,                       -- when the request may be sent
    tokens      bigint      NOT NULL,                       -- reserved, then as reported
    settled_at  timestamptz,
    owner       text        NOT NULL,
    run_id      bigint,
    cost_usd    numeric(14, 8) NOT NULL DEFAULT 0,
    PRIMARY KEY (key, seq)
);
CREATE INDEX IF NOT EXISTS ledger_grants_by_start ON ledger_grants (key, start_at);

-- ---------------------------------------------------------------------------------------------
-- Narratives: state, tables that were inferred, leases on rows that are consumed
-- ---------------------------------------------------------------------------------------------

CREATE TABLE IF NOT EXISTS narrative_state (
    scope       text        NOT NULL DEFAULT 'global',      -- global, or a narrative's name
    key         text        NOT NULL,
    value       text        NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);

CREATE TABLE IF NOT EXISTS content_generation_tables (
    table_name       text        PRIMARY KEY,
    template_source  text        NOT NULL,                  -- 'inferred', 'declared' or the template's name
    narrative_file   text,
    description      text,
    created_at       timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS content_generations (
    id                      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_name              text        NOT NULL,
    narrative_file          text,
    narrative_name          text        NOT NULL,
    run_id                  bigint      REFERENCES runs (id) ON DELETE SET NULL,
    generated_at            timestamptz NOT NULL DEFAULT now(),
    completed_at            timestamptz,
    row_count               integer,
    generation_duration_ms  integer,
    status                  text        NOT NULL CHECK (status IN ('running', 'success', 'failed')),
    error_message           text,
    created_by              text
);
CREATE INDEX IF NOT EXISTS content_generations_by_time ON content_generations (generated_at DESC);

-- Rows of any table that a run is consuming (pull_and_delete): removed with the result, or free again.
CREATE TABLE IF NOT EXISTS row_leases (
    table_name        text        NOT NULL,
    row_key           text        NOT NULL,                 -- primary key as text, or ctid for tables without one
    lease_owner       text        NOT NULL,
    lease_expires_at  timestamptz NOT NULL,
    fence             bigint      NOT NULL DEFAULT 1,
    PRIMARY KEY (table_name, row_key)
);

-- Tables that the narratives' database commands know (plan.md, dialect.md section 14).
CREATE TABLE IF NOT EXISTS content (
    id              bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    content_type    text        NOT NULL,
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
    created_at      timestamptz NOT NULL DEFAULT now(),
    metadata        jsonb
);

CREATE TABLE IF NOT EXISTS post_history (
    id                bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    content_id        bigint      REFERENCES content (id) ON DELETE SET NULL,
    actor_name        text,
    platform          text,
    channel_id        text,
    post_id           text,
    posted_at         timestamptz NOT NULL DEFAULT now(),
    engagement_count  integer     NOT NULL DEFAULT 0,
    metadata          jsonb
);

CREATE TABLE IF NOT EXISTS engagement (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery_id   bigint      NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    observed_at   timestamptz NOT NULL DEFAULT now(),
    reactions     integer     NOT NULL DEFAULT 0,
    replies       integer     NOT NULL DEFAULT 0,
    details       jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS engagement_by_delivery ON engagement (delivery_id, observed_at DESC);

INSERT INTO schema_version (version) VALUES (1) ON CONFLICT DO NOTHING;
