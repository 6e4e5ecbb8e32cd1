/// Writes results as text, a few lines each.
public struct ConformancePrinter: Sendable {
    public init() {}

    /// One result: how it ended and its name, what there is to say about it, the law, what it needs and covers.
    public func lines(for result: ConformanceResult) -> [String] {
        let (seconds, attoseconds) = result.duration.components
        let time = "\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000) ms"
        let head = "\(result.level.rawValue)  \(Self.padded(result.name, to: 30))"
        var lines: [String]
        switch result.outcome {
        case .passed(let note): lines = ["passed   \(head)\(time)" + (note.map { "   \($0)" } ?? "")]
        case .skipped(let reason): lines = ["skipped  \(head)\(reason)"]
        case .failed(let seen): lines = ["FAILED   \(head)\(time)", Self.indent + "seen: \(seen)"]
        }
        lines.append(Self.indent + result.law)
        let facts = [("needs", result.needs), ("covers", result.covers)].filter { !$0.1.isEmpty }
            .map { "\($0.0) \($0.1.joined(separator: ", "))" }
        if !facts.isEmpty { lines.append(Self.indent + facts.joined(separator: "; ")) }
        return lines
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

    private static let indent = String(repeating: " ", count: 12)

    private static func padded(_ text: String, to width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}
