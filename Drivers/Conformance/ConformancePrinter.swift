/// Writes results as text, a line or three each.
public struct ConformancePrinter: Sendable {
    public init() {}

    /// One result: its name, how it ended, and what there is to say about it.
    public func lines(for result: ConformanceResult) -> [String] {
        let (seconds, attoseconds) = result.duration.components
        let milliseconds = seconds * 1_000 + attoseconds / 1_000_000_000_000_000
        let head = "\(result.level.rawValue)  \(Self.padded(result.name, to: 34))"
        switch result.outcome {
        case .passed(let note):
            return ["passed   \(head) \(milliseconds) ms" + (note.map { "   \($0)" } ?? "")]
        case .skipped(let reason): return ["skipped  \(head) \(reason)"]
        case .failed(let seen, let law):
            return ["FAILED   \(head) \(milliseconds) ms", "           seen: \(seen)", "           law:  \(law)"]
        }
    }

    /// `N passed, N failed, N skipped`.
    public func summary(of results: [ConformanceResult]) -> String {
        var (passed, failed, skipped) = (0, 0, 0)
        for result in results {
            switch result.outcome {
            case .passed: passed += 1
            case .failed: failed += 1
            case .skipped: skipped += 1
            }
        }
        return "\(passed) passed, \(failed) failed, \(skipped) skipped"
    }

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}
