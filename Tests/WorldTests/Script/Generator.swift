import GatewayTesting

/// Makes a story out of a seed: people who rent, move, share and change numbers, and landlords who write it down late or
/// never; webhooks that come late, twice and in another order; a table that is refreshed now and then.
struct Generator {
    /// How often what happens: weights, and chances in percent.
    struct Shape {
        var landlords = 40
        var humans = 240
        /// Minutes between two turns, on the average.
        var turnMinutes = 95
        /// Happenings in a turn, at most.
        var happeningsMax = 4
        var messagesMax = 24
        /// Whether the provider tells of changes at all.
        var hasNotices = true
    }

    struct Story {
        var seed: UInt64
        var start: Moment
        var steps: [Step]
        var truth: Truth
        var messages: Int
        /// Webhooks intake takes at once.
        var batchSize: Int
        /// Whether the table is refreshed when intake asks for it.
        var answersIntake: Bool
        /// How old the table may be before intake asks the database about every sender; `nil`: it never does.
        var staleSeconds: Moment?
    }

    /// 2026-01-05, eight in the morning.
    static let start: Moment = 1_767_600_000

    var random: SeededGenerator
    let shape: Shape
    var now = Self.start
    var steps: [Step] = []
    var truth = Truth()
    var humans: [Human] = []
    var landlords: [LandlordState] = []
    var tenancies: [Tenancy] = []
    /// What will be posted, and when; what landlords will write down, and when.
    var postal = Schedule<Post>()
    var clerical = Schedule<LandlordEvent>()
    var counters: [RowID.Kind: Int] = [:]
    var freeNumbers: [Number] = []
    var numberCount = 0
    var accountCount = 0
    var messageCount = 0
    var postCount = 0
    var messages = 0
    /// Who will write soon, because something just happened to them.
    var restless: [Int] = []
    /// Messages a landlord may answer.
    var answerable: [(name: MessageName, human: Int, place: Place)] = []
    var isLateKnown = false

    struct Human {
        var number: Number
        var account: String?
        /// In percent: how often the number is shown.
        var showsNumber: Int
        var sent: [MessageName] = []
        var received: [RowID] = []
        /// When the number and the id became theirs.
        var changedAt: Moment = 0
    }

    struct LandlordState {
        var id: RowID
        var properties: [RowID]
        var isEnabled: Bool
        var isGone = false
    }

    struct Tenancy {
        var lease: RowID
        var row: LeaseRow
        var landlord: RowID
        var human: Int
        /// The number as the landlord has it.
        var filed: Number
        var isOver = false
    }

    static func story(seed: UInt64, messages: Int, shape: Shape = Shape()) -> Story {
        var generator = Generator(random: SeededGenerator(seed: seed), shape: shape)
        generator.settleIn()
        while generator.messages < messages { generator.turn(messagesLeft: messages - generator.messages) }
        generator.finish()
        let batchSize = [3, 10, 40, 1000][Int(seed % 4)]
        return Story(
            seed: seed, start: start, steps: generator.steps, truth: generator.truth, messages: generator.messages,
            batchSize: batchSize, answersIntake: seed % 3 != 0, staleSeconds: seed % 4 == 1 ? 6 * 3600 : nil)
    }

    private init(random: SeededGenerator, shape: Shape) {
        self.random = random
        self.shape = shape
    }

    // MARK: Time

    private mutating func settleIn() {
        for _ in 0..<shape.landlords { arrive() }
        for _ in 0..<shape.humans { _ = newHuman() }
        for human in humans.indices where chance(85) { rent(human, from: pickLandlord()) }
        tell(.refresh(full: true))
    }

    private mutating func turn(messagesLeft: Int) {
        now += Moment(1 + pick(2 * 60 * shape.turnMinutes))
        for event in clerical.due(now) { tell(.landlord(event)) }
        for _ in 0..<pick(shape.happeningsMax + 1) {
            now += Moment(2 + pick(60))
            happen()
        }
        now += Moment(2 + pick(60))
        for _ in 0..<min(messagesLeft, 1 + pick(shape.messagesMax)) { write() }
        if chance(35) { landlordAnswers() }
        if !isLateKnown, messages > 4000 || messagesLeft < 500 { learnEndpoint() }
        if chance(45) { tell(.refresh(full: chance(2))) }
        for post in postal.due(now) { tell(.post(post)) }
        tell(.settle)
        if chance(60) { tell(.refresh(full: false)) }
    }

    /// All that is under way arrives.
    private mutating func finish() {
        if !isLateKnown { learnEndpoint() }
        now += 10 * 86_400
        for event in clerical.due(now) { tell(.landlord(event)) }
        tell(.refresh(full: false))
        for post in postal.due(now) { tell(.post(post)) }
        tell(.settle)
        now += 86_400
        tell(.post(post(.main, [.other])))
        tell(.settle)
    }

    private mutating func learnEndpoint() {
        isLateKnown = true
        tell(.endpointKnown(.late))
    }

    mutating func tell(_ action: Action) { steps.append(Step(at: now, action: action)) }

    // MARK: Chance

    mutating func pick(_ count: Int) -> Int { Int(random.next() % UInt64(max(1, count))) }
    mutating func chance(_ percent: Int) -> Bool { pick(100) < percent }

    mutating func next(_ kind: RowID.Kind) -> RowID {
        defer { counters[kind, default: 0] += 1 }
        return RowID(kind, counters[kind, default: 0])
    }

    mutating func post(_ place: Place, _ updates: [Update]) -> Post {
        postCount += 1
        return Post(id: postCount, place: place, updates: updates)
    }

    mutating func nextMessage() -> MessageName {
        messageCount += 1
        return MessageName(index: messageCount)
    }
}

/// Things that are due at some time, in the order of that time.
struct Schedule<Thing> {
    private var things: [(at: Moment, Thing)] = []

    mutating func add(_ thing: Thing, at: Moment) { things.append((at, thing)) }

    mutating func due(_ now: Moment) -> [Thing] {
        let due = things.enumerated().filter { $0.element.at <= now }
            .sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
        things.removeAll { $0.at <= now }
        return due.map(\.element.1)
    }
}
