-- 0001 base: roles, the auth shim, value domains, phone numbers, settings, the landlord application's tables.
--
-- Every file may run again without harm. Three schemas: auth (Supabase's, or a shim), public (the landlord
-- application's: created where absent, otherwise only added to), gateway (ours).
CREATE SCHEMA IF NOT EXISTS gateway;

-- Roles: gateway_writer is the process, authenticated a landlord, gateway_admin an administrator; none logs in.
DO $$
DECLARE
  missing text[] := ARRAY(SELECT r FROM unnest('{anon,authenticated,gateway_writer,gateway_admin}'::text[]) r
                           WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r));
  r text;
BEGIN
  FOREACH r IN ARRAY missing LOOP
    BEGIN
      EXECUTE format('CREATE ROLE %I NOLOGIN', r);
    EXCEPTION
      WHEN duplicate_object OR unique_violation THEN
        NULL;                      -- made for another database of this server just now
      WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the roles % are missing, and % may not make them', missing, current_user
          USING ERRCODE = 'insufficient_privilege', HINT = format(
            'as an administrator of the server: CREATE ROLE %s NOLOGIN',
            array_to_string(missing, ' NOLOGIN; CREATE ROLE '));
    END;
  END LOOP;
END $$;

-- The part of Supabase's auth schema we read, where it is not there.
DO $$
BEGIN
  IF to_regnamespace('auth') IS NULL THEN CREATE SCHEMA auth; END IF;
  IF to_regclass('auth.users') IS NULL THEN
    CREATE TABLE auth.users (
      id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
      email text UNIQUE,
      created_at timestamptz NOT NULL DEFAULT now());
  END IF;
  IF to_regprocedure('auth.jwt()') IS NULL THEN
    CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE AS
      $f$ SELECT coalesce(nullif(current_setting('request.jwt.claims', true), ''), '{}')::jsonb $f$;
  END IF;
  IF to_regprocedure('auth.uid()') IS NULL THEN
    CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS
      $f$ SELECT nullif(coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
                                 auth.jwt() ->> 'sub'), '')::uuid $f$;
  END IF;
END $$;
DO $$
BEGIN
  GRANT USAGE ON SCHEMA auth TO anon, authenticated, gateway_writer, gateway_admin;
EXCEPTION WHEN insufficient_privilege THEN
  NULL;   -- Supabase owns the schema and granted this already
END $$;

-- Domains over text, not enums: a value can be added in the transaction that first uses it, and retired again.
DO $$
BEGIN
  IF to_regtype('gateway.channel') IS NULL THEN
    CREATE DOMAIN gateway.channel AS text CONSTRAINT channel_check
      CHECK (VALUE IN ('WEBCHAT', 'VOICE', 'WHATSAPP', 'INSTAGRAM', 'FACEBOOK', 'SMS', 'EMAIL'));
    CREATE DOMAIN gateway.user_role AS text CONSTRAINT user_role_check
      CHECK (VALUE IN ('SUPER_ADMIN', 'BUSINESS_OWNER', 'TEAM_MEMBER'));
    CREATE DOMAIN gateway.integration_type AS text CONSTRAINT integration_type_check
      CHECK (VALUE IN ('WHATSAPP', 'INSTAGRAM', 'FACEBOOK', 'VAPI', 'GOOGLE_CALENDAR', 'EMAIL'));
    CREATE DOMAIN gateway.message_status AS text CONSTRAINT message_status_check
      CHECK (VALUE IN ('received', 'queued', 'sent', 'delivered', 'read', 'played', 'failed', 'deleted'));
    -- delivered = in a conversation and on its way to the landlord; ambiguous = held until the tenant or an
    -- administrator says which landlord; opted_out, blocked and over_limit are in the conversation, and withheld.
    CREATE DOMAIN gateway.routing_status AS text CONSTRAINT routing_status_check
      CHECK (VALUE IN ('pending', 'delivered', 'failed', 'unknown_sender', 'ambiguous', 'opted_out', 'blocked',
                       'over_limit'));
    CREATE DOMAIN gateway.e164 AS bigint CONSTRAINT e164_check
      CHECK (VALUE BETWEEN 10000000 AND 999999999999999);
  END IF;
END $$;

-- A version 7 id: milliseconds first, so that rows made one after the other lie side by side in an index.
CREATE OR REPLACE FUNCTION gateway.uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
           PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
           FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- What people type -> E.164 digits; NULL when it cannot be one number. The country code is for national forms only.
-- Messaging.PhoneNumber(parsing:) gives the same answers; a test holds the two together.
CREATE OR REPLACE FUNCTION gateway.e164_digits(raw text, default_cc text DEFAULT '44') RETURNS bigint
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
  -- Arabic, Persian, Devanagari and full-width digits; the full-width plus
  foreign_digits CONSTANT text := U&'\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669'
    || U&'\06F0\06F1\06F2\06F3\06F4\06F5\06F6\06F7\06F8\06F9\0966\0967\0968\0969\096A\096B\096C\096D\096E\096F'
    || U&'\FF10\FF11\FF12\FF13\FF14\FF15\FF16\FF17\FF18\FF19\FF0B';
  ascii_digits CONSTANT text := '0123456789012345678901234567890123456789+';
  -- what stands between digits: blanks, dashes, dots, slashes, invisible direction marks
  fillers CONSTANT text := E' \t-./' || U&'\00A0\2009\202F\2010\2011\2012\2013\2014\2015\200B\200C\200D\200E\200F'
    || U&'\202A\202B\202C\202D\202E\2060\2061\2062\2063\2064\2065\2066\2067\2068\2069\FEFF';
  s text := translate(translate(raw, foreign_digits, ascii_digits), fillers, '');
  trunk integer;               -- where the zero of "(0)" stands among the digits: it is dialled at home only
  international boolean := false;
BEGIN
  IF s ~ '^[()]*\+[()0-9]*$' THEN
    s := replace(s, '+', '');
    international := true;
  ELSIF s IS NULL OR s !~ '^[()0-9]*$' THEN
    RETURN NULL;               -- letters, extensions, two numbers in one field
  END IF;
  trunk := length(translate(left(s, nullif(position('(0)' IN s), 0) - 1), '()', '')) + 1;
  s := translate(s, '()', '');
  IF length(s) > 20 THEN RETURN NULL; END IF;
  IF NOT international AND left(s, 2) = '00' THEN
    s := substr(s, 3);
    trunk := nullif(greatest(trunk - 2, 0), 0);
    international := true;
  END IF;
  IF length(s) NOT BETWEEN 5 AND 18 THEN RETURN NULL; END IF;
  IF international THEN
    IF trunk IS NOT NULL THEN s := overlay(s PLACING '' FROM trunk FOR 1); END IF;
  ELSIF left(s, 1) = '0' THEN
    s := default_cc || substr(s, 2);
  ELSIF length(s) <= 10 AND NOT (left(s, length(default_cc)) = default_cc AND length(s) > 9) THEN
    s := default_cc || s;
  END IF;                      -- otherwise: digits with a country code already, as a wa_id is
  IF left(s, 1) = '0' OR length(s) NOT BETWEEN 8 AND 15 THEN RETURN NULL; END IF;
  RETURN s::bigint;
END $$;

-- E.164 -> the key routes are filed under. In three countries the dialled number and WhatsApp's differ; both fold.
CREATE OR REPLACE FUNCTION gateway.phone_key(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN n BETWEEN 5210000000000 AND 5219999999999 THEN 520000000000 + n % 10000000000   -- Mexico: 52 1 + 10
    WHEN n BETWEEN 5490000000000 AND 5499999999999 THEN 540000000000 + n % 10000000000   -- Argentina: 54 9 + 10
    -- Brazil: the ninth digit of a mobile. Old numbers that begin with 2 to 5 are landlines and were never lengthened.
    WHEN n BETWEEN 5500000000000 AND 5599999999999 AND (n / 100000000) % 10 = 9 AND (n / 10000000) % 10 >= 6
      THEN (n / 1000000000) * 100000000 + n % 100000000
    ELSE n END
$$;

CREATE TABLE IF NOT EXISTS gateway.settings (
  key text PRIMARY KEY,
  value jsonb NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now());
INSERT INTO gateway.settings (key, value) VALUES
  ('default_cc', to_jsonb(coalesce(nullif(current_setting('zenrent.default_cc', true), ''), '44'))),
  ('webhook_log_retention_days', '14'),
  ('messages_retention_months', '36'),
  ('message_ids_retention_days', '90'),
  ('route_changes_retention_hours', '48'),
  ('lease_grace_days', '30'),               -- an ended lease still routes that long
  ('ended_lease_statuses', '["ended", "terminated", "expired"]'),
  ('conversation_outlives_lease', 'true'),  -- and a thread that exists goes on after it
  ('claim_unclaimed_days', '30'),
  ('question_hours', '24'),
  ('uncertain_wait_minutes', '10'),
  ('forward_to_landlord', 'false')          -- true once something consumes landlord_forward jobs
ON CONFLICT DO NOTHING;

CREATE OR REPLACE FUNCTION gateway.setting(p_key text) RETURNS text LANGUAGE sql STABLE AS
$$ SELECT value #>> '{}' FROM gateway.settings WHERE key = p_key $$;

-- What a dump, a restore or a failover cannot carry along: the cluster, the database, the timeline, and the file
-- of a table. A position or snapshot noted under another epoch means nothing here.
CREATE OR REPLACE FUNCTION gateway.cluster_epoch() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT concat_ws('.', (SELECT system_identifier FROM pg_control_system()),
    (SELECT oid FROM pg_database WHERE datname = current_database()),
    CASE WHEN pg_is_in_recovery() THEN (SELECT timeline_id::text FROM pg_control_checkpoint())
         ELSE ltrim(left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), '0') END,
    pg_relation_filenode('gateway.settings'))
$$;

-- The landlord application's tables, where it does not bring its own.
CREATE TABLE IF NOT EXISTS public.user_profiles (
  id uuid PRIMARY KEY REFERENCES auth.users (id) ON DELETE CASCADE,
  full_name text,
  phone text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS public.properties (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
  address text,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS public.tenants (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id uuid NOT NULL REFERENCES auth.users (id) ON DELETE CASCADE,
  name text,
  phone text,
  email text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS public.leases (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  tenant_id uuid NOT NULL REFERENCES public.tenants (id) ON DELETE CASCADE,
  property_id uuid NOT NULL REFERENCES public.properties (id) ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'active',
  start_date date,
  end_date date,
  created_at timestamptz NOT NULL DEFAULT now());
