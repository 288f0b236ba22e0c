/// A text as JSON writes it, for the `--json` of commands.
struct JSONString: CustomStringConvertible {
    let description: String

    init(_ text: String) {
        var out = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case _ where scalar.value < 0x20:
                let hex = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: out.unicodeScalars.append(scalar)
            }
        }
        description = out + "\""
    }
}
