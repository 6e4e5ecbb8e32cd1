import Foundation
import TestSupport
import Testing

@Suite("Model")
struct ModelTests {
    /// `BUSBAR_SEED=n` replays the schedule n alone.
    private static let replay = ProcessInfo.processInfo.environment["BUSBAR_SEED"].flatMap { UInt64($0) }
    private static let schedules: UInt64 = 10_000
    private static let firstSeed = ModelTests.replay ?? FuzzSeed.current

    @Test(
        "published = delivered + reported, in order, without repeats, in 10 000 random schedules",
        .timeLimit(.minutes(15)), arguments: [ModelTests.firstSeed]
    )
    func schedules(from seed: UInt64) async {
        for seed in seed..<seed + (Self.replay == nil ? Self.schedules : 1) {
            var model = Model(seed: seed)
            // Why: the tests beside this one have deadlines, and share two threads with it.
            if seed.isMultiple(of: 10) { await Task.yield() }
            guard let mistake = model.run(steps: 150) else { continue }
            let story = Model.Story()
            var told = Model(seed: seed, story: story)
            _ = told.run(steps: 150)
            Issue.record("\(mistake)\nBUSBAR_SEED=\(seed)\n\(story.lines.joined(separator: "\n"))")
            return
        }
    }
}
