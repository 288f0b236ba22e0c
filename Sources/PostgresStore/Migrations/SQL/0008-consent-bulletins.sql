-- 0008 consent ledger, templates and bulletins.

-- Append-only and chained by hashes: a row that was removed or changed shows. The newest row for a (person, landlord,
-- purpose) is the present state. landlord NULL = all landlords; purpose 'all' = everything: STOP is a revoke of it.
CREATE OR REPLACE FUNCTION gateway.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'ZR004';
END $$;
CREATE TABLE IF NOT EXISTS gateway.consent_events (
  seq bigint PRIMARY KEY,
  id uuid NOT NULL UNIQUE DEFAULT gateway.uuid7(),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  person_id uuid NOT NULL REFERENCES gateway.people (id),
  landlord_id uuid,
  channel gateway.channel NOT NULL DEFAULT 'WHATSAPP',
  purpose text NOT NULL CHECK (purpose IN ('all', 'service', 'bulletin', 'marketing')),
  action text NOT NULL CHECK (action IN ('grant', 'revoke')),
  source text NOT NULL,                            -- web_form, inbound_keyword, paper, import
  wording text NOT NULL,                           -- as it was shown or received
  proof jsonb NOT NULL DEFAULT '{}',               -- wamid, address, form, document
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL);
CREATE INDEX IF NOT EXISTS consent_events_state_idx
  ON gateway.consent_events (person_id, channel, purpose, landlord_id, seq DESC);
CREATE OR REPLACE FUNCTION gateway.consent_hash(c gateway.consent_events) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(c.prev_hash || convert_to(concat_ws('|', c.seq, c.id, extract(epoch FROM c.at), c.person_id,
    coalesce(c.landlord_id::text, ''), c.channel, c.purpose, c.action, c.source, c.wording, c.proof), 'UTF8'))
$$;
CREATE OR REPLACE FUNCTION gateway.consent_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest gateway.consent_events;
BEGIN
  PERFORM pg_advisory_xact_lock(1735288186);       -- one chain: consents are rare
  SELECT * INTO newest FROM gateway.consent_events ORDER BY seq DESC LIMIT 1;
  NEW.seq := coalesce(newest.seq, 0) + 1;
  NEW.prev_hash := coalesce(newest.hash, ''::bytea);
  NEW.hash := gateway.consent_hash(NEW);
  RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER consent_chain BEFORE INSERT ON gateway.consent_events
  FOR EACH ROW EXECUTE FUNCTION gateway.consent_chain();
CREATE OR REPLACE TRIGGER consent_append_only BEFORE UPDATE OR DELETE ON gateway.consent_events
  FOR EACH ROW EXECUTE FUNCTION gateway.append_only();
-- The first row that does not fit the one before it; NULL = the ledger is whole.
CREATE OR REPLACE FUNCTION gateway.verify_consent_chain() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT min(seq) FROM (
    SELECT c.seq, c.hash = gateway.consent_hash(c) AND c.prev_hash = coalesce(lag(c.hash) OVER w, ''::bytea)
             AND c.seq = row_number() OVER w AS ok
      FROM gateway.consent_events c WINDOW w AS (ORDER BY c.seq)) x WHERE NOT ok
$$;
CREATE OR REPLACE VIEW gateway.opt_ins WITH (security_invoker = true) AS         -- standing grants
  SELECT * FROM (
    SELECT DISTINCT ON (person_id, landlord_id, channel, purpose) * FROM gateway.consent_events
     ORDER BY person_id, landlord_id, channel, purpose, seq DESC) x
   WHERE action = 'grant';

-- The one question before every send: ok, or why not. Service messages need no grant, only no stop; bulletins and
-- marketing need one. A start lifts the stop of the same reach: a stop for one landlord survives a start for all.
CREATE OR REPLACE FUNCTION gateway.may_send(
  p_person uuid, p_landlord uuid, p_purpose text, p_channel text DEFAULT 'WHATSAPP')
RETURNS text LANGUAGE sql STABLE AS $$
  WITH me AS MATERIALIZED (
    SELECT p_person AS id UNION SELECT id FROM gateway.people WHERE merged_into = p_person),
  s AS MATERIALIZED (
    SELECT DISTINCT ON (c.purpose, c.landlord_id) c.purpose, c.landlord_id, c.action, c.seq
      FROM gateway.consent_events c JOIN me ON me.id = c.person_id
     WHERE c.channel = p_channel AND c.purpose IN ('all', p_purpose)
       AND (c.landlord_id IS NULL OR c.landlord_id = p_landlord)
     ORDER BY c.purpose, c.landlord_id, c.seq DESC)
  SELECT CASE
    WHEN p_person IS NULL THEN 'ok'
    WHEN EXISTS (SELECT FROM s WHERE purpose = 'all' AND landlord_id IS NULL AND action = 'revoke')
      THEN 'stopped_all'
    WHEN EXISTS (SELECT FROM s WHERE purpose = 'all' AND landlord_id = p_landlord AND action = 'revoke')
      THEN 'stopped_landlord'
    WHEN EXISTS (SELECT FROM s WHERE purpose = p_purpose AND purpose <> 'all' AND action = 'revoke') THEN 'revoked'
    WHEN p_purpose IN ('bulletin', 'marketing')
     AND NOT EXISTS (SELECT FROM s WHERE purpose = p_purpose AND action = 'grant') THEN 'no_opt_in'
    ELSE 'ok' END
$$;

CREATE TABLE IF NOT EXISTS gateway.message_templates (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  endpoint_id uuid REFERENCES gateway.endpoints (id) ON DELETE CASCADE,
  name text NOT NULL,
  language text NOT NULL DEFAULT 'en',
  category text NOT NULL CHECK (category IN ('UTILITY', 'MARKETING', 'AUTHENTICATION')),
  status text NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'APPROVED', 'REJECTED', 'PAUSED', 'DISABLED')),
  body text NOT NULL,
  parameter_count smallint NOT NULL DEFAULT 0,
  components jsonb NOT NULL DEFAULT '[]',
  meta_template_id text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE NULLS NOT DISTINCT (endpoint_id, name, language));

CREATE TABLE IF NOT EXISTS gateway.bulletins (
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  business_id uuid,
  title text NOT NULL,
  advisory text, summary text, url text,
  template_id uuid REFERENCES gateway.message_templates (id),
  media_key text,
  created_by uuid,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS gateway.bulletin_audiences (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  business_id uuid,
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS gateway.bulletin_audience_members (
  audience_id uuid NOT NULL REFERENCES gateway.bulletin_audiences (id) ON DELETE CASCADE,
  phone_key bigint NOT NULL,
  phone gateway.e164 NOT NULL,
  PRIMARY KEY (audience_id, phone_key));
CREATE TABLE IF NOT EXISTS gateway.disseminated_bulletin_log (      -- one row for a bulletin and channel
  id uuid PRIMARY KEY DEFAULT gateway.uuid7(),
  bulletin_id uuid NOT NULL REFERENCES gateway.bulletins (id) ON DELETE CASCADE,
  channel gateway.channel NOT NULL,
  audience_id uuid REFERENCES gateway.bulletin_audiences (id),
  status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'cancelled')),
  requested_by uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz);
CREATE TABLE IF NOT EXISTS gateway.bulletin_deliveries (
  log_id uuid NOT NULL REFERENCES gateway.disseminated_bulletin_log (id) ON DELETE CASCADE,
  phone_key bigint NOT NULL,
  phone gateway.e164 NOT NULL,
  person_id uuid,
  consent_id uuid REFERENCES gateway.consent_events (id),           -- the consent used; NULL for skipped ones alone
  status text NOT NULL CHECK (status IN ('queued', 'sent', 'delivered', 'read', 'failed', 'skipped_no_opt_in',
                                         'skipped_duplicate')),
  wamid text,
  error_code integer,
  error_detail text,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (log_id, phone_key),
  CHECK ((consent_id IS NULL) = (status LIKE 'skipped%')));
CREATE INDEX IF NOT EXISTS bulletin_deliveries_wamid_idx ON gateway.bulletin_deliveries (wamid)
  WHERE wamid IS NOT NULL;

-- Fans a bulletin out: only people with a standing grant and no stop reach the outbox, the rest are noted as skipped.
CREATE OR REPLACE FUNCTION gateway.disseminate_whatsapp(p_log uuid) RETURNS TABLE (queued bigint, skipped bigint)
LANGUAGE plpgsql AS $$
DECLARE
  tpl gateway.message_templates;
  b gateway.bulletins;
  lg gateway.disseminated_bulletin_log;
BEGIN
  SELECT * INTO STRICT lg FROM gateway.disseminated_bulletin_log WHERE id = p_log AND channel = 'WHATSAPP' FOR UPDATE;
  SELECT * INTO STRICT b FROM gateway.bulletins WHERE id = lg.bulletin_id;
  SELECT * INTO tpl FROM gateway.message_templates WHERE id = b.template_id;
  IF tpl.status IS DISTINCT FROM 'APPROVED' THEN
    RAISE EXCEPTION 'template of bulletin % is not approved', b.id USING ERRCODE = 'ZR002';
  END IF;
  RETURN QUERY
  WITH who AS (
    SELECT m.phone_key, m.phone, i.person_id FROM gateway.bulletin_audience_members m
      LEFT JOIN gateway.identities i ON i.value = m.phone_key::text AND i.kind = 'phone' AND i.scope = ''
       AND i.retired_at IS NULL
     WHERE m.audience_id = lg.audience_id),
  ins AS (
    INSERT INTO gateway.bulletin_deliveries (log_id, phone_key, phone, person_id, consent_id, status)
      SELECT p_log, w.phone_key, w.phone, w.person_id, o.id,
             CASE WHEN o.id IS NULL THEN 'skipped_no_opt_in' ELSE 'queued' END
        FROM who w LEFT JOIN LATERAL (
          SELECT c.id FROM gateway.consent_events c
           WHERE c.channel = 'WHATSAPP' AND c.purpose = 'bulletin' AND c.action = 'grant'
             AND c.person_id IN (SELECT w.person_id UNION ALL
                                 SELECT q.id FROM gateway.people q WHERE q.merged_into = w.person_id)
             AND gateway.may_send(w.person_id, NULL, 'bulletin') = 'ok' ORDER BY c.seq DESC LIMIT 1) o ON true
      ON CONFLICT DO NOTHING RETURNING phone_key, phone, person_id, status),
  job AS (
    INSERT INTO gateway.outbox (kind, idempotency_key, person_id, purpose, payload)
      SELECT 'bulletin', 'bulletin:' || p_log || ':' || i.phone_key, i.person_id, 'bulletin',
             jsonb_build_object('to', i.phone::text, 'template', tpl.name, 'language', tpl.language,
                                'params', jsonb_build_array(b.title, b.url), 'log_id', p_log)
        FROM ins i WHERE i.status = 'queued' ON CONFLICT (idempotency_key) DO NOTHING RETURNING 1)
  SELECT (SELECT count(*) FROM job), (SELECT count(*) FROM ins WHERE status LIKE 'skipped%');
  UPDATE gateway.disseminated_bulletin_log SET status = 'running' WHERE id = p_log;
END $$;
