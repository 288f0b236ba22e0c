package import Conversations
import Glibc
import Hummingbird
import HummingbirdCore
package import Logging
package import Messaging
import NIOCore
package import Routing
import ServiceLifecycle

/// The API of landlords and administrators over TLS. On graceful shutdown it takes no more connections, lets requests in flight end, and
/// returns.
package struct APIServer: Service {
    private let application: Application<RouterResponder<APIContext>>
    private let verifier: TokenVerifier
    private let port: Int

    /// - Parameters:
    ///   - tls: asked for every connection.
    ///   - signatureTemplate: the platform's, asked for every reply; rules can be reloaded.
    ///   - rules: what administrators do about rules.
    ///   - onListening: called once with the port that was bound.
    package init(
        configuration: APIConfiguration, store: any ConversationStore, explainer: any MessageExplainer,
        rules: any RulesControl, verifier: TokenVerifier, tls: @escaping TLSProvider,
        signatureTemplate: @escaping @Sendable () -> LandlordSignature,
        clock: @escaping @Sendable () -> Timestamp, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void = { _ in }
    ) {
        self.verifier = verifier
        self.port = configuration.port
        self.application = Self.application(
            configuration: configuration,
            router: Self.router(
                store: store, explainer: explainer, rules: rules, verifier: verifier,
                signatureTemplate: signatureTemplate, clock: clock,
                limits: configuration.limits, logger: logger),
            tls: tls, logger: logger, onListening: onListening)
    }

    /// - Throws: `APIServerError` if the port cannot be had.
    package func run() async throws {
        verifier.prepare()
        do {
            try await application.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw APIServerError(port: port)
        }
    }

    /// The operations the API has.
    static func router(
        store: any ConversationStore, explainer: any MessageExplainer, rules: any RulesControl,
        verifier: TokenVerifier, signatureTemplate: @escaping @Sendable () -> LandlordSignature,
        clock: @escaping @Sendable () -> Timestamp, limits: APILimits, logger: Logger
    ) -> APIRouter {
        let conversations = ConversationEndpoints(
            store: store, signatureTemplate: signatureTemplate, clock: clock, bodyBytesMax: limits.bodyBytesMax)
        return APIRouter(
            groups: [
                conversations, ExplainEndpoint(explainer: explainer),
                RulesEndpoints(rules: rules, bodyBytesMax: limits.rulesBodyBytesMax), OpenAPIEndpoint(),
            ], verifier: verifier, clock: clock, logger: logger)
    }

    /// - Parameter tls: `nil` = plain, for tests alone.
    static func application(
        configuration: APIConfiguration, router: APIRouter, tls: TLSProvider?, logger: Logger,
        onListening: @escaping @Sendable (_ port: Int) -> Void
    ) -> Application<RouterResponder<APIContext>> {
        let limits = configuration.limits
        return Application(
            responder: router.responder(),
            server: HTTPServerBuilder { ConnectionSetup(responder: $0, tls: tls, limits: limits) },
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port),
                availableConnectionsDelegate: .maximum(limits.connectionsMax, logger: logger)),
            onServerRunning: { channel in
                if let port = channel.localAddress?.port { onListening(port) }
            },
            logger: logger)
    }
}

/// Why the API does not listen: what happened, which setting, what to do.
package struct APIServerError: Error, Sendable, Hashable, CustomStringConvertible {
    package let port: Int

    package var description: String {
        "port \(port) is taken by another program; stop it, or set GATEWAY_API_PORT to a free one"
    }
}
