import Messaging
import NIOCore
import NIOPosix
import NIOSSL

/// One run: carries bytes and times between the connections and the state machine. Everything but `begin` happens on its
/// event loop, the only one there is: a second would cost the load more than it gains.
final class LoadRun: NIOScheduledCallbackHandler, @unchecked Sendable {
    private let configuration: LoadConfiguration
    private let target: LoadTarget
    private let tls: NIOSSLContext
    private let loop: any EventLoop
    private let finished: EventLoopPromise<LoadReport>
    private let allocator = ByteBufferAllocator()
    private var requests: LoadRequests
    private var connections: [LoadConnection?]
    private var machine: LoadStateMachine?
    private var isWakeSet = false
    private var isOver = false
    private var usageAtStart = ThreadUsage.now()
    /// What is to be added to the loop's clock, in nanoseconds, to get the time of day.
    private let timeOfDayOffset = TwinConfiguration.systemTime().microseconds * 1000 - LoadRun.now()
    private var requestCount: UInt64 = 0
    private var reconnections: UInt64 = 0
    private var firstFailure: String?
    private var receipts: [(number: Int64, at: Int64)] = []

    /// How long the last answers are waited for.
    private static let answerSeconds: Int64 = 10
    private static let reconnectDelay = TimeAmount.milliseconds(100)
    /// The shortest sleep: above 20,000 requests a second a few leave together, which saves more than it blurs.
    private static let shortestSleep: Int64 = 50_000

    init(_ configuration: LoadConfiguration, target: LoadTarget, tls: NIOSSLContext, loop: any EventLoop) {
        self.configuration = configuration
        self.target = target
        self.tls = tls
        self.loop = loop
        finished = loop.makePromise(of: LoadReport.self)
        let world = LoadRequests.World(
            phone: configuration.phone, firstSender: configuration.firstSender, senders: configuration.senders)
        var system = SystemRandomNumberGenerator()
        requests = LoadRequests(
            world, secret: configuration.secret, path: target.path, authority: target.authority, run: system.next())
        connections = Array(repeating: nil, count: configuration.connections)
    }

    private static func now() -> Int64 { Int64(NIODeadline.now().uptimeNanoseconds) }

    /// Opens all connections, then runs through the schedule.
    func begin() -> EventLoopFuture<LoadReport> {
        loop.flatSubmit { [self] in
            let opened = (0..<configuration.connections).map { connect($0) }
            EventLoopFuture.andAllSucceed(opened, on: loop).whenComplete { [self] result in
                switch result {
                case .success: start()
                case .failure(let error):
                    closeAll()
                    finished.fail(error)
                }
            }
            return finished.futureResult
        }
    }

    private func connect(_ index: Int) -> EventLoopFuture<Void> {
        let connection = LoadConnection(index: index, run: self, opened: loop.makePromise(of: Void.self))
        let (tls, serverName) = (tls, target.serverName)
        let channel = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(5))
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLClientHandler(context: tls, serverHostname: serverName))
                    try pipeline.addHandler(connection)
                }
            }
            .connect(host: target.host, port: target.port)
        channel.whenFailure { connection.opened.fail($0) }
        return connection.opened.futureResult.map { [self] in connections[index] = connection }
    }

    private func start() {
        usageAtStart = ThreadUsage.now()
        let schedule = LoadSchedule(
            start: Self.now(), rate: configuration.rate, warmUpSeconds: configuration.warmUpSeconds,
            seconds: configuration.seconds)
        var machine = LoadStateMachine(schedule: schedule, connections: configuration.connections)
        for (index, connection) in connections.enumerated() where connection != nil {
            machine.opened(index, at: schedule.start)
        }
        self.machine = machine
        for (index, connection) in connections.enumerated() where connection == nil { reconnect(index) }
        let lastSend = NIODeadline.uptimeNanoseconds(UInt64(machine.lastSend + 1))
        loop.scheduleTask(deadline: lastSend) { [self] in dispatch() }
        loop.scheduleTask(deadline: lastSend + .seconds(Self.answerSeconds)) { [self] in finish() }
        dispatch()
    }

    // MARK: On the way

    func handleScheduledCallback(eventLoop: some EventLoop) {
        isWakeSet = false
        dispatch()
    }

    /// Sends what is due, and sets the next alarm.
    private func dispatch() {
        guard !isOver else { return }
        var now = Self.now()
        while let (index, number) = machine?.nextSend(at: now) {
            requestCount += 1
            let seconds = (now + timeOfDayOffset) / 1_000_000_000
            connections[index]?.send(requests.request(number, seconds: seconds, allocator: allocator))
            now = Self.now()
        }
        if !isWakeSet, let due = machine?.nextWake(at: now) {
            let alarm = NIODeadline.uptimeNanoseconds(UInt64(max(due, now + Self.shortestSleep)))
            isWakeSet = (try? loop.scheduleCallback(at: alarm, handler: self)) != nil
        }
        if machine?.isFinished(at: now) == true { finish() }
    }

    func answered(_ connection: LoadConnection, _ answer: AnswerParser.Answer) {
        guard !isOver, connections[connection.index] === connection else { return }
        let now = Self.now()
        let number = machine?.answered(connection.index, status: answer.status, at: now)
        if configuration.keepsReceipts, let number, answer.status == 200 { receipts.append((number, now)) }
        if answer.closes {
            lost(connection, because: "the server asked to close it")
            connection.close()
        }
        dispatch()
    }

    /// Makes another connection in the place of one that is gone.
    func lost(_ connection: LoadConnection, because reason: String) {
        guard !isOver, connections[connection.index] === connection else { return }
        connections[connection.index] = nil
        firstFailure = firstFailure ?? reason
        machine?.lost(connection.index)
        // Before that, `start` finds the gap.
        if machine != nil { reconnect(connection.index) }
    }

    private func reconnect(_ index: Int) {
        loop.scheduleTask(in: Self.reconnectDelay) { [self] in
            guard !isOver else { return }
            connect(index).whenComplete { [self] result in
                if isOver { return closeAll() }
                guard case .success = result else { return reconnect(index) }
                reconnections += 1
                machine?.opened(index, at: Self.now())
                dispatch()
            }
        }
    }

    // MARK: The end

    private func finish() {
        guard !isOver, var machine else { return }
        isOver = true
        machine.end(at: Self.now())
        let tally = machine.tally
        let cost = GeneratorCost(from: usageAtStart, to: ThreadUsage.now(), requests: requestCount)
        closeAll()
        finished.succeed(
            LoadReport(
                sent: tally.sent, acknowledged: tally.acknowledged,
                acknowledgedPerSecond: Double(tally.acknowledgedInTime) / Double(configuration.seconds),
                refused: tally.refused, broken: tally.broken, unanswered: tally.unanswered, unsent: tally.unsent,
                reconnections: reconnections, firstFailure: firstFailure, latency: tally.latency,
                lateness: tally.lateness, generator: cost,
                receipts: receipts.map { number, at in
                    LoadReport.Receipt(
                        messageID: requests.messageID(number),
                        at: Timestamp(microseconds: (at + timeOfDayOffset) / 1000))
                }))
    }

    private func closeAll() {
        isOver = true
        for connection in connections { connection?.close() }
    }
}
