/// The kit as a command: what `busbar conformance` does, for a program that has drivers of its own.
///
/// ```swift
/// let drivers = try DriverRegistry([.carrierPigeon])
/// let pigeon = try RegisteredDriver(at: BackplaneURL("pigeon://loft"), among: drivers)
/// exit(await ConformanceRun(of: pigeon).run { print($0) })
/// ```
public struct ConformanceRun: Sendable {
    private let driver: any DriverUnderTest
    private let cases: [ConformanceCase]
    private let patience: Double

    /// - Parameters:
    ///   - cases: those of level A by default.
    ///   - patience: factor for all deadlines; more than 1 for a slow broker.
    public init(
        of driver: any DriverUnderTest, cases: [ConformanceCase] = ConformanceKit.cases(upTo: .a), patience: Double = 1
    ) {
        self.driver = driver
        self.cases = cases
        self.patience = patience
    }

    /// Runs the cases and hands out each line as it comes; the last is `N passed, N failed, N skipped`.
    /// - Returns: exit status: 0 if no law was broken and at least one held, else 1.
    public func run(_ line: (String) -> Void) async -> Int32 {
        let printer = ConformancePrinter()
        line("Conformance of \(self.driver.name): \(self.cases.count) laws")
        let results = await ConformanceRunner(self.driver, patience: self.patience).run(self.cases) { result in
            for text in printer.lines(for: result) { line(text) }
        }
        line(printer.summary(of: results))
        let isWhole = results.count == self.cases.count && !results.contains(where: \.isFailed)
        return isWhole && results.contains(where: \.isPassed) ? 0 : 1
    }
}
