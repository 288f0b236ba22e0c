import Foundation
import Messaging
import Webhooks

extension GatewayConfiguration.VPSSettings {
    /// The decoder takes no longer ones, and no server has them.
    private static let sessionLengthMax = 128
    /// A shorter part of a key could be guessed.
    private static let ringPartBytesMin = 16

    init(_ settings: SettingsReader) throws(SettingError) {
        dialect = try Self.dialect(settings)
        webhookSecrets = Self.secrets(try settings.text(.vpsWebhookSecret) ?? "")
        guard !webhookSecrets.isEmpty else {
            guard try settings.find(.vpsWebhookSecret) == nil else {
                throw SettingError(
                    .vpsWebhookSecret,
                    "holds no secret; enter the key the session server signs its webhooks with, or unset it to "
                        + "leave the source off")
            }
            sessions = []
            return
        }
        sessions = try Self.sessions(settings)
    }

    /// The value is the server's key, commas and all. Where each part of it is as long as a key should be, it may be a
    /// ring as well, newest first, and its parts count beside the whole.
    private static func secrets(_ text: String) -> [Secret] {
        let parts = Secret.ring(text)
        guard !parts.isEmpty, let whole = Secret(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            return []
        }
        guard parts.count > 1, parts.allSatisfy({ $0.utf8.count >= ringPartBytesMin }) else { return [whole] }
        return parts + [whole]
    }

    /// Whether the value has a comma in it and is one key all the same: somebody may have meant a ring.
    package var isOneKeyWithCommas: Bool {
        webhookSecrets.count == 1 && Secret.ring(webhookSecrets[0].reveal()).count > 1
    }

    private static func dialect(_ settings: SettingsReader) throws(SettingError) -> SignatureScheme {
        let text = try settings.text(.vpsWebhookDialect) ?? ""
        switch text {
        case "waha": return .waha
        case "sha256": return .sha256
        default:
            throw SettingError(
                .vpsWebhookDialect,
                "\"\(text.prefix(40))\" is no dialect; use waha (HMAC-SHA512, as WAHA signs) or sha256 (HMAC-SHA256)")
        }
    }

    /// A name twice is the same session.
    private static func sessions(_ settings: SettingsReader) throws(SettingError) -> [String] {
        var names: [String] = []
        for part in (try settings.text(.vpsSessions) ?? "").split(separator: ",") {
            let name = part.trimmingCharacters(in: .whitespacesAndNewlines)
            guard !name.isEmpty, !names.contains(name) else { continue }
            let isName =
                name.utf8.count <= sessionLengthMax
                && name.unicodeScalars.allSatisfy { $0.value > 0x20 && $0.value != 0x7F }
            guard isName else {
                throw SettingError(
                    .vpsSessions,
                    "one of its names has spaces or more than \(sessionLengthMax) bytes; write the names the session "
                        + "server uses, commas between")
            }
            names.append(name)
        }
        guard !names.isEmpty else {
            throw SettingError(
                .vpsSessions, "names no session; write the names the session server uses, such as default")
        }
        return names
    }
}
