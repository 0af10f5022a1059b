"""Who works in the embedded server: a role that is no superuser, and one that is.

Versions before 5 made one role alone, the superuser that every cluster begins with. It keeps its
rights for ever, so it gets another name, and a new role takes over its name and all it owns.
"""

from collections.abc import Callable
from typing import Final

import psycopg
from psycopg import sql

NAME: Final = "botticelli"  # who works
SUPERUSER: Final = "botticelli_superuser"  # who made the cluster; works in no database
MAINTENANCE: Final = "postgres"  # the database that every server has
HEIR: Final = "botticelli_heir"
CREATE: Final = f"CREATE ROLE {NAME} LOGIN CREATEDB"

IS_SUPERUSER: Final = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
# Each can be done again: a kill in between is made good at the next start.
PREPARE: Final = f"""
    DO $$ BEGIN
        CREATE ROLE {SUPERUSER} SUPERUSER LOGIN;
        CREATE ROLE {HEIR} LOGIN CREATEDB;
    EXCEPTION WHEN duplicate_object THEN NULL;  -- both are there, or none
    END $$
"""
DATABASES: Final = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datallowconn"
HAND_OVER: Final = sql.SQL(f"ALTER DATABASE {{}} OWNER TO {HEIR}")
# What the first superuser owns is pinned: REASSIGN OWNED refuses it. Below 16384 it is the
# server's own.
HAND_OVER_ALL: Final = """
    DO $$
    DECLARE
        command text;
    BEGIN
        FOR command IN
            SELECT format('ALTER %s %s OWNER TO botticelli_heir', o.type, o.identity)
              FROM (
                    SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspowner = 10
                     UNION ALL
                    SELECT 'pg_class'::regclass, oid
                      FROM pg_class
                     WHERE relowner = 10
                       AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
                     UNION ALL
                    SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE proowner = 10
                     UNION ALL
                    SELECT 'pg_largeobject'::regclass, oid
                      FROM pg_largeobject_metadata
                     WHERE lomowner = 10
                     UNION ALL
                    SELECT 'pg_type'::regclass, oid
                      FROM pg_type
                     WHERE typowner = 10
                       AND typrelid = 0
                       AND typcategory <> 'A'
                   ) AS x (class, id),
                   pg_identify_object(class, id, 0) AS o
             WHERE (id >= 16384 OR class = 'pg_largeobject'::regclass)
               AND NOT EXISTS (SELECT
                                 FROM pg_depend
                                WHERE classid = class
                                  AND objid = id
                                  AND deptype IN ('a', 'i', 'e'))  -- goes with another object
        LOOP
            EXECUTE command;
        END LOOP;
    END $$
"""
EXCHANGE: Final = f"""
    ALTER ROLE {NAME} RENAME TO {NAME}_of_old;
    ALTER ROLE {HEIR} RENAME TO {NAME}
"""


def demote(url_of: Callable[..., str]) -> None:
    """Let our role be no superuser, if it is one. The caller holds the server's lock.

    Args:
        url_of: Returns the URL of a database of the running server, for a `role`.
    """
    with psycopg.connect(url_of(MAINTENANCE), autocommit=True) as conn:
        if conn.execute(IS_SUPERUSER).fetchone() != (True,):
            return
        conn.execute(PREPARE)
        databases = [name for (name,) in conn.execute(DATABASES)]
    for name in databases:
        with psycopg.connect(url_of(name, role=SUPERUSER)) as conn:
            conn.execute(HAND_OVER.format(sql.Identifier(name)))
            conn.execute(HAND_OVER_ALL)
    with psycopg.connect(url_of(MAINTENANCE, role=SUPERUSER)) as conn:
        conn.execute(EXCHANGE)
