import BusbarConformance
import Testing

/// Runs cases, and shows what `busbar conformance` would show.
enum Report {
    static func run(_ cases: [ConformanceCase], on driver: any DriverUnderTest) async -> [ConformanceResult] {
        let printer = ConformancePrinter()
        var lines = ["", "Conformance of \(driver.name)"]
        let results = await ConformanceRunner(driver).run(cases) { result in
            lines += printer.lines(for: result)
            guard case .failed(let seen, let law) = result.outcome else { return }
            Issue.record("\(result.name): \(seen). The law: \(law)")
        }
        Self.show(lines + [printer.summary(of: results)])
        return results
    }

    /// Why: a test run is where these tables are read.
    static func show(_ lines: [String]) {
        print(lines.joined(separator: "\n"))
    }
}
