import Messaging

/// All rules, in their order, found by what a message is and says rather than tried one after the other.
///
/// A rule stands in one index: by its keywords if it has any, else by property, landlord, business or endpoint, the rarest
/// first; the few that ask for none of these are always tried.
package struct RuleSet: Hashable, Sendable {
    package let rules: [Rule]
    private var byWord: [String: [Int32]] = [:]
    /// Prefixes by the first letters they share, so that a short word does not try them all.
    private var byPrefix: [String: [Int32]] = [:]
    private var prefixLengths: [Int] = []
    private var byProperty: [UniqueID: [Int32]] = [:]
    private var byLandlord: [UniqueID: [Int32]] = [:]
    private var byBusiness: [UniqueID: [Int32]] = [:]
    private var byEndpoint: [String: [Int32]] = [:]
    private var others: [Int32] = []

    package static let empty = RuleSet([])

    package var isEmpty: Bool { rules.isEmpty }

    package init(_ rules: [Rule]) {
        self.rules = rules
        for (number, rule) in rules.enumerated() { index(rule.condition, as: Int32(number)) }
        prefixLengths = Set(byPrefix.keys.map(\.utf8.count)).sorted()
    }

    private mutating func index(_ condition: RuleCondition, as number: Int32) {
        if !condition.keywords.isEmpty {
            for keyword in condition.keywords {
                // A prefix of several words begins with a whole one.
                if keyword.match == .prefix, keyword.words.count == 1 {
                    byPrefix[keyword.words[0], default: []].append(number)
                } else {
                    byWord[keyword.words[0], default: []].append(number)
                }
            }
        } else if !condition.properties.isEmpty {
            for id in condition.properties { byProperty[id, default: []].append(number) }
        } else if !condition.landlords.isEmpty {
            for id in condition.landlords { byLandlord[id, default: []].append(number) }
        } else if !condition.businesses.isEmpty {
            for id in condition.businesses { byBusiness[id, default: []].append(number) }
        } else if !condition.endpoints.isEmpty {
            for id in condition.endpoints { byEndpoint[id, default: []].append(number) }
        } else {
            others.append(number)
        }
    }

    /// The rules that apply to a message, in their order, up to the first that does not say `continue`.
    /// - Parameter secondsFromUTC: of a time zone at the message's time; `nil` for a zone nobody knows.
    package func matches(
        _ subject: RuleSubject, secondsFromUTC: (_ zone: String) -> Int?
    ) -> [Rule] {
        guard !rules.isEmpty else { return [] }
        // Folding costs more than everything else, and is for keywords alone.
        let text = FoldedText(byWord.isEmpty && byPrefix.isEmpty ? "" : subject.text ?? "")
        var matched: [Rule] = []
        for number in candidates(subject, text) {
            let rule = rules[Int(number)]
            guard rule.condition.holds(for: subject, text, secondsFromUTC: secondsFromUTC) else { continue }
            matched.append(rule)
            if !rule.continues { break }
        }
        return matched
    }

    /// Rules that may apply, ascending, each once.
    private func candidates(_ subject: RuleSubject, _ text: FoldedText) -> [Int32] {
        var found = others
        func add(_ numbers: [Int32]?) { if let numbers { found += numbers } }
        if !byWord.isEmpty { for word in text.words { add(byWord[word]) } }
        if let first = text.words.first, !prefixLengths.isEmpty {
            for length in prefixLengths where length <= first.utf8.count {
                guard let end = first.utf8.index(first.startIndex, offsetBy: length).samePosition(in: first) else {
                    continue
                }
                add(byPrefix[String(first[..<end])])
            }
        }
        if !byProperty.isEmpty { for id in subject.properties { add(byProperty[id]) } }
        if !byLandlord.isEmpty { for id in subject.landlords { add(byLandlord[id]) } }
        if !byBusiness.isEmpty, let business = subject.business { add(byBusiness[business]) }
        if !byEndpoint.isEmpty { add(byEndpoint[subject.endpoint]) }
        if found.count == others.count { return found }
        found.sort()
        var last: Int32 = -1
        found.removeAll { number in
            defer { last = number }
            return number == last
        }
        return found
    }
}

extension RuleCondition {
    /// Whether everything that is asked for holds.
    package func holds(
        for subject: RuleSubject, _ text: FoldedText, secondsFromUTC: (String) -> Int?
    ) -> Bool {
        func allows<Value: Hashable>(_ wanted: Set<Value>, _ value: Value) -> Bool {
            wanted.isEmpty || wanted.contains(value)
        }
        func allows(_ wanted: Set<UniqueID>, anyOf ids: [UniqueID]) -> Bool {
            wanted.isEmpty || ids.contains { wanted.contains($0) }
        }
        guard allows(states, subject.state), allows(channels, subject.channel), allows(types, subject.type),
            allows(endpoints, subject.endpoint), allows(landlords, anyOf: subject.landlords),
            allows(properties, anyOf: subject.properties),
            allows(businesses, anyOf: subject.business.map { [$0] } ?? [])
        else { return false }
        guard keywords.isEmpty || keywords.contains(where: { $0.isFound(in: text) }) else { return false }
        guard let time else { return true }
        return secondsFromUTC(time.zone).map { time.contains(subject.at, secondsFromUTC: $0) } ?? false
    }
}
