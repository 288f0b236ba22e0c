import Gateway
import Testing

extension EndToEndTests {
    @Suite struct StaleRoutesTests {
        @Test(
            "While changes of routes cannot be read for too long, who writes is looked up in the database, not guessed")
        func asks() async throws {
            try await Stage.run { stage in
                _ = try await stage.start(["GATEWAY_ROUTES_STALE_AFTER": "2s"])
                try await stage.untilReady()
                let readers = "FUNCTION gateway.route_changes_since(pg_snapshot) FROM PUBLIC, gateway_writer"
                try await stage.execute("REVOKE EXECUTE ON \(readers)")
                try await eventually("the routes to be stale") {
                    try await stage.operations("/readyz").text.contains("GATEWAY_ROUTES_STALE_AFTER")
                }
                // Alice's tenant becomes Bob's, of which the table in memory hears nothing.
                let bob = SampleWorld.landlords[1].id
                try await stage.execute(
                    """
                    DELETE FROM public.leases WHERE tenant_id = 'c0de0000-0000-4000-8000-000000000005';
                    INSERT INTO public.tenants (id, user_id, name, phone)
                      VALUES ('5a1e0000-0000-4000-8000-000000000001', '\(bob)', 'Crowd 5', '+\(Crowd.phone(5))');
                    INSERT INTO public.properties (id, user_id, address)
                      VALUES ('5a1e0001-0000-4000-8000-000000000001', '\(bob)', '9 New Street');
                    INSERT INTO public.leases (id, tenant_id, property_id, status, start_date, end_date)
                      VALUES ('5a1e0002-0000-4000-8000-000000000001', '5a1e0000-0000-4000-8000-000000000001',
                              '5a1e0001-0000-4000-8000-000000000001', 'active', current_date - 1, current_date + 300)
                    """)
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                let body = Script.text("wamid.stale", from: Crowd.phone(5))
                #expect(try await connection.post(body).status == 200)
                await connection.close()
                try await eventually("the message to be recorded") {
                    try await stage.number("SELECT count(*) FROM gateway.webhook_log") == 1
                }
                #expect(try await stage.loggedVerdicts() == ["routed": 1])
                #expect(
                    try await stage.texts(
                        """
                        SELECT c.landlord_id::text FROM gateway.whatsapp_messages m
                          JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id WHERE m.wamid = 'wamid.stale'
                        """) == ["\(bob)"])
                // A guess that the commit refuses would be counted.
                #expect(try await stage.operations("/metrics").text.contains("\ngateway_stale_routes_total 0\n"))
                #expect(
                    try await stage.operations("/readyz").text.contains("GATEWAY_ROUTES_STALE_AFTER"),
                    "it was not the table")
                try await stage.execute(
                    "GRANT EXECUTE ON FUNCTION gateway.route_changes_since(pg_snapshot) TO gateway_writer")
                try await stage.untilReady()
            }
        }
    }
}
