import Delivery
import Messaging

/// An answer of the Graph API as it came over the wire.
struct GraphAnswer {
    let status: Int
    let retryAfterSeconds: Int64?
    /// `nil` when it was cut off or is longer than we read.
    let body: [UInt8]?
}

extension GraphAnswer {
    /// Text of an error is cut here: it goes into a column and in front of people.
    private static let detailCharactersMax = 300

    /// Three outcomes. Decided by the envelope where there is one, by the status only where there is none.
    func outcome(redacting redaction: Redaction) -> SendOutcome {
        let response = body.flatMap { SendResponse(json: $0) }
        if (200..<300).contains(status) {
            if let id = response?.messageID { return .accepted(providerID: id) }
            if let failure = response?.failure { return refused(failure, redaction) }
            return .uncertain(detail: "status \(status), but no message id in the answer")
        }
        if let failure = response?.failure { return refused(failure, redaction) }
        guard status < 500 else {
            return .uncertain(detail: "status \(status) without a readable error: the message may have been taken")
        }
        return .refused(
            code: nil,
            detail: "status \(status) without Meta's error object: check META_GRAPH_URL and what stands before it",
            retry: status == 408 || status == 429 ? later : .never)
    }

    private func refused(_ failure: SendResponse.Failure, _ redaction: Redaction) -> SendOutcome {
        var parts = [failure.message ?? "no message"]
        if let details = failure.details, details != failure.message { parts.append(details) }
        if let code = failure.code { parts.append("code \(code)" + (failure.subcode.map { ", subcode \($0)" } ?? "")) }
        if let code = failure.code, let cure = Self.cure(code: code) { parts.append(cure) }
        let detail = String(redaction.apply(to: parts.joined(separator: "; ")).prefix(Self.detailCharactersMax))
        return .refused(code: failure.code, detail: detail, retry: advice(for: failure))
    }

    private func advice(for failure: SendResponse.Failure) -> RetryAdvice {
        guard let rule = failure.code.flatMap({ GraphErrorRule.rule(code: $0) }) else {
            return failure.isTransient || status >= 500 || status == 429 ? later : .never
        }
        if case .later = rule.advice, !rule.isPairRate { return later }
        return rule.advice
    }

    private var later: RetryAdvice {
        retryAfterSeconds.map { .after(milliseconds: min($0, 86_400) * 1000) } ?? .later
    }

    /// What a person does about the errors that only a person can end.
    private static func cure(code: Int32) -> String? {
        switch code {
        case 0, 190: "renew WHATSAPP_ACCESS_TOKEN"
        case 33: "check WHATSAPP_PHONE_NUMBER_ID"
        case 3, 10, 200...299, 131005: "give the token the permission whatsapp_business_messaging on this account"
        case 131047: "the 24-hour window is closed; only a template may be sent"
        case 131042: "settle the payment of the WhatsApp account"
        case 131045: "register the phone number"
        default: nil
        }
    }
}

/// What must not stand in an error text: the token, and whole phone numbers.
struct Redaction {
    let token: String
    let recipient: Recipient

    func apply(to text: String) -> String {
        var clean = Self.replace(token, in: text, with: "‹secret›")
        if case .phone(let number) = recipient {
            for digits in ["+\(number.digits)", "\(number.digits)"] {
                clean = Self.replace(digits, in: clean, with: number.masked)
            }
        }
        let printable = clean.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }
        return String(String.UnicodeScalarView(printable))
    }

    private static func replace(_ secret: String, in text: String, with shown: String) -> String {
        text.split(separator: secret, omittingEmptySubsequences: false).joined(separator: shown)
    }
}
