import Foundation
import Messaging
import Webhooks

extension GatewayConfiguration.VPSSettings {
    /// The decoder takes no longer ones, and no server has them.
    private static let sessionLengthMax = 128

    init(_ settings: SettingsReader) throws(SettingError) {
        dialect = try Self.dialect(settings)
        webhookSecrets = try settings.ring(.vpsWebhookSecret)
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
