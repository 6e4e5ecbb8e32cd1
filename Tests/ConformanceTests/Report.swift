import BusbarCertification
import BusbarConformance
import Testing

/// Runs cases, and shows what `busbar conformance` would show.
enum Report {
    /// Whatever failed is an issue of the test; what was skipped is for the test to judge.
    static func run(_ cases: [ConformanceCase], on driver: any DriverUnderTest) async -> [ConformanceResult] {
        let report = await ConformanceRunner(driver).report(on: cases)
        Certification.show(report.text, as: "conformance of \(report.driver)")
        for result in report.results {
            guard case .failed(let seen) = result.outcome else { continue }
            Issue.record("\(result.name): \(seen). The law: \(result.law)")
        }
        return report.results
    }
}
