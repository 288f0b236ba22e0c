-- 0002 businesses: their users, limits, integrations with encrypted tokens, customers.
CREATE TABLE IF NOT EXISTS gateway.businesses (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  name text NOT NULL,
  organization_id uuid,                                         -- soft reference to the application's organizations
  is_active boolean NOT NULL DEFAULT true,
  messages_limit integer NOT NULL DEFAULT 1000 CHECK (messages_limit >= 0),               -- a calendar month, UTC
  voice_minutes_limit double precision NOT NULL DEFAULT 100 CHECK (voice_minutes_limit >= 0),
  ai_personality text,
  ai_greeting text,
  ai_instructions text,
  ai_settings jsonb NOT NULL DEFAULT '{}',
  whatsapp_phone_id text, vapi_assistant_id text, vapi_phone_number text,                 -- superseded by integrations
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now());

CREATE TABLE IF NOT EXISTS gateway.users (
  id uuid PRIMARY KEY,                       -- auth.users.id; soft, for deleting a login must not be blocked by us
  email text NOT NULL,
  role gateway.user_role NOT NULL DEFAULT 'BUSINESS_OWNER',
  business_id uuid REFERENCES gateway.businesses (id) ON DELETE RESTRICT,
  created_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz,
  CONSTRAINT users_business_by_role CHECK ((role = 'SUPER_ADMIN') = (business_id IS NULL)));
CREATE UNIQUE INDEX IF NOT EXISTS users_email_key ON gateway.users (lower(email));
CREATE INDEX IF NOT EXISTS users_business_idx ON gateway.users (business_id);

CREATE TABLE IF NOT EXISTS gateway.usage_counters (
  business_id uuid NOT NULL REFERENCES gateway.businesses (id) ON DELETE CASCADE,
  period date NOT NULL,
  messages_in bigint NOT NULL DEFAULT 0,
  messages_out bigint NOT NULL DEFAULT 0,
  voice_minutes double precision NOT NULL DEFAULT 0,
  PRIMARY KEY (business_id, period)) WITH (fillfactor = 50);

-- Takes n outgoing messages from the month's limit; false = over it, and nothing taken.
CREATE OR REPLACE FUNCTION gateway.consume_messages(p_business uuid, n integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  month date := date_trunc('month', now() AT TIME ZONE 'UTC')::date;
BEGIN
  INSERT INTO gateway.usage_counters (business_id, period) VALUES (p_business, month) ON CONFLICT DO NOTHING;
  UPDATE gateway.usage_counters u SET messages_out = u.messages_out + n FROM gateway.businesses b
   WHERE u.business_id = p_business AND u.period = month
     AND b.id = p_business AND u.messages_out + n <= b.messages_limit;
  RETURN FOUND;
END $$;

CREATE TABLE IF NOT EXISTS gateway.encryption_keys (            -- names of keys; the keys stay with the gateway
  key_id smallint PRIMARY KEY,
  fingerprint bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  retired_at timestamptz);

CREATE TABLE IF NOT EXISTS gateway.integrations (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  business_id uuid NOT NULL REFERENCES gateway.businesses (id) ON DELETE CASCADE,
  type gateway.integration_type NOT NULL,
  is_active boolean NOT NULL DEFAULT true,
  -- AES-256-GCM: nonce (12) | ciphertext | tag (16); associated data: id, business, type, platform id, column
  access_token bytea CHECK (octet_length(access_token) > 28),
  refresh_token bytea CHECK (octet_length(refresh_token) > 28),
  token_key_id smallint REFERENCES gateway.encryption_keys (key_id),
  token_expiry timestamptz,
  platform_id text NOT NULL,
  platform_name text,
  metadata jsonb NOT NULL DEFAULT '{}',
  status text NOT NULL DEFAULT 'connected' CHECK (status IN ('connected', 'expired', 'error', 'disconnected')),
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, type, platform_id),
  CHECK ((access_token IS NULL) = (token_key_id IS NULL)),
  CHECK (NOT is_active OR access_token IS NOT NULL));
-- A webhook finds its business by this: an active account has one owner.
CREATE UNIQUE INDEX IF NOT EXISTS integrations_platform_owner_key ON gateway.integrations (type, platform_id)
  WHERE is_active;

CREATE TABLE IF NOT EXISTS gateway.oauth_states (               -- from connect to callback, for one use
  state text PRIMARY KEY,
  user_id uuid NOT NULL,
  business_id uuid NOT NULL,
  type gateway.integration_type NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz);

CREATE TABLE IF NOT EXISTS gateway.customers (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  business_id uuid NOT NULL REFERENCES gateway.businesses (id) ON DELETE CASCADE,
  name text,
  email text,
  phone gateway.e164,
  whatsapp_id text,
  instagram_id text,
  facebook_id text,
  tenant_id uuid,
  created_at timestamptz NOT NULL DEFAULT now(),
  updated_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (business_id, whatsapp_id),
  UNIQUE (business_id, instagram_id),
  UNIQUE (business_id, facebook_id));
