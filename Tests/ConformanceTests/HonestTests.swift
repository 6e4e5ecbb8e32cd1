import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarMemory
import Testing

@Suite("The kit on drivers that keep the contract", .serialized)
struct HonestTests {
    @Test("the memory driver passes every case of level A and skips only what needs faults", .timeLimit(.minutes(2)))
    func memoryPasses() async {
        let cases = ConformanceKit.cases(upTo: .a)
        let results = await Report.run(cases, on: MemoryUnderTest())
        #expect(results.allSatisfy { if case .passed = $0.outcome { true } else { false } })
        #expect(results.count == cases.count)
    }

    @Test("the memory driver behind links that break passes every case of level B", .timeLimit(.minutes(3)))
    func memoryPassesUnderFaults() async {
        let complaints = await Certification.complaints(
            about: MemoryUnderTest(simulatingFaults: true), running: ConformanceKit.cases.filter { $0.level == .b },
            expectingSkips: ["broker.kill-after-ack", "broker.refuses", "broker.refuses-ledger"])
        #expect(complaints.isEmpty)
    }

    @Test("a driver that declares jumps and no refusal of repeats is held to what it declares", .timeLimit(.minutes(2)))
    func modestDriverPasses() async {
        var limits = MemoryBroker.Limits()
        limits.counting = .withJumps
        limits.refusesRepeats = false
        limits.largestRecordBytes = 10_000
        let results = await Report.run(ConformanceKit.cases(upTo: .a), on: MemoryUnderTest(limits: limits))
        #expect(results.allSatisfy { !$0.isFailed })
        #expect(results.contains { $0.name == "append.repeat" && !$0.isPassed })
    }

    @Test("what level C measures and churns comes to an end on the memory driver", .timeLimit(.minutes(2)))
    func memoryIsMeasured() async {
        let cases = ConformanceKit.cases.filter {
            $0.level == .c && !["soak.faults", "soak.topics"].contains($0.name)
        }
        let results = await Report.run(cases, on: MemoryUnderTest())
        #expect(results.allSatisfy { $0.isPassed })
        #expect(results.count == 3)
    }

    @Test("names are unique, and every case says what the law is")
    func casesAreDescribed() {
        let cases = ConformanceKit.cases
        #expect(Set(cases.map(\.name)).count == cases.count)
        #expect(cases.allSatisfy { $0.law.hasSuffix(".") && $0.law.count > 20 })
        #expect(ConformanceKit.case(named: "order.single-publisher")?.level == .a)
    }
}
