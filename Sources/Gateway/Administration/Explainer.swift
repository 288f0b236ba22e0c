import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing

/// Explains decisions: what stands on the record about a message, and what would be decided now, by the very steps that
/// decide.
struct Explainer: Sendable {
    /// What is decided by.
    enum World: Sendable {
        /// The table and the rules of this process.
        case running(table: @Sendable () -> RoutingTable?, rules: @Sendable () -> RulesInForce)
        /// What the database has, and the rules of a directory.
        case stored(PostgresRouteSource, rules: RulesInForce, directory: String)
    }

    let store: PostgresExplanations
    let lookup: any ConversationLookup
    let world: World
    let countryCode: String
    let now: @Sendable () -> Timestamp

    /// - Throws: `ExplanationError`, or what the database said.
    func explanation(
        of request: ExplanationRequest, for reader: ExplanationReader
    ) async throws -> Explanation {
        let subject = try ExplanationSubject(
            parsing: request.subject, as: request.kind, defaultCountryCode: countryCode)
        let mask = ExplanationMask(isUnmasked: request.isUnmasked)
        switch subject {
        case .message(let id):
            return try await recorded(try await store.message(id), request, reader, mask)
        case .providerMessage(let id):
            return try await recorded(try await store.message(providerID: id), request, reader, mask)
        case .phone(let number):
            return try await hypothetical(Sender(phone: number), request, reader, mask)
        case .account(let id):
            return try await hypothetical(Sender(accountID: id), request, reader, mask)
        }
    }

    // MARK: Recorded messages

    private func recorded(
        _ facts: RecordedFacts?, _ request: ExplanationRequest, _ reader: ExplanationReader, _ mask: ExplanationMask
    ) async throws -> Explanation {
        if let given = request.given.first {
            throw ExplanationError.invalid(
                given, problem: "a message that is recorded has its own",
                cure: "leave it out, or give a telephone number or an account id to ask what would be")
        }
        guard let facts else { throw ExplanationError.unknownMessage }
        let endpoint = try await endpoints().first { $0.id == facts.endpointID }
        let explanation: Explanation
        if let endpoint {
            let rules = self.rules
            let now =
                facts.isIncoming ? try await decision(on: facts.message(at: endpoint), at: endpoint, rules, mask) : nil
            let identities = try await store.identities(
                of: facts.phone?.key, facts.accountID, at: endpoint, or: facts.personID)
            explanation = Explanation(
                recorded: facts, at: endpoint.words, now: now?.decision,
                identities: identities.map { .init($0, mask) },
                table: source(ofTable: now?.generation), rules: source(of: rules), mask: mask)
        } else {
            explanation = Explanation(
                recorded: facts, at: "an endpoint of a kind this version does not know", now: nil, identities: [],
                table: source(ofTable: nil), rules: source(of: rules), mask: mask)
        }
        try await store.note(reader: reader, entity: "message", id: "\(facts.id)", isUnmasked: mask.isUnmasked)
        return explanation
    }

    // MARK: Messages that were not written

    private func hypothetical(
        _ sender: Sender, _ request: ExplanationRequest, _ reader: ExplanationReader,
        _ mask: ExplanationMask
    ) async throws -> Explanation {
        let at = try moment(request.at)
        let endpoint = try Self.endpoint(request.endpoint, among: try await endpoints())
        var message = InboundMessage(
            endpoint: endpoint.reference, id: "", sender: sender, sentAt: at, type: try Self.type(request.type),
            body: request.text, quotedMessageID: request.quoted)
        message.replyPayload = request.tapped
        let rules = self.rules
        let now = try await decision(on: message, at: endpoint, rules, mask, now: at)
        let identities = try await store.identities(of: sender.phone?.key, sender.accountID, at: endpoint, or: nil)
        let explanation = Explanation(
            hypothetical: message, at: endpoint.words, now: now.decision,
            identities: identities.map { .init($0, mask) },
            table: source(ofTable: now.generation), rules: source(of: rules), mask: mask)
        // On the record the sender is never whole.
        let masked = ExplanationMask(isUnmasked: false)
        let id = sender.phone.map(masked.phone) ?? sender.accountID.map(masked.account) ?? ""
        try await store.note(reader: reader, entity: "sender", id: id, isUnmasked: mask.isUnmasked)
        return explanation
    }

    private func moment(_ text: String?) throws(ExplanationError) -> Timestamp {
        guard let text else { return now() }
        guard let moment = ReplayAdministration.moment(text, now: now()) else {
            throw .invalid(
                .at, problem: "it is not a time",
                cure: "write 2026-03-01T09:30:00Z, 2026-03-01, or 36h for so long ago")
        }
        return moment
    }

    private static func type(_ text: String?) throws(ExplanationError) -> String {
        guard let text else { return "text" }
        let isWord =
            (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }
        guard isWord else {
            throw .invalid(
                .type, problem: "it is not a word of small letters",
                cure: "write the provider's word for the type, such as text or image")
        }
        return text
    }

    /// The one that is named; without a name the platform's own number, if there is one only.
    private static func endpoint(
        _ name: String?, among all: [Endpoint]
    ) throws(ExplanationError) -> Endpoint {
        let routed = all.filter(\.reference.kind.isRouted).sorted { $0.words < $1.words }
        let known = routed.prefix(8).map(\.words).joined(separator: ", ") + (routed.count > 8 ? ", …" : "")
        if let name {
            let id = UniqueID(name)
            let named = routed.filter { $0.reference.providerID == name || $0.id == id }
            if named.count == 1 { return named[0] }
            throw .invalid(
                .endpoint,
                problem: named.isEmpty ? "there is no such endpoint for messages" : "several endpoints have this id",
                cure: routed.isEmpty
                    ? "see that serve has run once with WHATSAPP_PHONE_NUMBER_ID"
                    : "there are: \(known); or give our id")
        }
        let shared = routed.filter { $0.ownerID == nil && $0.reference.kind == .cloud }
        if shared.count == 1 { return shared[0] }
        throw .invalid(
            .endpoint, problem: "it is missing, and the platform has \(shared.count) numbers of its own",
            cure: routed.isEmpty
                ? "see that serve has run once with WHATSAPP_PHONE_NUMBER_ID" : "name one of: \(known)")
    }

    // MARK: Deciding

    private func decision(
        on message: InboundMessage, at endpoint: Endpoint, _ rules: RulesInForce, _ mask: ExplanationMask,
        now moment: Timestamp? = nil
    ) async throws -> (decision: Explanation.Decision, generation: UInt64) {
        let phone = message.sender.phone?.key
        let account = message.sender.accountID
        let question = ThreadQuestion(
            endpoint: endpoint, phone: phone, accountID: account, quotedMessageID: message.quotedMessageID,
            questionID: message.replyPayload.flatMap { ChoiceToken($0) }?.question, sentAt: message.sentAt)
        let facts = try await lookup.facts(for: [question]).first ?? SenderFacts()
        let routes = try await lookup.routes(for: [question]).first
        let table = try await table(for: message, at: endpoint, facts, rules)
        let trace = DecisionTrace(
            message, at: endpoint, table: table, rules: rules, facts: facts, routes: routes, now: moment ?? now())
        let records = try await store.records(under: Set(trace.leases.map(\.route.key)))
        let blocked = try await store.blocked(of: phone, account, at: endpoint)
        return (
            Explanation.Decision(trace, table: table, rules: rules, records: records, blocked: blocked, mask: mask),
            table.generation
        )
    }

    private func table(
        for message: InboundMessage, at endpoint: Endpoint, _ facts: SenderFacts, _ rules: RulesInForce
    ) async throws -> RoutingTable {
        switch world {
        case .running(let table, _):
            guard let table = table() else { throw ExplanationError.notReady }
            return table
        case .stored(let source, _, _):
            let inThreads = facts.threads.map(\.landlordID) + facts.questions.flatMap(\.choices).map(\.landlordID)
            let byRules = rules.rules.rules.rules.flatMap(\.actions).compactMap { action -> UniqueID? in
                if case .assign(let landlord) = action { landlord } else { nil }
            }
            return try await source.neighbourhood(
                of: message.sender.phone?.key, message.sender.account(at: endpoint), phoneScope: endpoint.phoneScope,
                landlords: Set(inThreads + byRules)
            ).table
        }
    }

    private func endpoints() async throws -> [Endpoint] {
        switch world {
        case .running(let table, _):
            guard let table = table() else { throw ExplanationError.notReady }
            return table.allEndpoints
        case .stored(let source, _, _): return try await source.endpoints()
        }
    }

    private var rules: RulesInForce {
        switch world {
        case .running(_, let rules): rules()
        case .stored(_, let rules, _): rules
        }
    }

    private func source(ofTable generation: UInt64?) -> Explanation.Source {
        switch world {
        case .running: .init(source: "of the running gateway", generation: generation.map { Int64(clamping: $0) })
        case .stored: .init(source: "as the database has it now", generation: nil)
        }
    }

    private func source(of rules: RulesInForce) -> Explanation.Source {
        switch world {
        case .running: .init(source: "of the running gateway", generation: rules.generation)
        case .stored(_, _, let directory): .init(source: "of the directory \(directory)", generation: nil)
        }
    }
}

extension Explainer: MessageExplainer {
    func explain(
        _ request: ExplanationRequest, for reader: ExplanationReader
    ) async throws(ExplanationError) -> Explanation {
        do {
            return try await explanation(of: request, for: reader)
        } catch let error as ExplanationError {
            throw error
        } catch {
            throw .unavailable("\(error)")
        }
    }
}

extension Endpoint {
    /// Kind and provider's id.
    fileprivate var words: String { "\(reference.kind.rawValue) \(reference.providerID)" }
}
