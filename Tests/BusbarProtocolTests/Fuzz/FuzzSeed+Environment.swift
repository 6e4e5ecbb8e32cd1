import Foundation

extension FuzzSeed {
    static var fromEnvironment: UInt64? {
        ProcessInfo.processInfo.environment["BUSBAR_FUZZ_SEED"].flatMap { UInt64($0) }
    }
}
