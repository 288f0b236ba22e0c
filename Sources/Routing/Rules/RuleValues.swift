import Messaging
import Yams

// Values of rules, each reported where it is wrong.

extension RulesReader {
    /// The elements of what must be a list.
    mutating func list(_ node: Node, key: String) -> [Node]? {
        switch node {
        case .sequence(let sequence): return Array(sequence)
        case .scalar(let scalar) where scalar.string.isEmpty: return []
        default:
            fail(node, node.scalar?.string, problem: "'\(key)' must be a list", hint: "Begin each element with '- '.")
            return nil
        }
    }

    /// The elements of a list; one value stands for a list of one.
    func elements(_ node: Node) -> [Node] {
        if case .sequence(let sequence) = node { Array(sequence) } else { [node] }
    }

    mutating func textNodes(_ node: Node, key: String) -> [(Node, String)] {
        let nodes = elements(node)
        if nodes.isEmpty { fail(node, problem: "'\(key)' is an empty list", hint: "Leave it out, or name something.") }
        return nodes.compactMap { node in
            guard let scalar = node.scalar, !scalar.string.isEmpty else {
                fail(node, node.scalar?.string, problem: "'\(key)' must be a text", hint: "Put it in double quotes.")
                return nil
            }
            return (node, scalar.string)
        }
    }

    mutating func texts(_ node: Node, key: String) -> [String] { textNodes(node, key: key).map(\.1) }

    /// Words of a fixed vocabulary.
    mutating func words<Word: RawRepresentable<String> & CaseIterable>(
        _ node: Node, key: String, _ type: Word.Type
    ) -> [Word] {
        textNodes(node, key: key).compactMap { node, text in
            if let word = Word(rawValue: text) { return word }
            let known = Word.allCases.map(\.rawValue).joined(separator: ", ")
            fail(node, text, problem: "unknown \(key)", hint: "Use one of: \(known).")
            return nil
        }
    }

    mutating func identifiers(_ node: Node, key: String) -> [UniqueID] {
        textNodes(node, key: key).compactMap { node, text in
            if let id = UniqueID(text) { return id }
            fail(node, text, problem: "this is no id of a \(key)", hint: "Copy the UUID from the landlord application.")
            return nil
        }
    }

    mutating func boolean(_ node: Node, key: String) -> Bool? {
        switch node.scalar.map({ $0.style == .plain ? $0.string : "" }) {
        case "true", "yes": return true
        case "false", "no": return false
        default:
            fail(node, node.scalar?.string, problem: "'\(key)' must be true or false", hint: "Write: \(key): true")
            return nil
        }
    }
}
