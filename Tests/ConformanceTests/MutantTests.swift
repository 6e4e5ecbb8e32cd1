import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarMemory
import Testing

/// A wrong driver, the case meant for it, and words of what that case must have seen.
struct Mutation: Sendable {
    let name: String
    let caseName: String
    let seen: String
    var waits = false
    var faults = false
    let makeDefects: @Sendable () -> @Sendable () -> any Defect

    /// - Parameter waits: whether the case can find out by waiting in vain only.
    init(
        _ name: String, failsAt caseName: String, seeing seen: String, waits: Bool = false, faults: Bool = false,
        _ makeDefect: @escaping @Sendable () -> any Defect
    ) {
        self.init(name, failsAt: caseName, seeing: seen, waits: waits, faults: faults, perApp: { makeDefect })
    }

    init(
        _ name: String, failsAt caseName: String, seeing seen: String, waits: Bool = false, faults: Bool = false,
        perApp makeDefects: @escaping @Sendable () -> @Sendable () -> any Defect
    ) {
        self.name = name
        self.caseName = caseName
        self.seen = seen
        self.waits = waits
        self.faults = faults
        self.makeDefects = makeDefects
    }

    func meetItsCase() async -> ConformanceResult? {
        guard let conformanceCase = ConformanceKit.case(named: self.caseName) else { return nil }
        let mutant = MutantUnderTest(
            name: self.name, memory: MemoryUnderTest(simulatingFaults: self.faults), makeDefects: self.makeDefects
        )
        return await ConformanceRunner(mutant, patience: self.waits ? 0.1 : 1).run(conformanceCase)
    }

    static let all: [Self] = [
        Self("drops every 1 000th", failsAt: "delivery.complete", seeing: "left out") { DropsEveryThousandth() },
        Self("repeats every 500th", failsAt: "delivery.once", seeing: "came again") { RepeatsNowAndThen() },
        Self("swaps two", failsAt: "order.single-publisher", seeing: "swapped") { SwapsTwo() },
        Self("delivers to itself twice", failsAt: "publish.own-node", seeing: "repeat") { OwnRecords(copies: 2) },
        Self("never delivers to itself", failsAt: "publish.own-node", seeing: "another node's") {
            OwnRecords(copies: 0)
        },
        Self("is deaf while it says live", failsAt: "live.means-hearing", seeing: "waiting", waits: true) { IsDeaf() },
        Self("is live before it hears", failsAt: "live.handover", seeing: "were delivered") { HearsTooLate() },
        Self("lets small overtake large", failsAt: "payload.mixed-size-order", seeing: "should be 600000") {
            LetsSmallOvertake()
        },
        Self("delivers crosswise", failsAt: "streams.apart", seeing: "stream 2") { CrossesStreams() },
        Self("has an order of its own", failsAt: "order.many-publishers", seeing: "disagree") { HasAnOrderOfItsOwn() },
        Self("numbers with holes", failsAt: "offsets.rise", seeing: "holes") { NumbersWithHoles() },
        Self("truncates at 8 000", failsAt: "payload.boundaries", seeing: "truncated") { Truncates() },
        Self("loses NUL", failsAt: "payload.binary", seeing: "should be [0]") { LosesNUL() },
        Self("merges equal records", failsAt: "payload.equal", seeing: "should be 100 bytes") { MergesEqual() },
        Self("reverses batches", failsAt: "append.whole-batch", seeing: "another order") { ReversesBatches() },
        Self("stores batches in part", failsAt: "payload.too-large", seeing: "innocent") { SplitsBatches() },
        Self("delivers before it stores", failsAt: "atomic.append-publish", seeing: "didn't find it") {
            let shared = DeliversBeforeAppend()
            return { shared }
        },
        Self("completes appends early", failsAt: "append.visible-on-return", seeing: "finds nothing") {
            AnswersTooEarly()
        },
        Self("never completes appends", failsAt: "append.receipt", seeing: "appending", waits: true) {
            NeverCompletesAppend()
        },
        Self("blocks threads", failsAt: "publish.one-subscriber", seeing: "appending", waits: true) { BlocksThreads() },
        Self("stores repeats", failsAt: "append.repeat", seeing: "repeated one with") { StoresRepeats() },
        Self("ignores the high water", failsAt: "append.high-water", seeing: "had seen") { IgnoresHighWater() },
        Self("pages without limit", failsAt: "read.page-limit", seeing: "a page of") { PagesWithoutLimit() },
        Self("stops at large records", failsAt: "read.page-limit", seeing: "empty page") { StopsAtLargeRecords() },
        Self("reads backwards", failsAt: "read.after", seeing: "is \"record 19\"") { ReadsBackwards() },
        Self("hides trimming", failsAt: "read.trimmed", seeing: "the page 1") { HidesTrimming() },
        Self("answers extents from memory", failsAt: "extent.true", seeing: "just appended") { RemembersExtents() },
        Self("begins an epoch per node", failsAt: "epoch.first-use", seeing: "epochs") { BeginsAnEpochPerNode() },
        Self("blocks close", failsAt: "close.run-returns", seeing: "run to return", waits: true) { BlocksClose() },
        Self("delivers after close", failsAt: "close.silence", seeing: "had returned") { KeepsDelivering() },
        Self("leaks its inbox", failsAt: "leak.close", seeing: "released", waits: true) { LeaksInbox() },
        Self("repeats after a reconnect", failsAt: "link.cut", seeing: "is followed by", faults: true) {
            RepeatsAfterReconnect()
        },
        Self("ends with its link", failsAt: "link.cut", seeing: "returned", faults: true) { EndsWithTheLink() },
        Self("retries as another write", failsAt: "dup.ambiguous-publish", seeing: "repeat", faults: true) {
            RetriesAsAnotherWrite()
        },
        Self(
            "forgets a stream on reconnect", failsAt: "resubscribe.complete", seeing: "stream 7", waits: true,
            faults: true
        ) { ForgetsOneStream() },
        Self("gives up at once", failsAt: "broker.away", seeing: "given up", faults: true) { GivesUpAtOnce() },
        Self("acknowledges in vain", failsAt: "broker.away", seeing: "accepted while", faults: true) {
            AcknowledgesInVain()
        },
        Self("keeps its epoch after a wipe", failsAt: "epoch.wipe", seeing: "used before", faults: true) {
            KeepsEpoch()
        },
    ]
}

@Suite("The kit on drivers that don't keep the contract", .serialized)
struct MutantTests {
    @Test("each of the wrong drivers fails at the case meant for it, for the reason meant", .timeLimit(.minutes(3)))
    func mutantsFail() async {
        var results: [String: ConformanceResult] = [:]
        await withTaskGroup(of: (String, ConformanceResult?).self) { group in
            var waiting = Mutation.all[...]
            for _ in 0..<4 {
                guard let mutation = waiting.popFirst() else { break }
                group.addTask { (mutation.name, await mutation.meetItsCase()) }
            }
            for await (name, result) in group {
                results[name] = result
                guard let mutation = waiting.popFirst() else { continue }
                group.addTask { (mutation.name, await mutation.meetItsCase()) }
            }
        }
        let rows = Mutation.all.map { Self.row($0, results[$0.name]) }
        let head = "Wrong drivers: what was found, the driver, the case meant for it, what that saw"
        Certification.show((["", head] + rows).joined(separator: "\n"), as: "wrong drivers")
        for mutation in Mutation.all {
            guard case .failed(let seen) = results[mutation.name]?.outcome else {
                Issue.record("\(mutation.name): \(mutation.caseName) didn't fail")
                continue
            }
            #expect(seen.contains(mutation.seen), "\(mutation.name) failed for another reason")
        }
        #expect(Mutation.all.count >= 20)
    }

    @Test("a case that hangs fails at its deadline, and the next one runs", .timeLimit(.minutes(1)))
    func hangingDriver() async throws {
        let mutant = MutantUnderTest(name: "blocks", memory: MemoryUnderTest(), makeDefects: { { BlocksThreads() } })
        let names = ["publish.one-subscriber", "read.empty-stream"]
        let cases = try names.map { try #require(ConformanceKit.case(named: $0)) }
        let results = await ConformanceRunner(mutant, patience: 0.05).run(cases)
        #expect(results.map(\.isFailed) == [true, false])
    }

    private static func row(_ mutation: Mutation, _ result: ConformanceResult?) -> String {
        let name = mutation.name + String(repeating: " ", count: max(1, 32 - mutation.name.count))
        let caseName = mutation.caseName + String(repeating: " ", count: max(1, 26 - mutation.caseName.count))
        guard case .failed(let seen) = result?.outcome else { return "SURVIVED  \(name)\(caseName)" }
        return "caught    \(name)\(caseName)\(seen.prefix(100))"
    }
}
