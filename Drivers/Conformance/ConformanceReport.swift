/// What came of a run of the kit, and whether it is good enough.
public struct ConformanceReport: Sendable {
    public let driver: String
    public let results: [ConformanceResult]

    public init(driver: String, results: [ConformanceResult]) {
        self.driver = driver
        self.results = results
    }

    /// Every result as ``ConformancePrinter`` writes it, between a heading and `N passed, N failed, N skipped`.
    public var text: String {
        let printer = ConformancePrinter()
        let lines = self.results.flatMap(printer.lines(for:))
        return (["", "Conformance of \(self.driver)"] + lines + [printer.summary(of: self.results)])
            .joined(separator: "\n")
    }

    /// What a driver's own test suite must not let pass: failures, and skipped cases other than the expected ones.
    ///
    /// To claim less than the contract offers is honest, and has to be on record; a case that was skipped because the
    /// harness couldn't do its fault has proven nothing. A case that was expected to be skipped and ran is named too.
    /// - Parameter expectedSkips: names of cases that this driver doesn't claim.
    public func complaints(expectingSkips expectedSkips: Set<String> = []) -> [String] {
        var complaints: [String] = []
        if self.results.isEmpty { complaints.append("no case ran") }
        for result in self.results {
            let isExpected = expectedSkips.contains(result.name)
            switch result.outcome {
            case .failed(let seen): complaints.append("\(result.name): \(seen). The law: \(result.law)")
            case .skipped(let reason): if !isExpected { complaints.append("\(result.name) was skipped: \(reason)") }
            case .passed: if isExpected { complaints.append("\(result.name) should have been skipped, and passed") }
            }
        }
        let unknown = expectedSkips.filter { ConformanceKit.case(named: $0) == nil }
        return complaints + unknown.sorted().map { "there is no case \($0) to be skipped" }
    }
}

extension ConformanceRunner {
    /// Runs `cases` and makes a report of them.
    public func report(on cases: [ConformanceCase]) async -> ConformanceReport {
        let results = await self.run(cases)
        return ConformanceReport(driver: self.driverName, results: results)
    }
}
