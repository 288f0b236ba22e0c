/// An error as the Graph API answers it, and as it stands in a failed status.
package struct GraphError: Error, Hashable, Sendable {
    package var code: Int32
    package var subcode: Int32?
    /// Without the `(#code)` Meta puts in front.
    package var title: String
    package var details: String?
    package var type: String
    package var status: Int

    /// With Meta's own title and status for the code, where they are known here.
    package init(code: Int32, details: String? = nil) {
        self.code = code
        self.details = details
        self.title = Self.titles[code] ?? "Something went wrong"
        self.type = "OAuthException"
        self.status =
            switch code {
            case 0, 190: 401
            case 3, 10, 200...299, 368, 131005, 131031: 403
            case 132001: 404
            case 1, 2, 131000, 131016, 131045: 500
            case 133004, 131057: 503
            default: 400
            }
    }

    private init(code: Int32, subcode: Int32?, type: String, status: Int, title: String) {
        self.code = code
        self.subcode = subcode
        self.type = type
        self.status = status
        self.title = title
    }

    static let badToken = GraphError(
        code: 190, subcode: nil, type: "OAuthException", status: 401,
        title: "Invalid OAuth access token - Cannot parse access token")
    static let proofMissing = GraphError(
        code: 100, subcode: nil, type: "GraphMethodException", status: 400,
        title: "API calls from the server require an appsecret_proof argument")
    static let proofWrong = GraphError(
        code: 100, subcode: nil, type: "GraphMethodException", status: 400,
        title: "Invalid appsecret_proof provided in the API argument")

    static func unknownObject(_ id: String) -> GraphError {
        GraphError(
            code: 100, subcode: 33, type: "GraphMethodException", status: 400,
            title: "Unsupported post request. Object with ID '\(id)' does not exist, cannot be loaded due to missing "
                + "permissions, or does not support this operation")
    }

    private static let titles: [Int32: String] = [
        1: "An unknown error occurred", 2: "Service temporarily unavailable", 4: "Application request limit reached",
        10: "Application does not have permission for this action", 33: "Parameter value is not valid",
        100: "Invalid parameter", 190: "Error validating access token: Session has expired",
        368: "Temporarily blocked for policies violations", 80007: "Rate limit issues",
        130429: "Rate limit hit", 130472: "User's number is part of an experiment", 131000: "Something went wrong",
        131005: "Access denied", 131008: "Required parameter is missing", 131009: "Parameter value is not valid",
        131016: "Service unavailable", 131021: "Recipient cannot be sender", 131026: "Message undeliverable",
        131030: "Recipient phone number not in allowed list", 131031: "Business account has been locked",
        131042: "Business eligibility payment issue", 131045: "Incorrect certificate",
        131047: "Re-engagement message", 131048: "Spam rate limit hit",
        131049: "This message was not delivered to maintain healthy ecosystem engagement.",
        131051: "Message type unknown", 131053: "Media upload error",
        131056: "(Business Account, Consumer Account) pair rate limit hit", 131057: "Account in maintenance mode",
        132001: "Template name does not exist in the translation", 133004: "Server Temporarily Unavailable",
        133010: "Phone number not registered",
    ]

    /// The body of an error answer.
    func envelope(trace: String) -> MetaJSON {
        let hasNumber = type == "OAuthException" && code != 190
        return .object([
            "error": .object([
                "message": .string(hasNumber ? "(#\(code)) \(title)" : title),
                "type": .string(type),
                "code": .integer(Int64(code)),
                "error_subcode": subcode.map { .integer(Int64($0)) },
                "error_data": details.map { .object(["messaging_product": "whatsapp", "details": .string($0)]) },
                "fbtrace_id": .string(trace),
            ])
        ])
    }

    /// An element of `errors[]` in a webhook.
    var statusError: MetaJSON {
        .object([
            "code": .integer(Int64(code)),
            "title": .string(title),
            "message": .string(title),
            "error_data": .object(["details": .string(details ?? title)]),
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        ])
    }
}
