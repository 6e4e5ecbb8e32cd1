import Foundation

/// The seed of this run: a new one each time, or the one in BUSBAR_FUZZ_SEED. It shows in the name of each test case.
package enum FuzzSeed {
    package static let current =
        ProcessInfo.processInfo.environment["BUSBAR_FUZZ_SEED"].flatMap { UInt64($0) }
        ?? UInt64.random(in: 0...UInt64(UInt32.max))
}
