import BusbarDriver

/// One law of the driver contract, as something that can be run.
public struct ConformanceCase: Sendable {
    /// What a case costs to run.
    public enum Level: String, CaseIterable, Comparable, Sendable {
        /// No faults; all of them take less than a minute.
        case a = "A"
        /// Needs ``BrokerFaults``.
        case b = "B"
        /// Soaks and measures.
        case c = "C"

        public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// Subject and property, such as `order.single-publisher`: stable, to be named on command lines.
    public let name: String
    public let level: Level
    /// What must hold, in one sentence.
    public let law: String
    /// Ids of the behaviours it covers, such as `B-05`.
    public let covers: [String]
    /// After this time the case has failed, whatever the driver is doing.
    public let deadline: Duration
    let needs: [Need]
    let options: AppOptions
    let body: @Sendable (Bench) async throws -> Void

    init(
        _ name: String, _ law: String, covers: [String] = [], level: Level = .a, needs: [Need] = [], streams: Int = 1,
        retainedCount: Int? = nil, deadline: Duration = .seconds(30),
        _ body: @escaping @Sendable (Bench) async throws -> Void
    ) {
        self.name = name
        self.level = level
        self.law = law
        self.covers = covers
        self.deadline = deadline
        self.needs = needs
        self.options = AppOptions(streams: streams, retainedCount: retainedCount)
        self.body = body
    }

    /// What a case presupposes. Where it isn't met there is nothing to prove, and the case is skipped.
    enum Need: Hashable, Sendable {
        case countsWithoutHoles
        case replays
        case refusesRepeats
        case recognisesRewind
        case survivesRestart
        case limitedRetention
        case faults(Set<BrokerFault>)

        /// The capability, as a report names it.
        var description: String {
            switch self {
            case .countsWithoutHoles: "offsets without holes"
            case .replays: "replay"
            case .refusesRepeats: "refusal of repeats"
            case .recognisesRewind: "recognition of a rewind"
            case .survivesRestart: "durability"
            case .limitedRetention: "a limited log"
            case .faults(let faults): "faults " + faults.map(\.rawValue).sorted().joined(separator: ", ")
            }
        }

        /// Why it isn't met; nil when it is.
        func reasonToSkip(_ guarantees: Guarantees, of driver: any DriverUnderTest, faults: Set<BrokerFault>) -> String?
        {
            switch self {
            case .countsWithoutHoles:
                return guarantees.counting == .withoutHoles ? nil : "the driver's offsets may jump, as it declares"
            case .replays: return guarantees.replays ? nil : "the driver doesn't claim replay"
            case .refusesRepeats: return guarantees.refusesRepeats ? nil : "the driver doesn't claim to refuse repeats"
            case .recognisesRewind:
                return guarantees.recognisesRewind ? nil : "the driver doesn't claim to recognise a rewind"
            case .survivesRestart:
                guard guarantees.durability == .broker else {
                    return "the driver claims nothing beyond the broker's process"
                }
                return driver.brokerPersists ? nil : "this broker keeps nothing over a restart, as the harness says"
            case .limitedRetention:
                return driver.limitsRetention ? nil : "the harness can't limit what a log retains"
            case .faults(let needed):
                let missing = needed.subtracting(faults).map(\.rawValue).sorted()
                return missing.isEmpty ? nil : "the harness offers no fault " + missing.joined(separator: ", ")
            }
        }
    }
}

/// How a case ended.
public struct ConformanceResult: Sendable {
    public enum Outcome: Hashable, Sendable {
        /// The law holds; `note` is what was measured.
        case passed(note: String?)
        /// It doesn't: what was seen instead.
        case failed(seen: String)
        case skipped(reason: String)
    }

    public let name: String
    public let level: ConformanceCase.Level
    /// What must hold, in one sentence.
    public let law: String
    /// Ids of the behaviours the case covers.
    public let covers: [String]
    /// The capabilities it presupposes, in words.
    public let needs: [String]
    public let outcome: Outcome
    public let duration: Duration

    init(_ conformanceCase: ConformanceCase, _ outcome: Outcome, after duration: Duration) {
        self.name = conformanceCase.name
        self.level = conformanceCase.level
        self.law = conformanceCase.law
        self.covers = conformanceCase.covers
        self.needs = conformanceCase.needs.map(\.description)
        self.outcome = outcome
        self.duration = duration
    }

    public var isFailed: Bool { if case .failed = self.outcome { true } else { false } }
    public var isPassed: Bool { if case .passed = self.outcome { true } else { false } }
}

/// The driver didn't keep the law.
struct LawBroken: Error {
    let seen: String
}

/// What a case presupposes turned out, while it ran, not to be there.
struct NotApplicable: Error {
    let reason: String
}
