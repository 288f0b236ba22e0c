import Hummingbird
import NIOCore

/// Serves the description of the API to anybody: it holds nothing that its users do not see.
struct OpenAPIEndpoint: EndpointGroup {
    var endpoints: [Endpoint] {
        [
            Endpoint(
                method: .get, path: "/api/openapi.json",
                handler: .anyone { _, _ in
                    Response(
                        status: .ok, headers: [.contentType: "application/openapi+json"],
                        body: .init(byteBuffer: ByteBuffer(string: OpenAPIDocument.text)))
                })
        ]
    }
}
