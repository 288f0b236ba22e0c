/// The description of the API, kept by hand; a test holds it to the routes and the problem codes.
enum OpenAPIDocument {
    static let text = #"""
        {
        "openapi": "3.1.0",
        "info": {"title": "ZenRent Gateway", "version": "1",
          "description": "Conversations of landlords with their tenants. Times are RFC 3339 in UTC. Errors are \#
        problem documents (RFC 9457) with a stable code; x-problems lists the codes."},
        "security": [{"token": []}],
        "paths": {
          "/api/conversations": {
            "get": {"operationId": "listConversations", "summary": "Your conversations, the newest message first",
              "parameters": [{"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/cursor"}],
              "responses": {
                "200": {"description": "A page", "content": {"application/json": {"schema": {"type": "object",
                  "required": ["items", "next"], "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/Conversation"}},
                    "next": {"$ref": "#/components/schemas/Next"}}}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/conversations/{id}/messages": {
            "parameters": [{"name": "id", "in": "path", "required": true, "description": "The conversation",
              "schema": {"type": "string", "format": "uuid"}}],
            "get": {"operationId": "listMessages", "summary": "The messages of a conversation, newest first",
              "parameters": [{"$ref": "#/components/parameters/limit"}, {"$ref": "#/components/parameters/cursor"}],
              "responses": {
                "200": {"description": "A page", "content": {"application/json": {"schema": {"type": "object",
                  "required": ["items", "next"], "properties": {
                    "items": {"type": "array", "items": {"$ref": "#/components/schemas/Message"}},
                    "next": {"$ref": "#/components/schemas/Next"}}}}}},
                "default": {"$ref": "#/components/responses/Problem"}}},
            "post": {"operationId": "reply", "summary": "Answer the tenant",
              "description": "The message is queued and sent with your signature before it. Free text can be sent \#
        within 24 hours of the tenant's last message.",
              "parameters": [{"name": "Idempotency-Key", "in": "header", "required": false,
                "description": "1 to 255 visible ASCII characters, such as a random UUID. The same key with the \#
        same message gives the first answer again and sends nothing; with another message it is refused.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255}}],
              "requestBody": {"required": true, "content": {"application/json": {"schema": {"type": "object",
                "required": ["text"], "additionalProperties": false, "properties": {
                  "text": {"type": "string", "minLength": 1, "maxLength": 4096,
                    "description": "At most 4096 UTF-16 code units together with the signature; of the control \#
        characters only line feed and tab."},
                  "quote": {"type": ["string", "null"], "maxLength": 256,
                    "description": "The provider_id of the message that is answered."}}}}}},
              "responses": {
                "202": {"description": "Queued", "headers": {
                    "Location": {"description": "The thread, with the message's id as fragment", "schema": {"type": \#
        "string"}},
                    "Idempotency-Replayed": {"description": "true where an earlier request with this key had queued \#
        it",
                      "schema": {"type": "string"}}},
                  "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Message"}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/admin/explain": {
            "get": {"operationId": "explain", "summary": "Why a message went where it went, or where one would go",
              "description": "By the routing table and the rules of this gateway. Of a message's id: what was decided \#
        when it was recorded, what came of it, and what would be decided now. Of a telephone number or an account id: \#
        what would become of a message. The audit log notes who asked.",
              "security": [{"administrator": []}],
              "parameters": [
                {"name": "of", "in": "query", "required": true, "schema": {"type": "string", "maxLength": 512},
                  "description": "A message's id (the provider's or ours), a telephone number or an account id"},
                {"name": "as", "in": "query", "schema": {"enum": ["message", "phone", "account"]},
                  "description": "What it is, where its form does not tell"},
                {"name": "to", "in": "query", "schema": {"type": "string"}, "description": "The endpoint a message \#
        would come in at, by the provider's id or ours"},
                {"name": "text", "in": "query", "schema": {"type": "string"}, "description": "What it would say"},
                {"name": "type", "in": "query", "schema": {"type": "string", "default": "text"},
                  "description": "Its type in the provider's word"},
                {"name": "at", "in": "query", "schema": {"type": "string"},
                  "description": "When it would come: RFC 3339, a day, or so long ago (36h); now, if absent"},
                {"name": "quote", "in": "query", "schema": {"type": "string"},
                  "description": "The provider's id of the message it would quote"},
                {"name": "tap", "in": "query", "schema": {"type": "string"},
                  "description": "What the option it would tap carries back"},
                {"name": "unmasked", "in": "query", "schema": {"type": "boolean", "default": false},
                  "description": "Whether telephone numbers and account ids are told whole"}],
              "responses": {
                "200": {"description": "What, why, and with what it was decided", "content": {"application/json": {
                  "schema": {"$ref": "#/components/schemas/Explanation"}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/admin/rules": {
            "get": {"operationId": "rulesStatus", "summary": "By which rules the gateways decide, since when, by whom",
              "security": [{"administrator": []}],
              "responses": {
                "200": {"description": "As rules status prints it", "content": {"application/json": {"schema": \#
        {"$ref": "#/components/schemas/RulesStatus"}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/admin/rules/check": {
            "post": {"operationId": "checkRules", "summary": "Whether rules can be used, with every mistake",
              "security": [{"administrator": []}],
              "requestBody": {"$ref": "#/components/requestBodies/Rules"},
              "responses": {
                "200": {"description": "As rules check prints it; rules is absent where there are errors", \#
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/RulesCheck"}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/admin/rules/diff": {
            "post": {"operationId": "compareRules", "summary": "Which recorded messages rules would decide differently",
              "description": "The newest messages of tenants are replayed through these rules and those in force. \#
        Nothing is written or sent.",
              "security": [{"administrator": []}],
              "requestBody": {"$ref": "#/components/requestBodies/Rules"},
              "responses": {
                "200": {"description": "As rules diff prints it", "content": {"application/json": {"schema": \#
        {"$ref": "#/components/schemas/RulesDiff"}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/admin/rules/reload": {
            "post": {"operationId": "reloadRules", "summary": "Load the gateway's rules directory, as SIGHUP does",
              "security": [{"administrator": []}],
              "responses": {
                "200": {"description": "Live", "content": {"application/json": {"schema": {"type": "object", \#
        "required": ["outcome", "generation", "digest", "summary"], "properties": {
                  "outcome": {"type": "string", "enum": ["swapped", "unchanged"]},
                  "generation": {"type": "integer"}, "digest": {"type": "string"}, "summary": {"type": "string"}}}}}},
                "default": {"$ref": "#/components/responses/Problem"}}}},
          "/api/openapi.json": {
            "get": {"operationId": "describe", "summary": "This document", "security": [],
              "responses": {"200": {"description": "OpenAPI 3.1", "content": {"application/openapi+json": {}}}}}}
        },
        "components": {
          "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The Supabase access token of a signed-in landlord."},
            "administrator": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT",
            "description": "The Supabase access token of somebody whose app_metadata.gateway_role is admin."}},
          "parameters": {
            "limit": {"name": "limit", "in": "query", "description": "How many items at most",
              "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}},
            "cursor": {"name": "cursor", "in": "query", "description": "next of the page before, unchanged",
              "schema": {"type": "string"}}},
          "requestBodies": {"Rules": {"required": true, "content": {"application/json": {"schema": {"type": "object",
            "additionalProperties": false, "properties": {
              "files": {"type": "array", "maxItems": 1000, "description": "In place of the gateway's rules directory.",
                "items": {"type": "object", "required": ["name", "content"], "additionalProperties": false, \#
        "properties": {
                  "name": {"type": "string", "minLength": 1, "maxLength": 255}, "content": {"type": "string"}}}},
              "last": {"type": "integer", "minimum": 1, "maximum": 100000, "default": 1000,
                "description": "How many messages are replayed."}}}}}}},
          "responses": {"Problem": {"description": "It could not be done", "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}},
          "schemas": {
            "Next": {"type": ["string", "null"], "description": "The cursor of the next page; null where nothing \#
        follows."},
            "Moment": {"type": "string", "format": "date-time"},
            "MomentOrNull": {"type": ["string", "null"], "format": "date-time"},
            "Conversation": {"type": "object",
              "required": ["id", "tenant_id", "tenant_name", "tenant_phone", "property_id", "property_address", \#
        "channel",
                "status", "unread_count", "last_message_at", "window_open_until", "tags", "priority"],
              "properties": {
                "id": {"type": "string", "format": "uuid"},
                "tenant_id": {"type": ["string", "null"], "format": "uuid"},
                "tenant_name": {"type": ["string", "null"]},
                "tenant_phone": {"type": ["string", "null"], "description": "E.164 with a plus sign"},
                "property_id": {"type": ["string", "null"], "format": "uuid"},
                "property_address": {"type": ["string", "null"]},
                "channel": {"type": "string", "examples": ["whatsapp"]},
                "status": {"type": "string", "enum": ["active", "archived", "blocked"]},
                "unread_count": {"type": "integer", "minimum": 0},
                "last_message_at": {"$ref": "#/components/schemas/Moment"},
                "window_open_until": {"$ref": "#/components/schemas/MomentOrNull",
                  "description": "Until when free text can be sent; null where no window is open."},
                "tags": {"type": "array", "items": {"type": "string"}, "description": "Labels that rules gave it."},
                "priority": {"type": "string", "enum": ["normal", "high"]}}},
            "Message": {"type": "object",
              "required": ["id", "conversation_id", "direction", "type", "body", "signature", "quoted_id", \#
        "provider_id",
                "status", "routing_status", "outcome", "error", "sent_at", "delivered_at", "read_at", "failed_at"],
              "properties": {
                "id": {"type": "string", "format": "uuid"},
                "conversation_id": {"type": "string", "format": "uuid"},
                "direction": {"type": "string", "enum": ["incoming", "outgoing"]},
                "type": {"type": "string", "examples": ["text", "image"]},
                "body": {"type": ["string", "null"]},
                "signature": {"type": ["string", "null"], "description": "Stands before the body on the tenant's \#
        phone."},
                "quoted_id": {"type": ["string", "null"], "description": "The provider_id of the message it \#
        answers."},
                "provider_id": {"type": ["string", "null"], "description": "Null until the message was sent."},
                "status": {"type": "string", "examples": ["received", "queued", "sent", "delivered", "read", \#
        "failed"]},
                "routing_status": {"type": "string", "examples": ["delivered", "opted_out", "blocked", "by_rule"]},
                "outcome": {"type": ["string", "null"], "enum": ["accepted", "refused", "uncertain", null]},
                "error": {"type": ["object", "null"], "required": ["code", "detail"], "properties": {
                  "code": {"type": ["integer", "null"]}, "detail": {"type": ["string", "null"]}}},
                "sent_at": {"$ref": "#/components/schemas/Moment"},
                "delivered_at": {"$ref": "#/components/schemas/MomentOrNull"},
                "read_at": {"$ref": "#/components/schemas/MomentOrNull"},
                "failed_at": {"$ref": "#/components/schemas/MomentOrNull"}}},
            "Explanation": {"type": "object", "required": ["summary", "subject", "identities", "table", "rules"],
              "description": "What is absent is unknown, or does not apply.", "properties": {
                "summary": {"type": "string"},
                "subject": {"type": "object", "description": "The message"},
                "then": {"type": "object", "description": "Of a message that came in: what was decided when it was \#
        recorded (verdict, rung, reason, generations of table and rules, rules that matched), and what came of it \#
        (actions, questions, jobs, acts)"},
                "ours": {"type": "object", "description": "Of a message of ours: why it was sent, and how it fares"},
                "now": {"type": "object", "description": "What would be decided now: verdict, rung, reason, the ladder \#
        rung by rung, leases, threads, rules and what they order"},
                "is_unchanged": {"type": "boolean", "description": "Whether it would go the same way now"},
                "identities": {"type": "array", "items": {"type": "object"}},
                "table": {"type": "object", "description": "The routing table that now is decided by"},
                "rules": {"type": "object", "description": "The rules that now is decided by"}}},
            "RulesCheck": {"type": "object", "required": ["directory", "errors", "error_count"], "properties": {
                "directory": {"type": "string"},
                "rules": {"type": "object", "required": ["digest", "rules"], "properties": {
                  "digest": {"type": "string"}, "rules": {"type": "array", "items": {"type": "string"}}}},
                "errors": {"type": "array", "items": {"type": "object", "required": ["file", "problem", "hint", \#
        "summary"],
                  "properties": {"file": {"type": "string"}, "line": {"type": "integer"}, "column": {"type": \#
        "integer"}, "text": {"type": "string"}, "problem": {"type": "string"}, "hint": {"type": "string"}, \#
        "summary": {"type": "string"}}}},
                "error_count": {"type": "integer", "minimum": 0}}},
            "RulesVerdict": {"type": "object", "required": ["destination", "rules", "actions"], "properties": {
                "destination": {"type": "string", "description": "landlord and an id, held, or unclaimed"},
                "rules": {"type": "array", "items": {"type": "string"}},
                "actions": {"type": "array", "items": {"type": "string"}}}},
            "RulesDiff": {"type": "object", "required": ["is_unchanged", "replayed", "changed", "counts", "changes", \#
        "settings", "is_cut_short", "caveats"],
              "properties": {
                "is_unchanged": {"type": "boolean", "description": "Neither a verdict nor a setting would be another."},
                "replayed": {"type": "integer", "minimum": 0}, "changed": {"type": "integer", "minimum": 0},
                "counts": {"type": "object", "properties": {"destination": {"type": "integer"}, \#
        "actions": {"type": "integer"}, "rules": {"type": "integer"}}},
                "changes": {"type": "array", "items": {"type": "object", "required": ["message", "sent_at", "sender", \#
        "before", "after", "actions_added", "actions_removed"],
                  "properties": {
                    "message": {"type": "string", "format": "uuid"},
                    "sent_at": {"$ref": "#/components/schemas/Moment"},
                    "sender": {"type": "string", "description": "Masked"},
                    "before": {"$ref": "#/components/schemas/RulesVerdict"},
                    "after": {"$ref": "#/components/schemas/RulesVerdict"},
                    "actions_added": {"type": "array", "items": {"type": "string"}},
                    "actions_removed": {"type": "array", "items": {"type": "string"}}}}},
                "settings": {"type": "array", "items": {"type": "object", "required": ["name", "before", "after"]}},
                "is_cut_short": {"type": "boolean", "description": "Time was up before all were replayed."},
                "caveats": {"type": "array", "items": {"type": "string"}, "description": "What a replay cannot tell."}}},
            "RulesStatus": {"type": "object", "required": ["directory", "gateways"], "properties": {
                "directory": {"$ref": "#/components/schemas/RulesCheck"},
                "problem": {"type": "string", "description": "Why gateways may be missing."},
                "gateways": {"type": "array", "items": {"type": "object", "required": ["gateway", "host", "process", \#
        "directory", "generation", "digest", "rules", "loaded_at", "loaded_by", "same_since", "same_since_by", \#
        "seen_at", "is_running"],
                  "properties": {
                    "gateway": {"type": "string", "format": "uuid"}, "host": {"type": "string"},
                    "process": {"type": "integer"}, "directory": {"type": "string"},
                    "generation": {"type": "integer"}, "digest": {"type": "string"}, "rules": {"type": "integer"},
                    "loaded_at": {"$ref": "#/components/schemas/Moment"}, "loaded_by": {"type": "string"},
                    "same_since": {"$ref": "#/components/schemas/Moment"}, "same_since_by": {"type": "string"},
                    "seen_at": {"$ref": "#/components/schemas/Moment"}, "is_running": {"type": "boolean"},
                    "directory_differs": {"type": "boolean"},
                    "last_failure": {"type": "object", "required": ["at", "by", "errors", "first_error"]}}}}}},
            "Problem": {"type": "object", "required": ["type", "title", "status", "code", "detail"],
              "properties": {
                "type": {"type": "string", "format": "uri-reference"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "code": {"type": "string", "description": "Stable; one of x-problems."},
                "detail": {"type": "string", "description": "What happened this time."},
                "next": {"type": "string", "description": "What to do about it."}}}
          }
        },
        "x-problems": {
          "malformed-request": {"status": 400, "title": "The request is not well-formed HTTP"},
          "malformed-json": {"status": 400, "title": "The body is not JSON"},
          "invalid-id": {"status": 400, "title": "The id is not a UUID"},
          "invalid-limit": {"status": 400, "title": "The limit is not a number from 1 to 200"},
          "invalid-cursor": {"status": 400, "title": "The cursor is not one of ours"},
          "invalid-idempotency-key": {"status": 400, "title": "The idempotency key cannot be used"},
          "invalid-parameter": {"status": 400, "title": "A query parameter cannot be used"},
          "unauthorized": {"status": 401, "title": "The token does not prove who asks"},
          "forbidden": {"status": 403, "title": "The token's role may not do this"},
          "not-found": {"status": 404, "title": "There is no such conversation"},
          "message-not-found": {"status": 404, "title": "There is no such message"},
          "unknown-route": {"status": 404, "title": "There is nothing at this path"},
          "method-not-allowed": {"status": 405, "title": "The path does not take this method"},
          "window-closed": {"status": 409, "title": "The 24-hour window is closed"},
          "cannot-send": {"status": 409, "title": "The conversation's number cannot send"},
          "conversation-blocked": {"status": 409, "title": "The conversation is blocked"},
          "recipient-opted-out": {"status": 409, "title": "The tenant does not want messages"},
          "body-too-large": {"status": 413, "title": "The body is too large"},
          "target-too-long": {"status": 414, "title": "The address is too long"},
          "unsupported-media-type": {"status": 415, "title": "The body is not of a type that is read here"},
          "expectation-failed": {"status": 417, "title": "The expectation cannot be met"},
          "idempotency-mismatch": {"status": 422, "title": "The idempotency key was used for something else"},
          "text-too-long": {"status": 422, "title": "The text is too long"},
          "invalid-message": {"status": 422, "title": "The message cannot be sent as it is"},
          "invalid-rules": {"status": 422, "title": "The rules cannot be used"},
          "headers-too-large": {"status": 431, "title": "The headers are too large"},
          "internal-error": {"status": 500, "title": "Something went wrong on our side"},
          "database-unavailable": {"status": 503, "title": "The database cannot be reached"},
          "signing-keys-unavailable": {"status": 503, "title": "Tokens cannot be checked right now"}
        }
        }
        """#
}
