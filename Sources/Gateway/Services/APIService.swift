import API
import Glibc
import NIOCore
import ServiceLifecycle

/// The API as a service, saying in one line why it could not listen.
struct APIService: Service {
    private let server: APIServer
    private let port: Int

    init(_ server: APIServer, port: Int) {
        self.server = server
        self.port = port
    }

    func run() async throws {
        do {
            try await server.run()
        } catch let error as IOError where error.errnoCode == EADDRINUSE {
            throw SettingError(
                .apiPort, "port \(port) is taken by another program; stop it, or set GATEWAY_API_PORT to a free one")
        }
    }
}
