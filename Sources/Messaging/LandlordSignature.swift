/// The line that tells a tenant whose message it is: `From {landlord} via ZenRent: `.
public struct LandlordSignature: Hashable, Sendable {
    /// Text with `{landlord}` where the name goes.
    public let template: String

    public static let standard = LandlordSignature(checked: "From {landlord} via ZenRent: ")

    private init(checked template: String) { self.template = template }

    /// - Returns: `nil` without `{landlord}`, or over 120 characters.
    public init?(template: String) {
        guard template.contains("{landlord}"), template.count <= 120 else { return nil }
        self.template = template
    }

    /// The signature for one landlord. Line breaks and control characters of the name become spaces: a name must not
    /// be able to look like a second message.
    public func text(landlord name: String?) -> String {
        let shown = (name ?? "your landlord").unicodeScalars.map { scalar -> Character in
            let hidden =
                scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format
                || scalar == "\u{2028}" || scalar == "\u{2029}"
            return hidden ? " " : Character(scalar)
        }
        let parts = template.split(separator: "{landlord}", maxSplits: 1, omittingEmptySubsequences: false)
        return parts[0] + String(shown) + parts[1]
    }
}
