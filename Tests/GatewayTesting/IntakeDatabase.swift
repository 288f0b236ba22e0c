package import Intake
package import Journal
import Messaging
package import Routing

/// The database as intake knows it, in memory: it keeps the rules of the recording statement (fence, routes, data; a
/// message once; counts that add up) and fails when the test says so.
package final class IntakeDatabase: Recorder, ConversationLookup {
    /// How a call ends, other than well.
    package enum Fault: Sendable {
        case unavailable
        /// It commits, but the answer is lost.
        case answerLost
        /// The routes of these messages do not hold, whatever the database has.
        case stale([StaleRoute])
    }

    private let contents: Watched<IntakeRecords>
    private let turnstile: IntakeTurnstile
    private let fault: @Sendable (IntakeTurnstile.Call) -> Fault?
    /// What a batch's data, or, with 40001, what was decided for it, is refused for: its SQLSTATE.
    private let refusal: @Sendable (RecordBatch) -> String?
    private let threads: @Sendable (ThreadQuestion) throws(RecorderError) -> [ThreadReference]
    private let routes: @Sendable (ThreadQuestion, IntakeRecords) throws(RecorderError) -> [Route]
    /// The steps of a transaction that is open.
    private let steps = Watched<[RecordBatch]>([])

    /// - Parameters:
    ///   - fault: asked at each call.
    ///   - refusal: asked about each batch, as the fence and the routes let through.
    package init(
        turnstile: IntakeTurnstile, fault: @escaping @Sendable (IntakeTurnstile.Call) -> Fault? = { _ in nil },
        refusal: @escaping @Sendable (RecordBatch) -> String? = { _ in nil },
        threads: @escaping @Sendable (ThreadQuestion) throws(RecorderError) -> [ThreadReference] = { _ in [] },
        routes: @escaping @Sendable (ThreadQuestion, IntakeRecords) throws(RecorderError) -> [Route] = {
            question, records in records.routes(of: question)
        }
    ) {
        self.contents = Watched(IntakeRecords())
        self.turnstile = turnstile
        self.fault = fault
        self.refusal = refusal
        self.threads = threads
        self.routes = routes
    }

    /// All that is recorded. A test takes it as a backup, brings it back, and looks into it.
    package var records: IntakeRecords {
        get { contents.value }
        set { contents.change { $0 = newValue } }
    }

    package func change(_ body: (inout IntakeRecords) -> Void) { contents.change(body) }

    /// Waits until what is recorded is so.
    package func until(_ isMet: @escaping @Sendable (IntakeRecords) -> Bool) async { await contents.until(isMet) }

    package func claim(_ journal: JournalIdentity) async throws(RecorderError) -> Checkpoint {
        let fault = try await enter(.claim)
        let checkpoint = contents.change { $0.claim(journal) }
        if case .answerLost = fault { throw Self.outage }
        return checkpoint
    }

    package func record(_ batch: RecordBatch) async throws(RecorderError) -> RecordResult {
        let fault = try await enter(batch.isRehearsal ? .rehearse : .record)
        if case .stale(let routes) = fault { return .staleRoutes(routes) }
        if batch.phase != .continues, batch.phase != .closes { await abandon() }
        let earlier = steps.value
        if earlier.isEmpty, batch.phase == .continues || batch.phase == .closes { throw Self.outage }
        let result = contents.change { [refusal] records -> Result<RecordResult, RecorderError> in
            var working = records
            for step in earlier { _ = working.commit(step) }
            if let stopped = working.check(batch) { return .success(stopped) }
            if let sqlState = refusal(batch) ?? working.violation(batch) {
                let detail = "refused by the test"
                return .failure(
                    sqlState == "40001" ? .outdated(detail) : .dataRejected(sqlState: sqlState, detail: detail))
            }
            let outcome = working.commit(batch)
            if !batch.isRehearsal, batch.phase == .whole || batch.phase == .closes { records = working }
            return .success(outcome)
        }
        switch result {
        case .success(.recorded) where batch.phase == .opens || batch.phase == .continues:
            steps.change { $0.append(batch) }
        case .success(.staleRoutes): break
        default: await abandon()
        }
        if !batch.isRehearsal, batch.phase == .whole || batch.phase == .closes, case .success(.recorded) = result {
            turnstile.note(.init(.record, batch.upTo))
        }
        if case .answerLost = fault, case .success = result {
            await abandon()
            throw Self.outage
        }
        return try result.get()
    }

    package func abandon() async { steps.change { $0 = [] } }

    package func redriveRequests(limit: Int) async throws(RecorderError) -> [RedriveRequest] {
        _ = try await enter(.redriveRequests)
        return Array(contents.value.requests.prefix(limit))
    }

    package func replaySlice(limit: Int) async throws(RecorderError) -> ReplaySlice? {
        _ = try await enter(.replaySlice)
        return contents.value.replaySlice(limit: limit)
    }

    package func facts(for questions: [ThreadQuestion]) async throws(RecorderError) -> [SenderFacts] {
        _ = try await enter(.threads)
        var answers: [SenderFacts] = []
        for question in questions { answers.append(SenderFacts(threads: try threads(question))) }
        return answers
    }

    package func routes(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[Route]] {
        _ = try await enter(.routes)
        var working = contents.value
        for step in steps.value { _ = working.commit(step) }
        var answers: [[Route]] = []
        for question in questions { answers.append(try routes(question, working)) }
        return answers
    }

    private func enter(_ call: IntakeTurnstile.Call) async throws(RecorderError) -> Fault? {
        await turnstile.pass(call)
        let fault = fault(call)
        if case .unavailable = fault { throw Self.outage }
        return fault
    }

    private static let outage = RecorderError.unavailable("the test lets the database be away")
}
