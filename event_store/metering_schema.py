"""The ledger of what metered organizations spend: its table, its functions, and the front's view of it."""

from psycopg.sql import SQL, Composed, Identifier, Literal

from event_store.names import FRONT_ROLE, LOG_SCHEMA, ORG_SETTING, READ_SCHEMA

_METERS = Identifier(LOG_SCHEMA, "meters")
METERING_STATEMENTS: tuple[Composed, ...] = (
    SQL(
        "CREATE TABLE IF NOT EXISTS {} (meter text NOT NULL, piece text NOT NULL, job_id text NOT NULL, "
        "org_id text NOT NULL CHECK (org_id <> ''), plan text NOT NULL, at timestamptz NOT NULL, "
        "amount bigint NOT NULL, most bigint NOT NULL, open boolean NOT NULL DEFAULT true, PRIMARY KEY (meter, piece))"
    ).format(_METERS),
    SQL("CREATE INDEX IF NOT EXISTS meters_of_org ON {} (org_id, meter, at)").format(_METERS),
    SQL("CREATE INDEX IF NOT EXISTS meters_of_job ON {} (job_id)").format(_METERS),
    SQL("""
        CREATE OR REPLACE FUNCTION {refuse}(
            of_plan text, of_meter text, more bigint, day bigint, open bigint, frees_at timestamptz
        ) RETURNS void LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'allowance' USING ERRCODE = 'OF002', DETAIL = json_build_object(
                'plan', of_plan, 'meter', of_meter, 'more', more, 'day', day, 'open', open,
                'frees_at', frees_at)::text;
        END $$
        """).format(refuse=Identifier(LOG_SCHEMA, "refuse_to_spend")),
    SQL("""
        CREATE OR REPLACE FUNCTION {spent}(of_org text, of_meter text, moment timestamptz,
            OUT day bigint, OUT open bigint, OUT frees_at timestamptz
        ) RETURNS record LANGUAGE sql AS $$
            SELECT coalesce(sum(m.amount) FILTER (WHERE m.at > moment - interval '1 day'), 0),
                   count(*) FILTER (WHERE m.open),
                   min(m.at) FILTER (WHERE m.at > moment - interval '1 day' AND m.amount > 0) + interval '1 day'
            FROM {meters} m WHERE m.org_id = of_org AND m.meter = of_meter
        $$
        """).format(spent=Identifier(LOG_SCHEMA, "spent"), meters=_METERS),
    SQL("""
        CREATE OR REPLACE FUNCTION {spend}(
            of_meter text, of_piece text, of_job text, org text, of_plan text, moment timestamptz,
            more bigint, most_day bigint, most_open bigint
        ) RETURNS void LANGUAGE plpgsql AS $$
        DECLARE held record;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended('openfactory quota ' || org, 0));
            IF EXISTS (SELECT FROM {meters} m WHERE m.meter = of_meter AND m.piece = of_piece) THEN RETURN; END IF;
            SELECT * INTO held FROM {spent}(org, of_meter, moment);
            IF held.day + more > most_day OR held.open >= most_open THEN
                PERFORM {refuse}(of_plan, of_meter, more, held.day, held.open, held.frees_at);
            END IF;
            DELETE FROM {meters} m WHERE m.org_id = org AND NOT m.open AND m.at < moment - interval '30 days';
            INSERT INTO {meters} VALUES (of_meter, of_piece, of_job, org, of_plan, moment, more, most_day, true);
        END $$
        """).format(
        spend=Identifier(LOG_SCHEMA, "spend"),
        meters=_METERS,
        spent=Identifier(LOG_SCHEMA, "spent"),
        refuse=Identifier(LOG_SCHEMA, "refuse_to_spend"),
    ),
    SQL("""
        CREATE OR REPLACE FUNCTION {spend_until}(of_job text, moment timestamptz, ends timestamptz)
        RETURNS void LANGUAGE plpgsql AS $$
        DECLARE own record; held record; wanted bigint;
        BEGIN
            SELECT * INTO own FROM {meters} m WHERE m.meter = 'vm_minutes' AND m.piece = of_job;
            IF NOT FOUND THEN RETURN; END IF;
            PERFORM pg_advisory_xact_lock(hashtextextended('openfactory quota ' || own.org_id, 0));
            wanted := greatest(1, ceil(extract(epoch FROM ends - own.at) / 60));
            SELECT * INTO held FROM {spent}(own.org_id, 'vm_minutes', moment);
            IF wanted > own.amount AND held.day + wanted - own.amount > own.most THEN
                PERFORM {refuse}(own.plan, 'vm_minutes', wanted - own.amount, held.day, held.open, held.frees_at);
            END IF;
            UPDATE {meters} m SET amount = wanted WHERE m.meter = 'vm_minutes' AND m.piece = of_job;
        END $$
        """).format(
        spend_until=Identifier(LOG_SCHEMA, "spend_until"),
        meters=_METERS,
        spent=Identifier(LOG_SCHEMA, "spent"),
        refuse=Identifier(LOG_SCHEMA, "refuse_to_spend"),
    ),
    SQL(
        "CREATE OR REPLACE VIEW {} WITH (security_barrier) AS SELECT meter, at, amount, open FROM {} "
        "WHERE org_id = current_setting({}, true)"
    ).format(Identifier(READ_SCHEMA, "spending"), _METERS, Literal(ORG_SETTING)),
    SQL("GRANT SELECT ON {} TO {}").format(Identifier(READ_SCHEMA, "spending"), Identifier(FRONT_ROLE)),
)
"""What the migration makes; harmless to repeat."""
